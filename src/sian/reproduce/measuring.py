"""A row's model to its report by the reconstruction protocol, and the floors that all rows of a scale share.

The floors (training windows, halves, the segmenter on real windows, the trivial painter) cost more than a row: they are
measured once for a scale, by the same code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import sian
from sian.evaluation.collection import from_images
from sian.evaluation.evaluate import Tools, evaluate
from sian.evaluation.measured import distances, halves
from sian.evaluation.reconstruction import (
    Reconstruction,
    evaluate_reconstruction,
    model_painter,
    reconstruct,
    trivial_painter,
)
from sian.files import write_json
from sian.files.code_and_machine import commit, machine
from sian.reproduce.bench import Bench
from sian.reproduce.rows import Row
from sian.synthesis import load

if TYPE_CHECKING:
    from sian.synthesis.model import Model

FORMAT = "sian.reproduce/1"
LUNG = {"lung": "liver"}  # MoNuSeg's training tiles called liver carry TCGA's lung codes


def measure_row(row: Row, bench: Bench, model_path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Paint the test windows with a row's model and measure them.

    Args:
        row: whose model it is.
        bench: what the rows share.
        model_path: the model file.
        facts: more for the report's part "reproduce".

    Returns:
        The report: an object of format "sian.evaluation/1" with a part "reproduce"; also written to
        `bench.report_path(row)`.
    """
    started = time.perf_counter()
    model = load(model_path).to(bench.device)
    with bench.progress(f"{row.name}: painting", "windows") as report:
        made = reconstruct(
            model_painter(model, row.noise),
            bench.scene,
            style=bench.style,
            bank=model.styles,
            aliases=_aliases(bench),
            seed=bench.seed,
            label=row.name,
            report=report,
        )
    result = _compare(made, bench, row, {"model": {"path": model_path.name, "sha256": model.sha256}})
    seconds = time.perf_counter() - started
    result["reproduce"] = {**_own(bench, seconds), "row": row.name, **_of_model(model), **facts}
    write_json(bench.report_path(row), result)
    return result


def measure_floors(bench: Bench) -> dict[str, Any]:
    """The floors of a scale: an evaluation of the trivial painter, which has them all beside it; written to disk."""
    started = time.perf_counter()
    made = reconstruct(
        trivial_painter,
        bench.scene,
        style=bench.style if bench.style != "prior" else "paired",  # a draw has no colours to take means of
        aliases=_aliases(bench),
        seed=bench.seed,
        label="trivial painter",
    )
    inputs = {"segmenter": {"path": Path(bench.segmenter).name, "sha256": bench.segmenter_sha256}}
    with bench.progress("floors: measuring", "images") as report:
        finished = evaluate_reconstruction(made, bench.tools, inputs=inputs, report=report)
    result = {**finished.result, "organ_floors": _organ_floors(made, bench.tools)}
    result["reproduce"] = {**_own(bench, time.perf_counter() - started), "row": "floors"}
    write_json(bench.floors_path(), result)
    return result


def _compare(made: Reconstruction, bench: Bench, row: Row, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """As `evaluate_reconstruction`, without the floors."""
    tools, name = bench.tools, row.name
    total = 3 * len(made.fake)  # segmented, and Inception on both sides
    with bench.progress(f"{name}: measuring", "images") as report:
        seen = {}
        for number, window in enumerate(made.fake.names, 1):
            assert tools.segmenter is not None  # noqa: S101 - a bench has one
            seen[window] = tools.segmenter(made.fake.read(window))
            report(number, total)
        finished = evaluate(
            made.fake,
            made.real,
            made.masks,
            tools=Tools(tools.extractor, None, tools.cache),
            predicted=from_images(f"segmented {name}", seen),
            protocol="reconstruction",
            settings={
                "style": made.style,
                "noise": row.noise,
                "window": len(made.masks.read(made.masks.names[0])),
                "inputs": {
                    "segmenter": {"path": Path(bench.segmenter).name, "sha256": bench.segmenter_sha256},
                    **inputs,
                },
            },
            report=lambda done, _: report(len(seen) + done, total),
        )
    return finished.result


def _organ_floors(made: Reconstruction, tools: Tools) -> dict[str, dict[str, Any]]:
    """FID of all training windows, and of halves, against each organ's test windows."""
    if tools.extractor is None:
        return {}
    real = tools.extractor.cached(made.real.pictures(), tools.cache)
    train = tools.extractor.cached(made.train.pictures(), tools.cache) if made.train is not None else None
    organs = [made.real.organ(name) for name in made.real.names]
    floors: dict[str, dict[str, Any]] = {}
    for organ in sorted({organ for organ in organs if organ}):
        part = real[[index for index, found in enumerate(organs) if found == organ]]
        floors[organ] = {"n": len(part)}
        if train is not None and len(part) >= 2:
            floors[organ]["other real images"] = distances(part, train)["fid"]
        if len(part) >= 4:
            floors[organ]["halves"] = halves(part)["fid"]
    return floors


def _own(bench: Bench, seconds: float) -> dict[str, Any]:
    """What decides whether a report still holds, and what it cost."""
    return {
        "format": FORMAT,
        "scale": bench.scale.name,
        "seed": bench.seed,
        "a_tile": bench.scale.a_tile,
        "data": bench.data.info.name,
        "test_sha256": bench.test_sha256,
        "train_sha256": bench.train_sha256,
        "measured_seconds": round(seconds, 1),
        "measured_on": machine(torch.get_num_threads(), bench.device),
        "measured_at": commit(),
        "version": sian.__version__,
    }


def _of_model(model: Model) -> dict[str, Any]:
    """What the model file says of its training."""
    training = model.info.training
    return {
        "recipe": model.info.recipe,
        "images": training.images,
        "hours": training.hours,
        "device": training.device,
        "commit": training.commit,
        "parameters": sum(parameter.numel() for parameter in model.painter.parameters()),
        "licence": model.info.licence,
    }


def _aliases(bench: Bench) -> dict[str, str]:
    """A test organ's name among the training tiles, where MoNuSeg has another."""
    trained = bench.train.organs
    return {new: old for new, old in LUNG.items() if new not in trained and old in trained}

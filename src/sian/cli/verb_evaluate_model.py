"""``sian evaluate-model``: a model by the reconstruction protocol, on the windows of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import (
    Aliases,
    Device,
    Json,
    ModelFile,
    Noise,
    StyleFrom,
    Threads,
    TrustWeights,
    Weights,
    check_there,
    parse_aliases,
    use_threads,
)
from sian.cli.evaluating import (
    Blind,
    Cache,
    Fid,
    Judge,
    Memorisation,
    Report,
    Segmented,
    SegmentedReal,
    Segmenter,
    check_judges,
    check_memorisation,
    check_places,
    look_for_copies,
    make_tools,
    present,
    segmenter_facts,
)
from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.data.dataset import Dataset
    from sian.evaluation.collection import Collection
    from sian.evaluation.reconstruction import Reconstruction


def evaluate_model(
    data: Annotated[Path, typer.Option("--data", "-d", help="Data set on disk, whose windows are painted again.")],
    model: ModelFile = None,
    split: Annotated[str, typer.Option(help="Which split is painted.")] = "test",
    style_from: StyleFrom = "paired",
    noise: Noise = 0.0,
    fit: Annotated[bool, typer.Option("--fit", help="Fit each style as `sian style` does; seconds a window.")] = False,
    tissue: Annotated[bool, typer.Option("--tissue", help="Give the model each tile's tissue map.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of styles, noise and what --blind shows.")] = 0,
    alias: Aliases = None,
    segmenter: Segmenter = None,
    segmented: Segmented = None,
    segmented_real: SegmentedReal = None,
    judge: Judge = None,
    save_images: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep the paintings.")] = None,
    memorisation: Memorisation = False,
    blind: Blind = None,
    fid: Fid = True,
    weights: Weights = None,
    trust_weights: TrustWeights = False,
    cache: Cache = None,
    device: Device = "cpu",
    threads: Threads = None,
    output: Report = None,
    as_json: Json = False,
) -> None:
    """Measure a model: paint the masks of real windows again and compare.

    This is the reconstruction protocol of the docs. It gives FID, KID, SSIM and, with a segmenter, mask metrics; the
    floor stands beside each number. A window's style is that of the window itself (paired), of another window of the
    same tile (sibling), of a training window of the organ (exemplar), or drawn from the model (prior).
    """
    check_there("file", model, bundled=True)
    check_places(output, as_json, blind, save_images)
    check_memorisation(memorisation, data, split, fid)
    check_judges(segmenter, segmented, segmented_real, judge)
    if fit and (segmenter is None or style_from == "prior"):
        raise BadInput(
            "--fit: fits styles to reference images whose nuclei a segmenter finds; expected --segmenter MODEL (e.g. "
            "bundled) and a --style-from other than prior"
        )
    aliases = parse_aliases(alias)

    from sian.data import open_dataset

    dataset = open_dataset(data)
    part = dataset.split(split)
    found, found_real = (_masks_of(folder, part) for folder in (segmented, segmented_real))
    use_threads(threads)
    tools = make_tools(segmenter, fid, weights, trust_weights, cache, device)

    from sian.evaluation.reconstruction import evaluate_reconstruction, model_painter, reconstruct
    from sian.synthesis import load
    from sian.synthesis.labels import png_text
    from sian.synthesis.model_tissue import without_tissue

    painter = load(model, device)
    if tissue and not painter.takes_tissue:
        raise BadInput(f"--tissue: {without_tissue(painter.info.name)}")
    with console.progress("painting", "windows") as report:
        made = reconstruct(
            model_painter(painter, noise, tools.segmenter if fit else None),
            dataset,
            split=split,
            style=style_from,
            bank=painter.styles,
            aliases={**painter.styles.aliases, **aliases},
            seed=seed,
            label=str(model or "the bundled model"),
            tissue=tissue,
            report=report,
        )
    with console.progress("measuring") as report:
        finished = evaluate_reconstruction(
            made,
            tools,
            predicted=found,
            predicted_real=found_real,
            inputs={
                "model": {"path": str(model or "bundled"), "sha256": painter.sha256},
                **segmenter_facts(segmenter, found, judge),
            },
            noise=noise,
            fitted=fit,
            tissue=tissue,
            report=report,
        )
    if save_images is not None:
        _save(made, png_text(painter, None, seed), save_images)
    if memorisation:
        look_for_copies(finished, dataset, split, tools)
    present(finished, output, blind, seed, as_json)


def _masks_of(folder: Path | None, data: Dataset) -> Collection | None:
    """Another segmenter's masks of a data set's windows: checked before anything is done."""
    from sian.evaluation.scenes import window_sizes
    from sian.evaluation.segmented import open_segmented

    return None if folder is None else open_segmented(folder, window_sizes(data), "window")


def _save(made: Reconstruction, text: dict[str, str], folder: Path) -> None:
    from sian.files import write_png

    for name in made.fake.names:
        write_png(folder / f"{name}.png", made.fake.read(name), {**text, "Style": made.references[name], "Mask": name})

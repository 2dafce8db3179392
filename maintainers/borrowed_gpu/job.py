"""One row within a time budget, wherever a GPU is at hand for half an hour.

The first steps are timed, the number of images is planned from them, then the row is trained, exported in half
precision and measured. What is left are few small files: `collecting` brings them home.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from maintainers.borrowed_gpu.collecting import FILE_BYTES, FORMAT, MODEL_PARTS, check_empty, leave
from sian.errors import BadInput, Interrupted
from sian.files import write_json
from sian.files.code_and_machine import commit
from sian.files.jsonfiles import read_json
from sian.networks import Painter, build_discriminator, build_painter
from sian.networks.layouts import channels_of
from sian.reproduce.bench import Bench
from sian.reproduce.measuring import measure_row
from sian.reproduce.rows import Row
from sian.reproduce.running import of_job, read_job
from sian.synthesis.adjusting import NORM_BATCH, NORM_BATCHES
from sian.synthesis.export import export_run
from sian.training import Recipe, checkpoint
from sian.training.checks import check_run, holds_run
from sian.windows import WINDOW, train_offsets

if TYPE_CHECKING:
    from sian.data.sampling import Tile

TIMED_STEPS = 20
WARM_STEPS = 5  # of these; kernels are chosen and caches filled
TIMED_WINDOWS = 2
STYLES_A_TILE = 8  # 16 windows are encoded, which costs less than half of painting them
MARGIN = 1.25  # on what export and measuring are thought to take
ROUNDING = 1e-6
FIXED_SECONDS = 30.0  # of both: reading, confidence intervals, writing


@dataclass(frozen=True)
class Plan:
    """How long the row is trained.

    Attributes:
        images: of each stage.
        whole: whether that is the recipe's full length.
    """

    images: tuple[int, ...]
    whole: bool


def run_job(
    row: Row, bench: Bench, minutes: float, out: Path, *, evaluate: bool = True, keep_model: bool = True
) -> dict[str, Any]:
    """Train one row in so many minutes and leave its files in `out`; returns what the job wrote of itself.

    Args:
        row: what is trained.
        bench: its `runs` is where the work lies; an interrupted job of the same row goes on there.
        minutes: for everything, from now.
        out: a new or empty folder for at most 8 files of at most 16 MiB.
        evaluate: measure the model; if not, that is left for home.
        keep_model: leave the weights as well.

    Raises:
        BadInput: the budget is too small for the first steps, or the model too large to be left.
        MissingResource: weights are not on this machine.
    """
    deadline = time.monotonic() + 60 * minutes
    check_empty(out)
    recipe = in_images(row.load(bench.scale, bench.seed), bench.tiles)
    run, model = bench.folder(row) / "run", bench.folder(row) / "model.safetensors"
    if keep_model:
        check_size(recipe)
    check_run(run, recipe, resume=holds_run(run))
    bench.check_weights(inception=evaluate)
    facts = read_job(bench.folder(row)) or {"format": FORMAT, "row": row.name, "scale": bench.scale.name}
    facts |= {"minutes": minutes, "seed": bench.seed, "evaluated": evaluate, "model": keep_model}
    facts |= {"commit": _commit(bench), "train_sha256": bench.train_sha256}
    if "seconds_per_image" not in facts:
        facts["seconds_per_image"] = _timed(recipe, row, bench, run)
    after = _seconds_after(recipe, bench, evaluate)
    trained = _trained(run) * facts["seconds_per_image"]  # the timed steps count
    plan = plan_images(recipe, facts["seconds_per_image"], trained + deadline - time.monotonic() - after, minutes)
    facts |= {"planned_images": sum(plan.images), "whole": plan.whole, "seconds_kept_for_the_end": round(after, 1)}
    write_json(bench.folder(row) / "job.json", facts)
    with bench.progress(f"{row.name}: training", "images") as shown:

        def late(done: int) -> bool:
            shown(done, sum(plan.images))
            return time.monotonic() > deadline - after  # the machine has become slower

        _train_until(with_images(recipe, plan.images), bench, run, late)
    with bench.progress(f"{row.name}: batch norm and style bank", "steps") as report:
        export_run(run, bench.train, model, tiles=bench.tiles, report=report)
    if evaluate:
        measure_row(row, bench, model, of_job(facts))
    facts["seconds_left"] = round(deadline - time.monotonic(), 1)
    write_json(bench.folder(row) / "job.json", facts)
    leave(bench.folder(row), out, keep_model=keep_model, report=bench.report_path(row) if evaluate else None)
    return facts


def check_size(recipe: Recipe) -> None:
    """Refuse a model that does not fit into the files that may be left, before an hour of work.

    Raises:
        BadInput: it does not.
    """
    judge = build_discriminator(recipe.discriminator.model_dump(), network=recipe.network)
    numbers = sum(p.numel() for network in (_painter(recipe), judge) for p in network.parameters())
    needed, most = 2 * numbers + (1 << 20), MODEL_PARTS * FILE_BYTES
    if needed > most:
        raise BadInput(
            f"recipe {recipe.name}: its model takes about {needed >> 20} MiB in half precision, expected at most "
            f"{most >> 20} MiB ({MODEL_PARTS} files of {FILE_BYTES >> 20} MiB); choose --scale small, or --no-model "
            "for numbers and pictures alone"
        )


def plan_images(recipe: Recipe, seconds_per_image: float, seconds: float, minutes: float) -> Plan:
    """How many images of each stage fit into so many seconds.

    Args:
        recipe: its stages, in images, say how the time is shared; an image of another size costs as its pixels do.
        seconds_per_image: of the first stage.
        seconds: for training, with what has been spent on it already.
        minutes: the budget, for the sentence.

    Raises:
        BadInput: not even the first steps fit, or nothing would be left for the end.
    """
    first = recipe.stages[0]
    wanted = [stage.images or 0 for stage in recipe.stages]
    cost = sum(n * (stage.size / first.size) ** 2 for n, stage in zip(wanted, recipe.stages, strict=True))
    share = min(1.0, seconds / max(1e-9, cost * seconds_per_image))
    planned = tuple(
        max(1, int(n * share + ROUNDING) // stage.batch) * stage.batch
        for n, stage in zip(wanted, recipe.stages, strict=True)
    )
    if planned[0] < TIMED_STEPS * first.batch and share < 1:
        raise BadInput(
            f"--minutes {minutes:g}: has {max(0.0, seconds):.0f} s for training, and {TIMED_STEPS} steps take "
            f"{TIMED_STEPS * first.batch * seconds_per_image:.0f} s on this machine; give more minutes, or a "
            "smaller --scale"
        )
    return Plan(planned, share >= 1)


def with_images(recipe: Recipe, images: tuple[int, ...]) -> Recipe:
    """The recipe with other lengths of its stages."""
    pairs = zip(recipe.stages, images, strict=False)  # fewer lengths leave out the last stages
    stages = tuple(stage.model_copy(update={"images": n, "epochs": None}) for stage, n in pairs)
    return recipe.model_copy(update={"stages": stages})


def in_images(recipe: Recipe, tiles: Sequence[Tile]) -> Recipe:
    """The same recipe with the lengths of its stages in images: an epoch is the windows of the training grid."""
    lengths = []
    for stage in recipe.stages:
        rows_columns = ([len(train_offsets(side, stage.size)) for side in tile.layout.shape] for tile in tiles)
        epoch = sum(rows * columns for rows, columns in rows_columns)
        lengths.append(stage.images or (stage.epochs or 0) * epoch)
    return with_images(recipe, tuple(lengths))


def _commit(bench: Bench) -> str:
    """Of this code: what the pack says, where it came in one."""
    pack = bench.data.folder.parent / "pack.json"
    return str(read_json(pack).get("commit", "unknown")) if pack.is_file() else commit()


def _trained(run: Path) -> int:
    """Images that a run has seen."""
    return max((int(path.name) for path in checkpoint.found(run / "checkpoints")), default=0)


def _timed(recipe: Recipe, row: Row, bench: Bench, run: Path) -> float:
    """Train the first steps and return the seconds of an image.

    The run goes on from there. So these are the first steps of the whole recipe, at its learning rates, and not a short
    run of its own, at whose end the rates have fallen.
    """
    batch = recipe.stages[0].batch
    images = batch * min(TIMED_STEPS, max(1, (recipe.stages[0].images or 0) // batch))
    if _trained(run) >= images:
        raise BadInput(f"{run}: holds a run that no job has timed; remove the folder, or name another --work")
    marks: list[float] = []
    with bench.progress(f"{row.name}: timing the first steps", "images") as shown:

        def enough(done: int) -> bool:
            marks.append(time.monotonic())
            shown(min(done, images), images)
            return done >= images

        _train_until(recipe, bench, run, enough)
    skipped = min(WARM_STEPS, len(marks) - 2)
    return (marks[-1] - marks[skipped]) / ((len(marks) - 1 - skipped) * batch)


def _seconds_after(recipe: Recipe, bench: Bench, evaluate: bool) -> float:
    """What export and measuring will take, generously: a few windows are painted and judged, and timed."""
    seconds = _painting_seconds(recipe, "cpu") * (NORM_BATCHES * NORM_BATCH + STYLES_A_TILE * len(bench.train))
    if evaluate:
        seconds += len(bench.scene.windows) * (_painting_seconds(recipe, bench.device) + _judging_seconds(bench))
    return MARGIN * seconds + FIXED_SECONDS * min(1.0, seconds / FIXED_SECONDS)


@torch.inference_mode()
def _painting_seconds(recipe: Recipe, device: str) -> float:
    """Of one window by untrained weights, its style encoded."""
    painter = _painter(recipe).to(device).eval()
    generator = painter.generator
    layout = torch.zeros(1, channels_of([generator.condition]) + generator.classes, WINDOW, WINDOW, device=device)
    reference = torch.zeros(1, 3, WINDOW, WINDOW, device=device)
    random = torch.Generator(device).manual_seed(0)
    started = 0.0
    for turn in range(1 + TIMED_WINDOWS):
        if turn == 1:  # the first one chooses kernels
            started = time.monotonic()
        style, _ = painter.encoder(reference)
        float(generator(layout, style, generator.draw_noise(1, WINDOW, WINDOW, random)).sum())
    return (time.monotonic() - started) / TIMED_WINDOWS


def _judging_seconds(bench: Bench) -> float:
    """Of one window and its real partner."""
    tools, images = bench.tools, [window.image for window in bench.scene.windows[: 1 + TIMED_WINDOWS]]
    assert tools.extractor is not None  # noqa: S101 - a bench has both
    assert tools.segmenter is not None  # noqa: S101
    started = 0.0
    for turn, image in enumerate(images):
        if turn == 1:
            started = time.monotonic()
        tools.extractor([image, image])
        tools.segmenter(image)
    return (time.monotonic() - started) / max(1, len(images) - 1)


def _painter(recipe: Recipe) -> Painter:
    generator, encoder = recipe.generator.model_dump(), recipe.encoder.model_dump()
    return build_painter(generator, encoder, network=recipe.network, spectral=False)


def _train_until(recipe: Recipe, bench: Bench, run: Path, enough: Callable[[int], bool]) -> None:
    """Train as the recipe says, or until `enough` says so of the images seen; a checkpoint is saved either way."""
    ended = False

    def report(done: int, _: int) -> None:
        nonlocal ended
        ended = enough(done)

    try:
        bench.train_run(recipe, run, report, stop=lambda: ended)
    except Interrupted:
        if not ended:
            raise

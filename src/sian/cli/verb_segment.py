"""`sian segment`: train a segmenter, segment images, measure a segmenter on annotated tiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import (
    Device,
    GoOnFrom,
    Json,
    PrecisionName,
    Resume,
    Threads,
    Workers,
    check_outputs,
    check_recipe,
    check_there,
    named_files,
    parse_changes,
    use_threads,
)
from sian.cli.slide_options import Asked, Level, Mpp, Region, place_name, read_asked
from sian.cli.slide_segmentation import is_whole, predict_picture, predict_whole

if TYPE_CHECKING:
    from sian.data.dataset import Dataset, Item
    from sian.evaluation.agreement import Agreement
    from sian.segmentation import Segmenter

ABOUT = "Segmenters: train one, segment images with it, measure it on annotated tiles."
FORMAT = "sian.segmentation/1"
METRICS = ("dq", "sq", "pq", "aji", "dice", "f1")

app = typer.Typer(help=ABOUT, rich_markup_mode=None)

ModelFile = Annotated[
    Path | None, typer.Option("--model", "-m", help="'bundled' if not given, 'judge', or a segmenter's file.")
]


Tta = Annotated[
    bool,
    typer.Option("--tta", help="Average over flips and quarter turns (test-time augmentation): better, 8 x as long."),
]


@app.callback()
def _group() -> None:
    """Segmenters: train one, segment images with it, measure it on annotated tiles."""


@app.command("train")
def train(
    recipe: Annotated[str, typer.Argument(help="segnet, segnet-small, unet, unet-small, or the path of a .yaml file.")],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data", "-d", help="Data set on disk; repeat for several, real and synthetic.", show_default=False
        ),
    ],
    run: Annotated[Path, typer.Option("--output", "-o", help="The run's folder.", show_default=False)],
    split: Annotated[str, typer.Option(help="Which split of the data set is learned from.")] = "train",
    init: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Start from the weights of this segmenter, e.g. 'bundled'.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change one value: KEY=VALUE, e.g. images=2000.")
    ] = None,
    resume: Resume = False,
    go_on_from: GoOnFrom = None,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    precision: PrecisionName = None,
    export_on_stop: Annotated[
        bool, typer.Option("--export-on-stop", help="Write the model of what there is when Ctrl-C ends the run.")
    ] = False,
) -> None:
    """Train a segmenter and write RUN/model.safetensors. Ctrl-C saves and stops; --resume goes on.

    Where real and synthetic data sets are given together, half of the windows are synthetic; --set data.synthetic=0.3
    makes it 30 %.
    """
    check_there("folder", *data)
    check_there("file", init, bundled=True)
    check_recipe(recipe, "recipes/segmentation")
    if go_on_from is not None and not resume:
        raise typer.BadParameter("--from chooses a checkpoint to go on from; add --resume")
    use_threads(threads)

    from sian.data import open_dataset
    from sian.errors import Interrupted
    from sian.segmentation import SegmenterRecipe, load
    from sian.segmentation.segmenter_export import export_run
    from sian.segmentation.training import check_start
    from sian.segmentation.training import train as run_training
    from sian.segmentation.training_windows import TrainingTiles, read_known
    from sian.training.checks import check_run
    from sian.training.device import Hardware

    chosen = SegmenterRecipe.load(recipe, parse_changes(changes, "images=2000"))
    check_run(run, chosen, resume)
    start = None if init is None else load(init)
    check_start(start, chosen)
    sources = [open_dataset(folder).split(split) for folder in data]
    with console.progress("reading tiles", "tiles") as report:
        known = [tile for source in sources for tile in read_known(source, chosen.losses.border_px, report)]
    tiles = TrainingTiles(known, chosen)
    hardware = Hardware(device, 1, precision, workers)
    stopped: Interrupted | None = None
    try:
        with console.progress("training") as report:
            last = run_training(
                chosen,
                tiles,
                run,
                resume=resume,
                hardware=hardware,
                go_on_from=go_on_from,
                start=start,
                report=report,
            )
        console.say(f"last checkpoint: {last}")
    except Interrupted as error:
        if not export_on_stop:
            raise Interrupted(f"{error}; --export-on-stop would have written a model") from None
        stopped = error
    with console.progress("batch norm", "batches") as report:
        path = export_run(run, tiles, report=report)
    console.out(str(path))
    if stopped is not None:
        raise stopped


@app.command("predict")
def predict(
    images: Annotated[list[Path], typer.Argument(help="Images, slides or folders of them.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks.", show_default=False)],
    model: ModelFile = None,
    region: Region = None,
    level: Level = None,
    mpp: Mpp = None,
    geojson: Annotated[
        bool, typer.Option("--geojson", help="Also write OUT/NAME.geojson: detections for QuPath, where they lie.")
    ] = False,
    tta: Tta = False,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Segment the nuclei of images; writes OUT/NAME.png, 16-bit instance masks.

    Slides of more than 4096 x 4096 px become folders OUT/NAME_nuclei: labels as OME-Zarr, outlines for QuPath, a table,
    a summary, an overlay. They are segmented tile by tile, and go on after a stop.
    """
    from sian.files.images import PICTURE_SUFFIXES

    asked = Asked(region, level, mpp)
    paths = named_files(images, PICTURE_SUFFIXES, "image")
    check_there("file", model, bundled=True)
    use_threads(threads)

    segmenter = _load(model, device, tta)
    whole = {path for path in paths if is_whole(path, asked, segmenter.mpp)}
    endings = ["_nuclei" if path in whole else ".png" for path in paths]
    targets = [output / f"{path.stem}{place_name(asked)}{ending}" for path, ending in zip(paths, endings, strict=True)]
    check_outputs(targets, paths)
    for path in paths:  # all are checked before anything is written; a thousand images would not fit in memory
        if path not in whole:
            read_asked(path, asked, segmenter.mpp)
    written: list[dict[str, Any]] = []
    with console.progress("segmenting") as report:
        for number, (path, target) in enumerate(zip(paths, targets, strict=True), 1):
            if path in whole:
                written.append(predict_whole(path, target, segmenter, asked))
                continue
            written.append(predict_picture(path, target, segmenter, asked, geojson=geojson))
            report(number, len(paths))
    if as_json:
        console.print_json({"model": segmenter.sha256, "written": written})
    else:
        console.out(f"{len(written)} masks in {output}, {sum(w['nuclei'] for w in written)} nuclei")


@app.command("evaluate")
def evaluate(
    data: Annotated[Path, typer.Option("--data", "-d", help="Data set on disk.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The report's folder.", show_default=False)],
    model: ModelFile = None,
    split: Annotated[str, typer.Option(help="Which split is measured.")] = "test",
    masks: Annotated[bool, typer.Option("--masks", help="Also write the predicted masks.")] = False,
    tta: Tta = False,
    device: Device = "cpu",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure a segmenter on annotated tiles.

    It gives DQ, SQ, PQ, AJI, Dice and F1 by tile, by organ and pooled, and writes REPORT/segmentation.json
    and REPORT/tiles.csv.
    """
    check_there("folder", data)
    check_there("file", model, bundled=True)
    use_threads(threads)

    from sian.data import open_dataset
    from sian.errors import warn
    from sian.evaluation.agreement import agreement
    from sian.evaluation.report import check_target
    from sian.files.atomic import json_text, write_together
    from sian.masks import write_mask

    check_target(output)
    source = open_dataset(data).split(split)
    if source.info.synthetic:
        warn(f"{data}: its images are synthetic; what a segmenter scores on them says nothing about real tissue")
    segmenter = _load(model, device, tta)
    scores: list[tuple[Item, Agreement]] = []
    with console.progress("segmenting", "tiles") as report:
        for number, item in enumerate(source, 1):
            found = segmenter.predict(source.image(item))
            scores.append((item, agreement(source.mask(item), found)))
            if masks:
                write_mask(output / "masks" / f"{item.id}.png", found)
            report(number, len(source))
    result = _result(scores, segmenter, model, source, split)
    table = _table_text(result["tiles"])
    write_together({output / "segmentation.json": json_text(result), output / "tiles.csv": table})
    if as_json:
        console.print_json(result)
    else:
        console.out(_table(result))


def _result(
    scores: list[tuple[Item, Agreement]], segmenter: Segmenter, model: Path | None, source: Dataset, split: str
) -> dict[str, Any]:
    from sian.evaluation.agreement import summarize
    from sian.evaluation.notes import versions

    means, pooled = summarize([score for _, score in scores])
    per_organ = {}
    for organ in source.organs:
        of_organ = [score for item, score in scores if item.organ == organ]
        per_organ[organ] = {"n": len(of_organ), **_rounded(summarize(of_organ)[0])}
    return {
        "format": FORMAT,
        "n": len(scores),
        "metrics": _rounded(means),
        "pooled": _rounded(pooled),
        "per_organ": per_organ,
        "tiles": [
            {"id": item.id, "organ": item.organ, "preparation": item.preparation, **_rounded(score.as_dict())}
            for item, score in scores
        ],
        "inputs": {
            "data": {"path": str(source.folder), "split": split, "items": len(source)},
            "segmenter": {
                "path": "bundled" if model is None else str(model),
                "sha256": segmenter.sha256,
                "tta": segmenter.tta,
            },
        },
        "training": segmenter.facts,
        "versions": versions(),
    }


def _rounded(scores: dict[str, float]) -> dict[str, float | None]:
    """Six decimals; None where there is no score, which JSON can say."""
    return {key: None if value != value else round(value, 6) for key, value in scores.items()}


def _table(result: dict[str, Any]) -> str:
    """The result for people: one line a tile, then organs, mean and pooled."""
    rows = [(f"{t['id']} ({t['organ']}, {t['preparation']})", t) for t in result["tiles"]]
    rows += [(f"{organ}, mean of {scores['n']}", scores) for organ, scores in result["per_organ"].items()]
    rows += [(f"mean of {result['n']} tiles", result["metrics"]), ("pooled over all nuclei", result["pooled"])]
    width = max(len(name) for name, _ in rows)
    lines = [" " * width + "".join(f"{metric.upper():>8}" for metric in METRICS)]
    for name, scores in rows:
        cells = ("     nan" if scores[metric] is None else f"{scores[metric]:8.3f}" for metric in METRICS)
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def _table_text(tiles: list[dict[str, Any]]) -> str:
    import csv
    import io

    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(tiles[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(tiles)
    return stream.getvalue()


def _load(model: Path | None, device: str, tta: bool) -> Segmenter:
    from sian.segmentation import load

    segmenter = load(model, device)
    segmenter.tta = tta
    return segmenter

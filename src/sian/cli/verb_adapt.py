"""`sian adapt`: a segmenter made better on slides that nobody annotated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import Device, Json, Threads, check_outputs, check_there, named_files, use_threads
from sian.cli.slide_options import FILE, Asked
from sian.cli.slide_segmentation import is_whole, predict_picture
from sian.errors import Interrupted

if TYPE_CHECKING:
    from sian.adaptation import Adapted
    from sian.segmentation import Segmenter

MASKS = "masks"  # folder of the pictures' masks and outlines


def adapt(
    slides: Annotated[
        list[Path], typer.Argument(help="Slides, pictures or folders of them; no annotation.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.", show_default=False)],
    labelled: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="A few annotated tiles of this stain, to choose by.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="About how many minutes it may take.", min=0.1)] = 20.0,
    images: Annotated[
        int | None, typer.Option(min=4, help="Learn from N windows instead, however long it takes.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="The segmenter to start from: 'bundled' if not given, or a file."),
    ] = None,
    painter: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="The model that paints the outlines: 'bundled' if not given, or a file."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(metavar="MPP", help="Micrometres a pixel of slides that do not say it, e.g. 0.5.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of painting, learning and judging.")] = 0,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Make a segmenter better on slides that nobody annotated.

    It outlines nuclei in windows of the slides, learns from these outlines and from paintings of them in the slides'
    styles, and keeps what it learned only if that is no worse.
    Writes OUT/segmenter.safetensors, OUT/report.html with outlines before and after, and OUT/masks with a mask and
    outlines for QuPath (GeoJSON) of every picture of at most 4096 x 4096 px. Stopped, the same command goes on.
    """
    from sian.files.images import PICTURE_SUFFIXES

    paths = named_files(slides, PICTURE_SUFFIXES, "image")
    targets = {path: output / MASKS / f"{path.stem}.png" for path in paths}
    check_outputs([*targets.values(), *(target.with_suffix(".geojson") for target in targets.values())], paths)
    check_there("folder", labelled)
    check_there("file", model, painter, bundled=True)
    use_threads(threads)

    from dataclasses import replace

    from sian.adaptation import adapt as run
    from sian.data import open_dataset
    from sian.segmentation import load
    from sian.training.device import AUTO, Hardware

    known = open_dataset(labelled) if labelled else None
    result = run(
        paths,
        output,
        segmenter=model,
        painter=painter,
        labelled=known,
        minutes=minutes,
        images=images,
        mpp=mpp,
        seed=seed,
        hardware=Hardware(device, precision=AUTO),
        progress=console.progress,
        say=console.say,
    )
    used = {path: target for path, target in targets.items() if path not in result.left_out}
    written = _masks(used, result.model, replace(load(result.model, device), tta=True), mpp)
    if as_json:
        console.print_json({**_facts(result), "written": written})
        return
    console.out(str(result.model))
    console.say(f"its report: {result.report}; masks and outlines of {len(written)} pictures: {output / MASKS}")
    if len(written) < len(used):
        console.say(f"whole slides: sian segment predict SLIDE -m {result.model} --mpp file -o OUT")


def _masks(targets: dict[Path, Path], model: Path, segmenter: Segmenter, given: float | None) -> list[dict[str, Any]]:
    """Masks and outlines of the pictures that are not whole slides."""
    asked = {path: _asked(path, segmenter.mpp, given) for path in targets}
    small = [path for path in targets if not is_whole(path, Asked(), segmenter.mpp)]
    written: list[dict[str, Any]] = []
    try:
        with console.progress("segmenting") as report:
            for number, path in enumerate(small, 1):
                written.append(predict_picture(path, targets[path], segmenter, asked[path], geojson=True))
                report(number, len(small))
    except KeyboardInterrupt:
        raise Interrupted(
            f"{model.parent}: the segmenter and its report are finished, stopped after {len(written)} of {len(small)} "
            f"masks; the others: sian segment predict PICTURES -m {model} --tta --geojson -o OUT"
        ) from None
    return written


def _asked(path: Path, mpp: float, given: float | None) -> Asked:
    """A picture of another pixel size than the segmenter's is rescaled, as its windows were."""
    from sian.files.images import differs
    from sian.slides import open_slide

    with open_slide(path) as slide:
        rescaled = differs(given or slide.mpp, mpp)
    return Asked(mpp=(FILE if given is None else f"{given:g}") if rescaled else None)


def _facts(result: Adapted) -> dict[str, Any]:
    return {
        "model": result.model,
        "report": result.report,
        "learned": result.learned,
        "why": result.why,
        "windows": result.windows,
        "images": result.images,
        "minutes": round(result.minutes, 1),
        "left_out": {str(path): reason for path, reason in result.left_out.items()},
    }

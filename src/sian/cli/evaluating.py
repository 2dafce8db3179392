"""What `sian evaluate` and `sian evaluate-model` share: their checks, their tools, and what they say and write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.data.dataset import Dataset
    from sian.evaluation.collection import Collection
    from sian.evaluation.evaluate import Evaluation, Tools

NAMED = 8  # names without a partner that are printed; the report has all

Segmenter = Annotated[
    Path | None,
    typer.Option(
        "--segmenter", metavar="MODEL", help="Segments the images: 'judge' as in our tables, 'bundled', or a file."
    ),
]
Segmented = Annotated[
    Path | None,
    typer.Option(
        "--segmented",
        metavar="FOLDER",
        help="Or: masks that another segmenter found in the images.",
    ),
]
SegmentedReal = Annotated[
    Path | None,
    typer.Option("--segmented-real", metavar="FOLDER", help="Masks that it found in the real images, for the floor."),
]
Judge = Annotated[
    str | None,
    typer.Option(
        "--judge", metavar="NAME", help="What the report calls that segmenter; the folder's name if not given."
    ),
]
Memorisation = Annotated[bool, typer.Option("--memorisation", help="Look for copies of training images.")]
Blind = Annotated[
    Path | None,
    typer.Option("--blind", metavar="PAGE.html", help="Write a page on which people guess what is real."),
]
Fid = Annotated[bool, typer.Option("--fid/--no-fid", help="Measure FID and KID (needs Inception).")]
Cache = Annotated[Path | None, typer.Option("--cache", metavar="DIR", help="Where features of real images are kept.")]
Report = Annotated[Path | None, typer.Option("--output", "-o", metavar="REPORT", help="The report's folder.")]


def check_places(output: Path | None, as_json: bool, blind: Path | None, images: Path | None = None) -> None:
    """Refuse places that cannot be written, and a result that would go nowhere."""
    from sian.evaluation.report import check_target
    from sian.files.locks import check_writable

    if output is None and not as_json:
        raise typer.BadParameter("give -o REPORT, --json or both")
    if output is not None:
        check_target(output)
    for place, is_folder in ((blind, False), (images, True)):
        if place is not None:
            check_writable(place, is_folder)


def check_memorisation(wanted: bool, data: Path | None, split: str | None, fid: bool) -> None:
    """Refuse to look for copies without what that needs."""
    if wanted and split == "train":
        raise BadInput("--memorisation: needs held-out real windows, found the split 'train'; add --split test")
    if wanted and (data is None or not fid):
        raise BadInput("--memorisation: needs the data set that was trained on and Inception; add --data DATASET")


def check_judges(
    segmenter: Path | None, segmented: Path | None, segmented_real: Path | None, judge: str | None
) -> None:
    """Refuse two segmenters at once, and words about one that is not there."""
    if segmented is not None and segmenter is not None:
        raise BadInput("--segmented: holds what a segmenter found, and --segmenter is another; leave one of them out")
    if segmented is None and (segmented_real is not None or judge is not None):
        raise BadInput("--segmented-real, --judge: belong to --segmented FOLDER, found none; add it")


def make_tools(
    segmenter: Path | None, fid: bool, weights: Path | None, trust: bool, cache: Path | None, device: str
) -> Tools:
    """The Inception and the segmenter, loaded."""
    from sian.evaluation.evaluate import Tools
    from sian.evaluation.features import InceptionFeatures

    segment = None
    if segmenter is not None:
        from sian import segmentation

        segment = segmentation.load(segmenter, device).predict
    extractor = InceptionFeatures.load(weights, trust=trust, device=device) if fid else None
    return Tools(extractor, segment, cache)


def segmenter_facts(segmenter: Path | None, found: Collection | None, judge: str | None) -> dict[str, Any]:
    """What the report says of the segmenter: its file, or its name and masks."""
    from sian.files import sha256_file

    if found is not None:
        return {"segmenter": {"name": judge or Path(found.label).name, **found.describe()}}
    if segmenter is None:
        return {}
    from sian.files.bundled import segmenter_path

    return {"segmenter": {"path": str(segmenter), "sha256": sha256_file(segmenter_path(segmenter))}}


def look_for_copies(finished: Evaluation, data: Dataset, split: str, tools: Tools) -> None:
    """Put into the result which images lie nearer to a training image than held-out real windows do."""
    from sian.evaluation.memorisation import screen
    from sian.evaluation.scenes import window_collection

    if tools.extractor is None:
        raise BadInput("--memorisation: needs Inception; leave --no-fid out")
    training = window_collection(data.split("train"), dense=True)
    with console.progress("looking for copies") as report:
        finished.result["memorisation"] = screen(
            finished.collections["fake"],
            training,
            window_collection(data.split(split)),
            tools.extractor,
            cache=tools.cache,
            report=report,
        )


def present(finished: Evaluation, output: Path | None, blind: Path | None, seed: int, as_json: bool) -> None:
    """Write the report and the page for guessing, and print the result."""
    from sian.evaluation.report import write_report

    if output is not None:
        console.say(f"report: {write_report(finished, output)}")
    if blind is not None:
        from sian.evaluation.blind import IMAGES, blind_page
        from sian.files import write_text

        shown, others = finished.collections["fake"], finished.collections["real"]
        write_text(blind, blind_page(shown, others, min(IMAGES, len(shown), len(others)), seed))
        console.say(f"blind test: {blind}")
    if as_json:
        console.print_json(finished.result)
    else:
        console.out(summary(finished.result))


def summary(result: dict[str, Any]) -> str:
    """The numbers with their floors as lines of text."""
    lines = [f"{'':8}{'measured':>18}{'floor':>18}"]
    for name, value in result["metrics"].items():
        if value is not None:
            lines.append(f"{name:8}{_text(value):>18}{_text(result['floors'].get(name)):>18}")
    lines += [f"n = {result['n']} against {result['n_real']} real images"]
    lines += _unpaired(result["unpaired"])
    lines += [f"note: {sentence}" for sentence in result["warnings"]]
    copies = result.get("memorisation")
    lines += [f"possible copies of training images: {len(copies['flagged'])} of {copies['n']}"] if copies else []
    return "\n".join(lines)


def _unpaired(entries: list[dict[str, str]]) -> list[str]:
    """One line for each pair of sides that lack partners, naming the first few."""
    sides: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        sides.setdefault((entry["in"], entry["not_in"]), []).append(entry["name"])
    lines = []
    for (found, missing), names in sides.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines.append(f"in {found} but not in {missing}: {', '.join(names[:NAMED])}{more}")
    return lines


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"{value['mean']:.4f} +- {value['std']:.4f}"
    return f"{value:.3f}"

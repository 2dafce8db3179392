"""``sian evaluate``: folders of images against real ones and masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Device, Json, Threads, TrustWeights, Weights, check_there, use_threads
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
    from sian.evaluation.slide_windows import Cut


def evaluate(
    fake: Annotated[Path, typer.Argument(metavar="FAKE", help="Folder of images to judge, a data set, or a slide.")],
    real: Annotated[Path, typer.Option(help="Folder of real images or slides, a data set, or a slide.")],
    masks: Annotated[Path | None, typer.Option(help="Instance masks, named like the images; or a data set.")] = None,
    segmenter: Segmenter = None,
    segmented: Segmented = None,
    segmented_real: SegmentedReal = None,
    judge: Judge = None,
    floor: Annotated[Path | None, typer.Option(help="More real images, whose FID and KID are the floor.")] = None,
    split: Annotated[str | None, typer.Option(help="Of data sets, take this split only.")] = None,
    window: Annotated[
        int | None,
        typer.Option(min=64, help="Side of a slide's windows in px; that of the first fake, or 512, if not given."),
    ] = None,
    windows: Annotated[int, typer.Option(min=1, help="At most N windows of tissue a slide.")] = 64,
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres a pixel of a slide's windows; the slide's own if not given.")
    ] = None,
    memorisation: Memorisation = False,
    data: Annotated[
        Path | None, typer.Option(help="With --memorisation: the data set that the model learned from.")
    ] = None,
    blind: Blind = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of what --blind shows.")] = 0,
    fid: Fid = True,
    weights: Weights = None,
    trust_weights: TrustWeights = False,
    cache: Cache = None,
    device: Device = "cpu",
    threads: Threads = None,
    output: Report = None,
    as_json: Json = False,
) -> None:
    """Measure images: FID, KID, SSIM and mask metrics, each beside its floor.

    FID and KID need no pairs. SSIM compares an image with the real one of its name. The mask metrics compare the
    nuclei that a segmenter finds in an image with the mask of its name. Slides are cut into windows of their tissue.
    `sian evaluate-model` measures a model on a data set.
    """
    check_there("folder", fake, real, masks, segmented, segmented_real, floor)
    check_places(output, as_json, blind)
    check_memorisation(memorisation, data, split, fid)
    check_judges(segmenter, segmented, segmented_real, judge)
    if segmented is not None and masks is None:
        raise BadInput("--segmented: needs the masks that were painted to compare with; add --masks MASKS")
    dataset = _opened(data, split or "test")
    cut = _cut(fake, split, window, windows, mpp)
    found, found_real = (_masks_of(f, of, split, cut) for f, of in ((segmented, fake), (segmented_real, real)))

    from sian.evaluation.collection import open_images, open_masks
    from sian.evaluation.evaluate import evaluate as compare

    use_threads(threads)
    tools = make_tools(segmenter, fid, weights, trust_weights, cache, device)
    with console.progress("measuring") as report:
        finished = compare(
            open_images(fake, _split_of(fake, split), cut),
            open_images(real, _split_of(real, split), cut),
            open_masks(masks, _split_of(masks, split)) if masks else None,
            tools=tools,
            predicted=found,
            predicted_real=found_real,
            train=open_images(floor, cut=cut) if floor else None,
            settings={"inputs": segmenter_facts(segmenter, found, judge)},
            report=report,
        )
    if memorisation and dataset is not None:
        look_for_copies(finished, dataset, split or "test", tools)
    present(finished, output, blind, seed, as_json)


def _opened(data: Path | None, split: str) -> Dataset | None:
    from sian.data import open_dataset

    if data is None:
        return None
    opened = open_dataset(data)
    opened.split(split)  # an unknown split is said before anything is measured
    return opened


def _cut(fake: Path, split: str | None, side: int | None, most: int, mpp: float | None) -> Cut:
    """How slides are cut: into windows as large as the fakes, where these are pictures."""
    from sian.evaluation.collection import open_images
    from sian.evaluation.slide_windows import Cut
    from sian.synthesis.magnification import check_mpp

    cut = Cut(side or Cut.side, most, None if mpp is None else check_mpp(mpp))
    if side is not None:
        return cut
    fakes = open_images(fake, _split_of(fake, split), cut)
    first = fakes.read(fakes.names[0])
    return Cut(min(first.shape[:2]), most, cut.mpp)


def _masks_of(folder: Path | None, of: Path, split: str | None, cut: Cut) -> Collection | None:
    """Another segmenter's masks of a folder's images: checked before anything is done."""
    from sian.evaluation.collection import open_images
    from sian.evaluation.segmented import open_segmented

    if folder is None:
        return None
    images = open_images(of, _split_of(of, split), cut)
    return open_segmented(folder, {name: images.read(name).shape[:2] for name in images.names})


def _split_of(path: Path, split: str | None) -> str | None:
    """The split, for a data set; a plain folder has none."""
    return split if (path / "dataset.json").is_file() else None

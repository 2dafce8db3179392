"""Slides in, a segmenter for their stain out; which one is kept, and why, is said.

1. Windows of tissue are cut from the slides. No label of them is seen.
2. The segmenter outlines them by test-time augmentation. The painter paints these outlines in the styles of the
   windows. The segmenter learns from both, in colours that are changed at random.
3. What it has become is compared with what it was: by PQ on annotated tiles where some are given, else by whether it
   is steadier and finds about as many nuclei of about the same size. If not, the result is the segmenter that was begun
   with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sian.adaptation.adaptation_report import shown, write_report
from sian.adaptation.going_on import begin, check_output, fingerprint
from sian.adaptation.learning import affordable, begun_length, has_begun, learn_often
from sian.adaptation.painted import check_painter, painted_tiles
from sian.adaptation.result import Adapted, Judged
from sian.adaptation.slide_cutting import cut_slides
from sian.adaptation.steadiness import look
from sian.errors import BadInput, Interrupted
from sian.evaluation.agreement import agreement, summarize
from sian.files.locks import only_writer
from sian.masks import nucleus_ids
from sian.segmentation.segmenter import Segmenter, load, save
from sian.segmentation.self_training import outline, self_taught
from sian.synthesis import load as load_painter
from sian.synthesis.magnification import check_mpp
from sian.training.device import AUTO, Hardware, launch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.data import Dataset

LEAST_NUCLEI = 30  # in all windows; fewer teach nothing
SLACK = 0.02  # steadiness may fall by so much before the result is refused
COUNTS, AREAS = 2.0, 1.5  # by so many times nuclei, and their median area, may change
PAINTED = 66  # paintings to learn from beside the windows
RESERVE = 1.3  # judging again takes as long as it took, and a little more
MODEL, RUN = "segmenter.safetensors", "run"

Report = Callable[[int, int], None]
Progress = Callable[[str, str], AbstractContextManager[Report]]  # what is done, what is counted
Say = Callable[[str], None]


def adapt(
    slides: Sequence[str | Path],
    output: str | Path,
    *,
    segmenter: str | Path | None = None,
    painter: str | Path | None = None,
    labelled: Dataset | None = None,
    minutes: float = 20.0,
    images: int | None = None,
    mpp: float | None = None,
    seed: int = 0,
    hardware: Hardware | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Adapted:
    """Adapt a segmenter to slides that nobody annotated.

    Args:
        slides: pictures or slides of the stain, of any size that `sian.slides` opens; at least 256 x 256 px.
        output: the folder to make: segmenter.safetensors, report.html, report.json. A stopped one goes on.
        segmenter: what is begun with; the bundled one if not given.
        painter: a model file, which paints what was outlined; the bundled one if not given.
        labelled: annotated tiles of the same stain, to choose by; they are not learned from.
        minutes: by the clock, in all.
        images: learn from so many windows instead, however long it takes.
        mpp: micrometres a pixel of the slides; what they say themselves if not given. Others than the segmenter's are
            rescaled.
        seed: of learning and judging.
        hardware: where to compute; if not given, in bfloat16 where that is quicker.
        progress: called with the name of each part of the work and with what is counted in it; returns a context that
            gives a `report` for that part.
        say: called with sentences.

    Raises:
        BadInput: a slide cannot be read, they hold hardly a nucleus, or the output holds something else.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on.
    """
    output, hardware = Path(output), hardware or Hardware(precision=AUTO)
    progress, say = progress or _silent, say or _nothing
    check(slides, output, minutes, images, seed, labelled)
    if mpp is not None:
        check_mpp(mpp)
    with only_writer(output):
        return _adapted(
            slides, output, segmenter, painter, labelled, minutes, images, mpp, seed, hardware, progress, say
        )  # fmt: skip


def _adapted(
    slides: Sequence[str | Path],
    output: Path,
    segmenter: str | Path | None,
    painter: str | Path | None,
    labelled: Dataset | None,
    minutes: float,
    images: int | None,
    mpp: float | None,
    seed: int,
    hardware: Hardware,
    progress: Progress,
    say: Say,
) -> Adapted:
    """What `adapt` does, once its arguments are known to be good and nobody else writes there."""
    # What is read, and whether it can be used.
    begun, device, run = time.monotonic(), str(launch(hardware).device), output / RUN
    start, judge, paints = load(segmenter, device), load("judge", device), load_painter(painter, device)
    with progress("cutting windows", "slides") as report:
        whole = cut_slides(slides, start.mpp, report, say, mpp)
    cut = whole.windows
    check_painter(paints, cut[0])
    made_of = {"slides": fingerprint(cut), "model": start.sha256, "painter": paints.sha256, "seed": seed}
    begin(output, made_of | {"images": images}, learning=has_begun(run))

    # What is known before learning.
    with progress("outlining", "windows") as report:
        masks = [outline(start, image) for image in counted(cut, report)]
    found = sum(len(nucleus_ids(mask)) for mask in masks)
    if found < LEAST_NUCLEI:
        raise BadInput(
            f"{slides[0]}: found {found} nuclei in {len(cut)} windows of all slides, expected at least {LEAST_NUCLEI}; "
            "give H&E at about 0.25 um a pixel, slides that say their micrometres a pixel, or another --model"
        )
    before = time.monotonic()
    others = [judge.predict(image) for image in cut]
    first = _judged(start, cut, others, labelled, seed, "judging what there is", progress)
    reserve = RESERVE * (time.monotonic() - before)

    # Learning.
    names = [f"window-{number}" for number in range(len(cut))]
    licence = str(start.facts.get("licence", "unknown"))
    border = start.recipe.losses.border_px
    tiles = [self_taught(*one, border, licence) for one in zip(names, cut, masks, strict=True)]
    with progress("painting", "windows") as report:
        tiles += painted_tiles(paints, cut, masks, PAINTED, border, seed, report, keep_tissue=paints.takes_tissue)
    try:
        left = minutes * 60 - (time.monotonic() - begun) - reserve
        length = images or begun_length(run) or affordable(start, tiles, run, left, hardware, say)
        with progress("learning", "windows") as report:
            taught = learn_often(start, tiles, run, length, seed, hardware, report)
    except Interrupted as error:
        raise Interrupted(f"{error}".replace("--resume", "the same command")) from None
    second = _judged(taught, cut, others, labelled, seed, "judging what was learned", progress)

    # What is kept.
    better, why = verdict(first, second)
    kept = taught if better else start
    save(kept, output / MODEL)
    chosen = shown(len(cut))
    figures = [(number, cut[number], masks[number], outline(taught, cut[number])) for number in chosen]
    result = Adapted(
        output / MODEL,
        output / "report.html",
        better,
        why,
        first,
        second,
        len(cut),
        int(taught.facts["images"]),
        (time.monotonic() - begun) / 60,
        whole.left_out,
    )
    inputs = {"slides": [str(path) for path in slides], "segmenter": start.sha256, "painter": paints.sha256}
    write_report(result, figures, inputs | {"painted": PAINTED, "seed": seed})
    say(why)
    return result


def check(
    slides: Sequence[str | Path],
    output: Path,
    minutes: float,
    images: int | None = None,
    seed: int = 0,
    labelled: Dataset | None = None,
) -> None:
    """Refuse what cannot work before anything is read.

    Raises:
        BadInput: no slides, no time, no windows, no annotated tile or one that cannot be read, or a folder that holds
            something else.
    """
    if not slides:
        raise BadInput("expected pictures or slides to adapt to, found none; name some")
    if not 0 < minutes < math.inf:
        raise BadInput(f"found {minutes:g} minutes, expected a number above 0, e.g. 20")
    if images is not None and images < 1:
        raise BadInput(f"found {images} windows to learn from, expected at least 1; leave images out or give e.g. 2000")
    if seed < 0:
        raise BadInput(f"found the seed {seed}, expected 0 or more")
    check_output(output)
    if labelled is None:
        return
    if not len(labelled):
        raise BadInput(f"{labelled.folder}: holds no annotated tiles, expected a few to choose by; leave it out")
    for item in labelled:
        labelled.image(item)
        labelled.mask(item)


def verdict(start: Judged, taught: Judged) -> tuple[bool, str]:
    """Whether what has learned becomes the result, and why."""
    was, now = start.seen, taught.seen
    if start.pq is not None and taught.pq is not None:
        better = taught.pq > start.pq
        which = "the segmenter that learned from the slides" if better else "the segmenter as it was"
        return better, f"kept {which}: PQ on the labelled tiles went from {start.pq:.3f} to {taught.pq:.3f}"
    steady = f"steadiness went from {was.steadiness:.3f} to {now.steadiness:.3f}"
    if not now.steadiness >= was.steadiness - SLACK:
        return False, f"kept the segmenter as it was: {steady} by learning"
    if not within(was.nuclei, now.nuclei, COUNTS):
        return False, f"kept the segmenter as it was: nuclei went from {was.nuclei} to {now.nuclei} by learning"
    if not within(was.median_area, now.median_area, AREAS):
        areas = f"from {was.median_area:.0f} to {now.median_area:.0f} px"
        return False, f"kept the segmenter as it was: the median area of nuclei went {areas} by learning"
    return True, f"kept the segmenter that learned from the slides: {steady}, nuclei from {was.nuclei} to {now.nuclei}"


def within(before: float, after: float, times: float) -> bool:
    """Whether a number changed by no more than so many times; not where one of them is 0 or nan.

    >>> within(10, 19, 2.0), within(10, 4, 2.0), within(0, 4, 2.0)
    (True, False, False)
    """
    return bool(min(before, after) > 0 and 1 / times <= after / before <= times)


def counted(things: Sequence[NDArray[np.uint8]], report: Report) -> Iterator[NDArray[np.uint8]]:
    """The things one by one, counted as they are done with."""
    for number, thing in enumerate(things, 1):
        yield thing
        report(number, len(things))


def _judged(
    segmenter: Segmenter,
    cut: Sequence[NDArray[np.uint8]],
    others: Sequence[NDArray[np.int32]],
    labelled: Dataset | None,
    seed: int,
    what: str,
    progress: Progress,
) -> Judged:
    with progress(what, "windows") as report:
        seen = look(segmenter, cut, others, seed, report)
    if labelled is None:
        return Judged(seen, None)
    scores = []
    with progress(f"{what} by the labels", "tiles") as report:
        for number, item in enumerate(labelled, 1):
            scores.append(agreement(labelled.mask(item), outline(segmenter, labelled.image(item))))
            report(number, len(labelled))
    pq = summarize(scores)[0]["pq"]
    return Judged(seen, pq if pq == pq else None)  # no value where neither labels nor segmenter hold a nucleus


def _silent(what: str, counted: str) -> AbstractContextManager[Report]:
    del what, counted
    return nullcontext(_nothing)


def _nothing(*_: object) -> None:
    """Progress and sentences that nobody asked for."""

"""The button that adapts: `sian adapt` on the pictures that are open, as a process of its own.

It makes the segmenter better on a stain; no mask of the pictures is looked at. If it learned, the studio finds nuclei
by it from then on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.evaluation.pictures import SEEN_COLOUR, outlined
from sian.files import write_png
from sian.masks import nucleus_ids
from sian.studio_app.child_process import follow
from sian.studio_app.snapshots import free_folder, middle_of
from sian.synthesis.sheet import contact_sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.data.dataset import Dataset
    from sian.studio_app.jobs import Report
    from sian.studio_app.studio import Studio

    Picture = NDArray[np.uint8]

MOST = 48  # pictures, spread over the data set; `sian adapt` looks at no more
SHEET_SIDE = 512  # px
AFTER_COLOUR = (40, 255, 60)  # as in the report of `sian adapt`


def adapt(studio: Studio) -> None:
    """Adapt the segmenter to the open data set, or to the open picture; then show outlines before and after.

    Raises:
        BadInput: neither is open.
    """
    below, tiles = studio.below, studio.tiles
    if tiles is None and below is None:
        raise BadInput("no real picture is open that the segmenter could adapt to; open a picture or a data set")
    shown = below.picture if below is not None else tiles.dataset.image(tiles.dataset.items[0])  # type: ignore[union-attr]
    name = tiles.folder.name if tiles is not None else studio.name
    run = free_folder(studio.folder, "adapted")

    def work(report: Report) -> str:
        pictures, mpp = _pictures(tiles.dataset) if tiles is not None else ([_written(studio, shown)], None)
        before = studio.segmenter
        command = ["adapt", *map(str, pictures), "-o", str(run), "--json", "--device", str(studio.model.device)]
        command += ["--model", str(before)] if before is not None else []
        command += ["--painter", str(studio.model_path)] if studio.model_path is not None else []
        command += ["--mpp", f"{mpp:g}"] if mpp is not None else []
        facts = json.loads(follow(command, report).out)
        made = Path(facts["model"])
        if facts["learned"]:
            studio.segmenter = made
        then = "the studio finds nuclei by it now" if facts["learned"] else "the studio goes on with it"
        sentence = f"{facts['why']}; {then}. Its file: {made}; its report: {facts['report']}"
        report(0, 0, "outlining before and after")
        studio.show_sheet(_before_and_after(shown, before, made), sentence)
        return sentence

    studio.jobs.add(f"adapting the segmenter to {name}", work)


def _pictures(dataset: Dataset) -> tuple[list[Path], float | None]:
    """Pictures of a data set, spread over it, and their micrometres a pixel where all say the same."""
    count = len(dataset)
    items = [dataset.items[place * count // min(count, MOST)] for place in range(min(count, MOST))]
    sizes = {item.mpp for item in items}
    return [dataset.path(item.image) for item in items], sizes.pop() if len(sizes) == 1 else None


def _written(studio: Studio, picture: Picture) -> Path:
    """The open picture as a file, which the command wants."""
    folder = studio.folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{studio.stem}.png"
    write_png(path, picture)
    return path


def _before_and_after(picture: Picture, before: Path | None, after: Path) -> Picture:
    """The middle of a picture with what the segmenter finds in it before and after."""
    from sian.segmentation import load

    top, left, bottom, right = middle_of(picture.shape, SHEET_SIDE)
    middle = picture[top:bottom, left:right]
    pictures, names = [], []
    for name, path, colour in (("before", before, SEEN_COLOUR), ("after", after, AFTER_COLOUR)):
        found = load(path).predict(middle)
        pictures.append(outlined(middle, found, colour))
        names.append(f"{name}: {len(nucleus_ids(found))} nuclei")
    return contact_sheet([pictures], names)

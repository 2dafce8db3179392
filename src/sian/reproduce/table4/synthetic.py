"""The synthetic images of Table 4: invented nuclei in the styles of seven organs (paper, section 4.5), or one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sian.data import open_dataset
from sian.errors import BadInput
from sian.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from sian.data import Dataset
    from sian.production import Plan

STYLES = ("bladder", "breast", "colon", "kidney", "liver", "prostate", "stomach")  # MoNuSeg's training organs


def plan_of(images: int, model: str = "bundled") -> Plan:
    """The plan: so many images of 256 px, shared equally by the styles, each style one vector as in the paper."""
    from sian.production import Plan

    return Plan.parse(
        {
            "name": f"table4-{images}",
            "description": "Invented nuclei in seven organs' styles, for Table 4",
            "images": images,
            "model": {"file": model},
            "masks": {"source": "nuclei", "size": 256},
            "styles": [{"style": style} for style in STYLES],
            "form": "folders",
        },
        "the plan of Table 4",
    )


def make_synthetic(
    folder: Path, images: int, model: str, workers: int, report: Callable[[int, int], None] | None = None
) -> Dataset:
    """The data set of the plan, made or completed in `folder`.

    Raises:
        BadInput: the folder holds another plan's images, or some could not be made.
    """
    from sian.production import run

    outcome = run(plan_of(images, model), folder, workers=workers, report=report)
    if outcome.failed:
        raise BadInput(f"{folder}: {len(outcome.failed)} of {images} images could not be made; run again to retry")
    return open_synthetic(folder)


def open_synthetic(folder: Path) -> Dataset:
    """A data set that says that it is synthetic, all of it.

    Raises:
        BadInput: it does not, or an item has no model that painted it.
    """
    data = open_dataset(folder)
    if not data.info.synthetic:
        raise BadInput(
            f"{folder}: expected a synthetic data set, found one whose dataset.json says synthetic: false; make one "
            "with `sian dataset`, or leave --synthetic out"
        )
    if real := [item.id for item in data if not item.model]:
        raise BadInput(
            f"{folder}: expected synthetic items only, found {len(real)} without a model that painted them (the first "
            f"is {real[0]!r}); leave them out"
        )
    return data.split("train")


def painter_tiles(painted: Dataset, model: str) -> set[str] | None:
    """The tiles that the painter of a data set has learned from, and the models that it was fine-tuned from.

    Args:
        painted: a synthetic data set.
        model: "bundled", or the file of the model that is thought to have painted it.

    Returns:
        Names of tiles; None if that file is not there, or another model painted any of the images.
    """
    from sian.synthesis.load_model import bundled_model
    from sian.synthesis.modelfile import read_info

    path = bundled_model() if model == "bundled" else Path(model)
    if not path.is_file() or {item.model for item in painted} != {sha256_file(path)}:
        return None
    facts, tiles = read_info(path).training, set[str]()
    while True:
        tiles |= {*facts.tiles, *facts.held_out}
        if facts.base is None:
            return tiles
        facts = facts.base.training

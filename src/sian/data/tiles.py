"""Tiles of a data set with their layouts in memory, for training and for the style bank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sian.data.sampling import Tile
from sian.errors import BadInput
from sian.layout import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sian.data.dataset import Dataset


def read_tiles(
    data: Dataset,
    organ_aliases: Mapping[str, str] | None = None,
    report: Callable[[int, int], None] | None = None,
    class_names: Sequence[str] = (),
    *,
    tissue: bool = False,
) -> list[Tile]:
    """All tiles of a data set (or of one of its splits), described upright and whole.

    Args:
        data: e.g. ``sian.open_dataset(folder).split("train")``.
        organ_aliases: organs to be called otherwise, e.g. {"liver": "lung"}.
        report: called with (tiles read, tiles in all).
        class_names: of the nuclear classes that layouts are to carry, in the order of their numbers; without them they
            carry none.
        tissue: whether layouts are to say what lies between the nuclei.

    Raises:
        BadInput: the data set holds no tile, or a tile cannot be read or has other classes.
    """
    if not len(data):
        raise BadInput("expected tiles to train on, found none; check --data and --split with `sian data inspect`")
    tiles = []
    for number, item in enumerate(data, 1):
        organ = (organ_aliases or {}).get(item.organ, item.organ)
        image, classes = data.image(item), (item.class_by_id, class_names) if class_names else ()
        layout = describe(data.mask(item), *classes, tissue=image if tissue else None)
        tiles.append(Tile(item.id, organ, item.preparation, image, layout, item.patient))
        if report:
            report(number, len(data))
    return tiles

"""What a fine-tuning learns from, and what its candidates are compared on: whole tiles, or quarters of few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sian import seeds
from sian.data.sampling import Tile
from sian.networks import REFERENCE_SIZE
from sian.training.recipe_sections import ComparingSection, StoppingSection
from sian.training.stopping import hold_out

CORNERS = ("upper left", "upper right", "lower left", "lower right")


@dataclass(frozen=True, eq=False)
class Parted:
    """Tiles in two kinds.

    Attributes:
        learned: what is learned from; of a tile whose quarter is held out, its other half and the quarter beside that.
        held: what candidates paint; empty where nothing can be held out.
        tissue: whose real windows the paintings should look like: the held tiles, whole.
        names: of what is held out, for people.
    """

    learned: list[Tile]
    held: list[Tile]
    tissue: list[Tile]
    names: list[str]


def part_tiles(tiles: Sequence[Tile], section: ComparingSection, seed: int) -> Parted:
    """Hold whole tiles out where there are enough of several patients; else a quarter of each tile of 512 px or more.

    Smaller tiles are learned from whole; where all are small, one of several is held out.
    """
    for least in (section.least, section.tiles + 1):
        whole = StoppingSection(tiles=section.tiles, least=least) if section.tiles < least else StoppingSection()
        learned, held = hold_out(tiles, whole, seed)
        if held:
            return Parted(learned, held, held, [tile.id for tile in held])
        large = [tile for tile in tiles if min(tile.layout.shape) >= 2 * REFERENCE_SIZE]
        if large:
            return _quarters(tiles, large, seed)
    return Parted(list(tiles), [], [], [])


def _quarters(tiles: Sequence[Tile], large: Sequence[Tile], seed: int) -> Parted:
    learned = [tile for tile in tiles if tile not in large]
    held, names = [], []
    for tile in large:
        corner = int(seeds.generator(seed, f"held-out quarter {tile.id}").integers(len(CORNERS)))
        quarter, rest = _without_corner(tile, corner)
        held.append(quarter)
        learned += rest
        names.append(f"{tile.id} ({CORNERS[corner]})")
    return Parted(learned, held, list(large), names)


def _without_corner(tile: Tile, corner: int) -> tuple[Tile, list[Tile]]:
    """A quarter of a tile, and the rest as two oblongs."""
    (height, width), (lower, right) = tile.layout.shape, divmod(corner, 2)
    half, side = height // 2, width // 2
    top, bottom = (0, half), (half, height)
    near, far = (0, side), (side, width)
    rows, others = (bottom, top) if lower else (top, bottom)
    columns, beside = (far, near) if right else (near, far)
    return _part(tile, rows, columns), [_part(tile, others, (0, width)), _part(tile, rows, beside)]


def _part(tile: Tile, rows: tuple[int, int], columns: tuple[int, int]) -> Tile:
    (y, bottom), (x, right) = rows, columns
    height, width = tile.layout.shape
    return replace(
        tile,
        image=tile.image[y:bottom, x:right],
        layout=tile.layout.window(y, x, bottom - y, right - x),
        weight=tile.weight * (bottom - y) * (right - x) / (height * width),
        ignored=None if tile.ignored is None else tile.ignored[y:bottom, x:right],
    )

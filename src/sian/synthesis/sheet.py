"""Contact sheets: pictures in rows and columns with their names, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sian.errors import BadInput

GAP = 6  # px between pictures
LINE = 22  # px of a line of text
MOST = 9  # columns side by side; the eye and a README hold no more
INK, PAPER = (30, 30, 30), (255, 255, 255)

Picture = NDArray[np.uint8]  # (H, W, 3)


def contact_sheet(rows: Sequence[Sequence[Picture]], columns: Sequence[str], names: Sequence[str] = ()) -> Picture:
    """Pictures of one size in a grid, column names above, row names to the left.

    More than `MOST` columns go on below the first ones.

    Args:
        rows: equally many pictures (H, W, 3) uint8 in each row, all of one size.
        columns: a name for each column.
        names: a name for each row, or none.

    Returns:
        (H', W', 3) uint8.
    """
    height, width = rows[0][0].shape[:2]
    if any(len(row) != len(columns) or p.shape != (height, width, 3) for row in rows for p in row):
        raise BadInput(f"expected {len(columns)} pictures of {height} x {width} px in each row of a contact sheet")
    blocks = -(-len(columns) // MOST)  # of about equal width: 18 columns as 9 and 9, 19 as 7, 7 and 5
    each = -(-len(columns) // blocks)
    parts = [slice(start, start + each) for start in range(0, len(columns), each)]
    sheets = [_block([row[part] for row in rows], columns[part], names) for part in parts]
    widest = max(sheet.shape[1] for sheet in sheets)
    paper = [np.pad(s, ((0, 0), (0, widest - s.shape[1]), (0, 0)), constant_values=PAPER[0]) for s in sheets]
    return np.concatenate(paper)


def _block(rows: Sequence[Sequence[Picture]], columns: Sequence[str], names: Sequence[str]) -> Picture:
    """A sheet of one block of columns."""
    height, width = rows[0][0].shape[:2]
    font = ImageFont.load_default(15)
    left = GAP + (max(round(font.getlength(name)) for name in names) + 2 * GAP if names else 0)
    sheet = Image.new("RGB", (left + len(columns) * (width + GAP), LINE + GAP + len(rows) * (height + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(columns):
        draw.text((left + column * (width + GAP) + width // 2, LINE // 2 + 2), name, INK, font, anchor="mm")
    for row, pictures in enumerate(rows):
        top = LINE + GAP + row * (height + GAP)
        if names:
            draw.text((GAP, top + height // 2), names[row], INK, font, anchor="lm")
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (left + column * (width + GAP), top))
    return np.asarray(sheet)


def reduced(picture: Picture, most: int) -> Picture:
    """A picture with no side longer than `most` px, averaged down if it has one."""
    height, width = picture.shape[:2]
    factor = most / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def mask_picture(mask: NDArray[np.integer]) -> Picture:
    """An instance mask for the eye: each nucleus in a colour of its own on black.

    Args:
        mask: (H, W) instance mask.
    """
    hue = (mask.astype(np.int64) * 0.61803398875) % 1  # golden ratio: neighbours in number are far apart in colour
    channels = [np.abs((hue * 6 + shift) % 6 - 3) - 1 for shift in (0, 4, 2)]
    colour = 0.35 + 0.65 * np.stack(channels, -1).clip(0, 1)
    picture: Picture = (np.where(mask[..., None] > 0, colour, 0) * 255).round().astype(np.uint8)
    return picture

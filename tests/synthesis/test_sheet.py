"""Contact sheets: where each picture lies, and what happens when they are many."""

from __future__ import annotations

import numpy as np
import pytest

from sian.errors import BadInput
from sian.synthesis.sheet import GAP, LINE, MOST, contact_sheet


def flat(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, np.uint8)


def test_few_columns_lie_side_by_side():
    sheet = contact_sheet([[flat(10), flat(20)], [flat(30), flat(40)]], ["a", "b"])
    assert sheet.shape == (LINE + GAP + 2 * (20 + GAP), GAP + 2 * (30 + GAP), 3)
    top, left = LINE + GAP, GAP
    assert (sheet[top : top + 20, left : left + 30] == 10).all()
    assert (sheet[top + 20 + GAP : top + 40 + GAP, left + 30 + GAP : left + 60 + GAP] == 40).all()


@pytest.mark.parametrize(("count", "blocks", "each"), [(MOST, 1, MOST), (MOST + 1, 2, 5), (18, 2, 9), (19, 3, 7)])
def test_many_columns_go_on_below(count, blocks, each):
    sheet = contact_sheet([[flat(value + 1) for value in range(count)]], [str(n) for n in range(count)])
    assert sheet.shape == (blocks * (LINE + GAP + 20 + GAP), GAP + each * (30 + GAP), 3)
    for number in range(count):
        row, column = divmod(number, each)
        top, left = row * (LINE + 20 + 2 * GAP) + LINE + GAP, GAP + column * (30 + GAP)
        assert (sheet[top : top + 20, left : left + 30] == number + 1).all()


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(BadInput, match="expected 2 pictures"):
        contact_sheet([[flat(1), flat(2)], [flat(3)]], ["a", "b"])

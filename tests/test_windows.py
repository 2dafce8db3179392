from __future__ import annotations

from itertools import pairwise

import pytest

from sian.errors import BadInput
from sian.windows import test_offsets as offsets_of_test
from sian.windows import train_offsets


def test_test_windows_of_the_protocol() -> None:
    assert offsets_of_test(1000) == [0, 248, 496, 744]


def test_train_windows_of_the_protocol() -> None:
    assert train_offsets(1000) == [round(i * 744 / 9) for i in range(10)]


@pytest.mark.parametrize("offsets", [offsets_of_test, train_offsets])
@pytest.mark.parametrize(("side", "size"), [(256, 256), (257, 256), (512, 256), (513, 256), (1000, 128), (40, 7)])
def test_any_size_is_covered_from_edge_to_edge(offsets, side: int, size: int) -> None:
    starts = offsets(side, size)
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    assert starts[-1] == side - size
    steps = [after - before for before, after in pairwise(starts)]
    assert max(steps, default=0) <= size
    assert max(steps, default=0) - min(steps, default=0) <= 1


def test_exact_fit_has_no_overlap() -> None:
    assert offsets_of_test(1024) == [0, 256, 512, 768]


def test_train_windows_step_by_a_third_at_most() -> None:
    assert train_offsets(384, 96) == list(range(0, 289, 32))


@pytest.mark.parametrize("offsets", [offsets_of_test, train_offsets])
def test_tile_smaller_than_the_window_is_refused(offsets) -> None:
    with pytest.raises(BadInput, match="side of 255 px: expected at least one window of 256 px"):
        offsets(255)
    with pytest.raises(BadInput, match="at least 1 px"):
        offsets(255, 0)

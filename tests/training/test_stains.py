"""Stains changed by hand: a pixel of one dye against its own exponential; what hues leave alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sian.data.stains import SHIFT, STAINS, restain

UNIT = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
NOTHING = torch.zeros(1, 3)


def pixel_of(density: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.exp(-density)).float().reshape(1, 3, 1, 1)


def test_a_dye_of_another_colour_takes_the_place_of_the_old_one():
    hue = torch.zeros(1, 3, 3)
    hue[0, 0] = torch.tensor([0.1, -0.1, 0.05])
    new = UNIT[0] + [0.1, -0.1, 0.05]
    new = new / np.linalg.norm(new)
    found = restain(pixel_of(0.8 * UNIT[0]), torch.tensor([[0.25, 0, 0]]), NOTHING, hue)
    np.testing.assert_allclose(found.numpy().ravel(), np.exp(-1.25 * 0.8 * new), atol=1e-5)
    eosin = pixel_of(0.5 * UNIT[1])
    torch.testing.assert_close(restain(eosin, NOTHING, NOTHING, hue), eosin, atol=1e-5, rtol=0)  # another dye


def test_what_is_added_everywhere_has_the_new_colour():
    hue = torch.zeros(1, 3, 3)
    hue[0, 1] = torch.tensor([0.1, 0.0, 0.1])
    new = UNIT[1] + [0.1, 0.0, 0.1]
    new = new / np.linalg.norm(new)
    found = restain(torch.ones(1, 3, 1, 1), NOTHING, torch.tensor([[0, 2.0, 0]]), hue)
    np.testing.assert_allclose(found.numpy().ravel(), np.exp(-2 * SHIFT * new), atol=1e-5)


@given(st.lists(st.floats(-0.3, 0.3), min_size=9, max_size=9))
def test_white_stays_white_and_no_dye_gives_light(parts):
    hue = torch.tensor(parts).reshape(1, 3, 3)
    white = torch.ones(1, 3, 4, 4)
    assert torch.equal(restain(white, NOTHING, NOTHING, hue), white)
    for dye in range(3):
        found = restain(pixel_of(UNIT[dye]), NOTHING, NOTHING, hue)
        assert float(found.max()) <= 1
        assert float(found.max()) > 0
        density = -found.log().numpy().ravel()
        np.testing.assert_allclose(np.linalg.norm(density), 1, atol=1e-3)  # as strong as before

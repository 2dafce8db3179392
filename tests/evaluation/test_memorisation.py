"""Copies are found, turned, mirrored or in another stain; fresh images are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sian.errors import BadInput
from sian.evaluation.collection import from_images
from sian.evaluation.features import InceptionFeatures
from sian.evaluation.memorisation import TURNS, Normalised, in_windows, normalised, screen
from sian.layout import turn_image

SIZE = 256


class Grid(torch.nn.Module):
    """Where the dark is, on an 8 x 8 grid, around its mean."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), 8).flatten(1)
        return pooled - pooled.mean(1, keepdim=True)


def tissue(seed: int) -> np.ndarray:
    """Blobs of haematoxylin on eosin."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE, 3), (225, 170, 205), np.float64)
    for _ in range(12):
        y, x = rng.integers(0, SIZE - 40, 2)
        image[y : y + 40, x : x + 40] = (95, 60, 145)
    return (image + rng.normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8)


def restained(image: np.ndarray) -> np.ndarray:
    density = -np.log((image.astype(float) + 1) / 256) * (1.3, 0.8, 0.7) + (0.02, 0.1, 0.05)
    return (256 * np.exp(-density) - 1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict:
    training = {f"t{i}": tissue(i) for i in range(12)}
    fakes = {
        "copy": training["t3"],
        "turned": turn_image(training["t4"], 1),
        "mirrored": turn_image(training["t5"], 2, flip=True),
        "restained": restained(training["t6"]),
        **{f"fresh{i}": tissue(1000 + i) for i in range(8)},
    }
    held_out = from_images("held out", {f"h{i}": tissue(500 + i) for i in range(20)})
    return screen(
        from_images("fake", fakes), from_images("train", training), held_out, InceptionFeatures(Grid(), "grid"),
        cache=tmp_path_factory.mktemp("cache"),
    )  # fmt: skip


def test_copies_are_flagged_with_their_original(result: dict) -> None:
    flagged = {image["name"]: image["nearest"] for image in result["flagged"]}
    assert {"copy": "t3", "turned": "t4", "mirrored": "t5", "restained": "t6"}.items() <= flagged.items()


def test_fresh_images_are_not_flagged_more_than_real_ones(result: dict) -> None:
    assert sum(image["name"].startswith("fresh") for image in result["flagged"]) <= 1
    assert result["n"] == 12
    assert len(result["images"]) == 12
    assert result["threshold"] > 0


def test_the_threshold_lets_the_quantile_of_the_held_out_windows_through() -> None:
    """Held-out windows that are screened themselves: of 8, the quantile of a quarter lies between the 2nd and 3rd."""
    training = from_images("t", {f"t{i}": tissue(i) for i in range(4)})
    held_out = from_images("h", {f"h{i}": tissue(500 + i) for i in range(8)})
    found = screen(held_out, training, held_out, InceptionFeatures(Grid(), "grid"), quantile=0.25)
    distances = sorted(image["distance"] for image in found["images"])
    assert found["threshold"] == pytest.approx(distances[1] + 0.75 * (distances[2] - distances[1]))
    assert [image["distance"] for image in found["flagged"]] == distances[:2]


def test_by_default_one_held_out_window_in_a_hundred_is_let_through(result: dict) -> None:
    assert result["quantile"] == 0.01


def test_normalised_images_have_one_stain() -> None:
    a, b = tissue(0), restained(tissue(0))
    assert abs(a.astype(int) - b).mean() > 8
    assert abs(normalised(a).astype(int) - normalised(b)).mean() < 3
    flat = np.full((8, 8, 3), 240, np.uint8)
    assert np.ptp(normalised(flat)) < 255  # a flat image is no division by zero


def test_eight_turns_are_all_different() -> None:
    turned = Normalised(from_images("one", {"a": tissue(0)}), TURNS)
    assert len(turned) == 8
    images = list(turned)
    assert len({image.tobytes() for image in images}) == 8
    for index in range(8):
        np.testing.assert_array_equal(turned[index], images[index])


def test_large_images_are_looked_at_in_windows() -> None:
    large = np.zeros((300, 256, 3), np.uint8)
    windows = in_windows(from_images("i", {"a": large, "b": large[:256]}))
    assert windows.names == ["a_y0000_x0000", "a_y0044_x0000", "b"]
    assert windows.read("a_y0044_x0000").shape == (256, 256, 3)
    with pytest.raises(BadInput, match="found 100 x 256 px"):
        in_windows(from_images("i", {"a": large[:100]}))


def test_a_quantile_outside_its_range_is_refused() -> None:
    images = from_images("i", {"a": tissue(0)})
    with pytest.raises(BadInput, match="quantile"):
        screen(images, images, images, InceptionFeatures(Grid()), quantile=1.0)

"""Batches, the cache, and the Inception itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from sian.errors import BadInput
from sian.evaluation.features import InceptionFeatures
from sian.networks.inception import FEATURES, Inception, inception_from

if TYPE_CHECKING:
    from pathlib import Path


class Counting(torch.nn.Module):
    """Mean colours; counts the images it saw."""

    seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        return images.float().mean(dim=(2, 3))


def pictures(n: int, size: int = 16) -> list[np.ndarray]:
    rng = np.random.default_rng(n)
    return list(rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8))


def test_batches_do_not_change_features() -> None:
    extractor = InceptionFeatures(Counting())
    images = [*pictures(5), *pictures(3, size=20), *pictures(2)]
    progress: list[tuple[int, int]] = []
    features = extractor(images, lambda done, total: progress.append((done, total)), batch=4)
    assert features.shape == (10, 3)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [image.mean(axis=(0, 1)) for image in images], rtol=1e-5)
    assert progress[-1] == (10, 10)
    np.testing.assert_array_equal(features, extractor(iter(images), batch=1))


def test_the_cache_is_used_and_named_by_content(tmp_path: Path) -> None:
    network = Counting()
    extractor = InceptionFeatures(network, sha256="a")
    images = pictures(4)
    first = extractor.cached(images, tmp_path)
    again = extractor.cached([image.copy() for image in images], tmp_path)
    np.testing.assert_array_equal(first, again)
    assert network.seen == 4
    images[2] = images[2].copy()
    images[2][0, 0, 0] ^= 1
    extractor.cached(images, tmp_path)
    InceptionFeatures(network, sha256="b").cached(images, tmp_path)
    assert network.seen == 12
    assert len(list(tmp_path.iterdir())) == 3


def test_the_shape_of_an_image_is_part_of_its_name() -> None:
    extractor = InceptionFeatures(Counting())
    flat = np.zeros((4, 8, 3), np.uint8)
    assert extractor.key([flat]) != extractor.key([flat.reshape(8, 4, 3)])


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"not an array"])
def test_a_damaged_entry_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    extractor = InceptionFeatures(Counting())
    images = pictures(3)
    first = extractor.cached(images, tmp_path)
    entry = next(tmp_path.iterdir())
    whole = entry.read_bytes()
    entry.write_bytes(damage)
    np.testing.assert_array_equal(extractor.cached(images, tmp_path), first)
    assert entry.read_bytes() == whole


def test_a_pickled_entry_is_not_run(tmp_path: Path) -> None:
    extractor = InceptionFeatures(Counting())
    images = pictures(3)
    first = extractor.cached(images, tmp_path)
    np.save(next(tmp_path.iterdir()), np.array([{"a": 1}] * 3, dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(extractor.cached(images, tmp_path), first)


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert InceptionFeatures(Counting()).cached(pictures(2), tmp_path / "file").shape == (2, 3)


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((8, 8, 4), np.uint8)])
def test_bad_images(image: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"expected \(H, W, 3\) uint8"):
        InceptionFeatures(Counting())([image])


def test_no_images() -> None:
    with pytest.raises(BadInput, match="found none"):
        InceptionFeatures(Counting())([])


@pytest.fixture(scope="module")
def inception() -> Inception:
    torch.manual_seed(0)
    network = Inception()
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    return inception_from({**{k: v.half() for k, v in state.items()}, "fc.weight": torch.zeros(1)})


def test_inception_takes_any_size_and_stays_in_eval_mode(inception: Inception) -> None:
    inception.train()
    assert not inception.training
    x = torch.randint(0, 256, (2, 3, 40, 64), dtype=torch.uint8)
    both = inception(x)
    assert both.shape == (2, FEATURES)
    torch.testing.assert_close(inception(x[:1]), both[:1], rtol=1e-4, atol=1e-5)


def test_fused_inception_is_the_same_function(inception: Inception) -> None:
    x = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    before = inception(x)
    torch.testing.assert_close(inception.fused()(x), before, rtol=1e-3, atol=1e-5)


def test_prepared_images_are_scaled_as_the_graph_does(inception: Inception) -> None:
    grey = inception.prepare(torch.full((1, 3, 8, 8), 192, dtype=torch.uint8))
    assert grey.shape == (1, 3, 299, 299)
    torch.testing.assert_close(grey, torch.full_like(grey, 0.5))


def test_missing_keys_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        inception_from({})


@pytest.mark.shared
def test_real_weights_give_known_features(shared: Path) -> None:
    """Features of a fixed image, to 1e-3, as the full-precision network of pytorch-fid gives them; FID is
    finite."""
    from sian.evaluation import fid
    from sian.files import read_image

    extractor = InceptionFeatures.load(shared / "weights")
    tiles = sorted((shared / "data/monuseg/test").glob("*.webp"))[:2]
    windows = [read_image(t)[y : y + 256, :256] for t in tiles for y in (0, 496)]
    features = extractor(windows)
    assert features.shape == (4, FEATURES)
    assert (features >= 0).all()
    value = fid(features[:2], features[2:])
    assert np.isfinite(value)
    assert 10 < value < 1000

"""Images to the 2048 Inception features that FID and KID compare, with a cache on disk for the real side.

A cache entry's name is the hash of everything that decides its content: the weights, the way images are
prepared, and the size and pixels of every image in order. So an entry is never stale, and a changed image is
a different entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sized
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from sian.errors import BadInput, SianError, first_line
from sian.files.atomic import atomic_file
from sian.files.hashing import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from sian.evaluation.arrays import Features, Floats, Image

    Featurable: TypeAlias = NDArray[Any] | Iterable[Image]
    Report: TypeAlias = Callable[[int, int], None]

WEIGHTS: Literal["inception_fid"] = "inception_fid"
PREPARATION = "resize 299 bilinear, (x - 128) / 128, fused batch norm, float32"  # part of a cache entry's name
BATCH = 16


class InceptionFeatures:
    """The FID Inception as a function from images to features.

    Args:
        network: maps (n, 3, h, w) uint8 to (n, d) features; `InceptionFeatures.load` makes it from a weights
            file.
        sha256: hash of the weights, which names them in reports and in the cache.
        device: where the network runs.
    """

    def __init__(self, network: torch.nn.Module, sha256: str = "", device: str = "cpu") -> None:
        from sian.networks.devices import find_device

        self.device = find_device(device)
        self.network = network.to(self.device)
        self.sha256 = sha256

    @classmethod
    def load(cls, weights: Path | str | None = None, *, trust: bool = False, device: str = "cpu") -> InceptionFeatures:
        """The network with the weights of `inception_fid.safetensors`.

        Args:
            weights: a folder to look in first; then `$SIAN_WEIGHTS` and the user's cache.
            trust: take a file whose hash is not known.
            device: where the network runs.

        Raises:
            MissingResource: the file is nowhere to be found.
            BadInput: it is not the file it should be.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from sian.files.weights import find_weights
        from sian.networks.inception import inception_from

        path = find_weights(WEIGHTS, Path(weights) if weights is not None else None, trust)
        try:
            network = inception_from(load_file(path)).fused()
        except (SafetensorError, RuntimeError) as error:
            raise BadInput(
                f"{path}: found something else than the FID Inception's weights ({first_line(error)}), "
                "expected the keys of pytorch-fid's state dict as safetensors; try `sian weights get`"
            ) from error
        return cls(network, sha256_file(path), device)

    def __call__(self, images: Iterable[Image], report: Report | None = None, batch: int = BATCH) -> Features:
        """Features of images.

        Args:
            images: (H, W, 3) uint8 each; sizes may differ.
            report: called with (images done, images in all, or 0 when not known).
            batch: images that are run at once when their sizes agree.

        Returns:
            (n, 2048) float32.

        Raises:
            BadInput: an image that is not (H, W, 3) uint8, or none at all.
        """
        total = len(images) if isinstance(images, Sized) else 0
        rows: list[Features] = []
        done = 0
        for group in _batches(images, batch):
            rows.append(self._forward(np.stack(group)))
            done += len(group)
            if report:
                report(done, total)
        if not rows:
            raise BadInput("images: found none, expected at least one (H, W, 3) uint8 image; check the folder")
        return np.concatenate(rows)

    def cached(
        self, images: Sequence[Image], folder: Path | str | None = None, report: Report | None = None
    ) -> Features:
        """Features of images, read from the cache when the same images were seen before.

        Args:
            images: (H, W, 3) uint8 each.
            folder: where entries are kept; by default the user's cache folder.
            report: called with (images done, images in all).

        Returns:
            (n, 2048) float32. A damaged entry is made anew.
        """
        entry = _cache_folder(folder) / f"{self.key(images)}.npy"
        features = _read_entry(entry, len(images))
        if features is None:
            features = self(images, report)
            _write_entry(entry, features)
        elif report:
            report(len(images), len(images))
        return features

    def key(self, images: Iterable[Image]) -> str:
        """The name of these images' features: a hash of weights, preparation, sizes and pixels, in order."""
        digest = hashlib.sha256(f"{self.sha256}\n{PREPARATION}\n".encode())
        for image in images:
            digest.update(f"{image.shape} {image.dtype}\n".encode())
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def _forward(self, batch: NDArray[np.uint8]) -> Features:
        import torch

        images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2))).to(self.device)
        with torch.inference_mode():
            features: torch.Tensor = self.network(images)
        array: Features = features.float().cpu().numpy()
        return array


def as_features(data: Featurable, name: str, extractor: InceptionFeatures | None = None) -> Floats:
    """Features as (n, d) float64 with n of 2 or more, made from images where images were given.

    Raises:
        BadInput: fewer than two rows, or numbers that are not finite.
    """
    rows = feature_rows(data, extractor)
    if len(rows) < 2:
        raise BadInput(f"{name} features: found {len(rows)}, expected at least 2 images; a spread needs two")
    if not np.isfinite(rows).all():
        raise BadInput(f"{name} features: found numbers that are not finite, expected finite ones; check the extractor")
    return rows.astype(np.float64)


def feature_rows(data: Featurable, extractor: InceptionFeatures | None = None) -> Features:
    """An (n, d) array of features: the data itself if it is one, else the features of its images."""
    array = np.asarray(data) if hasattr(data, "__array__") else None
    if array is not None and array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
        return array
    return (extractor or InceptionFeatures.load())(data)


def _batches(images: Iterable[Image], size: int) -> Iterator[list[Image]]:
    """Groups of consecutive images of one size."""
    iterator = iter(images)
    while group := [_check(image) for image in islice(iterator, size)]:
        start = 0
        for stop in range(1, len(group) + 1):
            if stop == len(group) or group[stop].shape != group[start].shape:
                yield group[start:stop]
                start = stop


def _check(image: Image) -> Image:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise BadInput(f"image: expected (H, W, 3) uint8, found {image.shape} {image.dtype}; convert it to RGB first")
    return image


def _cache_folder(folder: Path | str | None) -> Path:
    if folder is not None:
        return Path(folder)
    import platformdirs

    return Path(platformdirs.user_cache_dir("sian", appauthor=False)) / "features"


def _read_entry(entry: Path, rows: int) -> Features | None:
    try:
        features: Features = np.load(entry, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # absent, cut short or not an array: made anew
        return None
    usable = features.ndim == 2 and len(features) == rows and features.dtype == np.float32
    return features if usable else None


def _write_entry(entry: Path, features: Features) -> None:
    """Keep an entry; failing to write the cache is not a failure."""
    with suppress(SianError), atomic_file(entry) as temporary, temporary.open("wb") as file:
        np.save(file, features, allow_pickle=False)

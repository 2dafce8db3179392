"""Made slides: the same picture as SVS, OME-TIFF, pyramid of pages, OME-Zarr; small, seeded, lossless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

APERIO = "Aperio Image Library v11.2.1\r\n{width}x{height} (64x64) Deflate|AppMag = 20|MPP = {mpp}"


def picture(height: int = 200, width: int = 300, seed: int = 0) -> np.ndarray:
    """Noise whose pixels say where they come from."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def halved(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[::2, ::2])


def write_svs(path: Path, image: np.ndarray, mpp: float | str = 0.499) -> Path:
    """Aperio's arrangement: full size, thumbnail, smaller levels; told by its description."""
    about = APERIO.format(height=image.shape[0], width=image.shape[1], mpp=mpp)
    with tifffile.TiffWriter(path) as file:
        options: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib", "metadata": None}
        file.write(image, description=about, **options)
        file.write(image[::4, ::4], description=about, photometric="rgb", metadata=None, rowsperstrip=16)
        file.write(halved(image), description=about, **options)
    return path


def write_ome(path: Path, image: np.ndarray, mpp: float | None = 0.25, unit: str = "µm", **options: Any) -> Path:
    """OME-TIFF of two levels, the smaller one in a SubIFD; a mask where the image is (H, W)."""
    metadata: dict[str, Any] = {"axes": "YXS" if image.ndim == 3 else "YX"}
    if mpp is not None:
        metadata |= {f"PhysicalSize{axis}": mpp for axis in "XY"} | {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    given = {"photometric": "rgb" if image.ndim == 3 else "minisblack", "tile": (64, 64), "compression": "zlib"}
    given |= options
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(image, subifds=1, metadata=metadata, **given)
        file.write(halved(image), subfiletype=1, metadata=None, **given)
    return path


def write_pages(path: Path, image: np.ndarray, **options: Any) -> Path:
    """A pyramid of pages, as libvips writes it."""
    with tifffile.TiffWriter(path) as file:
        given = {"photometric": "rgb", "tile": (64, 64), "metadata": None, **options}
        file.write(image, **given)
        file.write(halved(image), subfiletype=1, **given)
    return path


def write_zarr(path: Path, image: np.ndarray, mpp: float = 0.25, labels: np.ndarray | None = None) -> Path:
    """OME-Zarr 0.5 of two levels, with labels or without."""
    root = zarr.open_group(str(path), mode="w", zarr_format=3)
    _multiscale(root, [np.moveaxis(level, -1, 0) for level in (image, halved(image))], "cyx", mpp)
    if labels is not None:
        group = root.create_group("labels")
        group.attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
        _multiscale(group.create_group("nuclei"), [labels, halved(labels)], "yx", mpp)
    return path


def _multiscale(group: Any, levels: list[np.ndarray], axes: str, mpp: float) -> None:
    datasets = []
    for number, level in enumerate(levels):
        chunks = tuple(size if axis == "c" else 64 for axis, size in zip(axes, level.shape, strict=True))
        array = group.create_array(
            str(number), shape=level.shape, chunks=chunks, dtype=level.dtype, config={"write_empty_chunks": True}
        )
        array[...] = level
        scale = [1.0 if axis == "c" else mpp * 2**number for axis in axes]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = {"c": {"type": "channel"}}
    named = [{"name": axis, **kinds.get(axis, {"type": "space", "unit": "micrometer"})} for axis in axes]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": named, "datasets": datasets}]}

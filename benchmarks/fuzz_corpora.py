"""Corpora for `fuzz.py`: small pictures, masks and containers, one folder a format for `sian data import`."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy.io import savemat

SIZE = (40, 48)
PICTURE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
IDS = np.zeros(SIZE, np.uint16)
IDS[4:12, 4:12], IDS[20:30, 5:12] = 1, 2


def pixel_corpus(folder: Path) -> list[Path]:
    """Pictures and masks in each kind of file; each folder holds one kind."""
    for number, (image, mask) in enumerate(
        [
            ("png", {"ending": "png"}),
            ("jpg", {"ending": "npy"}),
            ("webp", {"ending": "tif"}),
            ("tif", {"ending": "tif", "compression": "zlib", "tile": (16, 16)}),
            ("tif", {"ending": "tif", "bigtiff": True, "rowsperstrip": 8}),
        ]
    ):
        part = folder / f"pixels-{number}"
        part.mkdir(parents=True)
        exif = Image.Exif()
        exif[0x0112] = 1
        if image == "tif":
            options = {key: value for key, value in mask.items() if key != "ending"}
            tifffile.imwrite(part / "a.tif", PICTURE, photometric="rgb", **options)
            tifffile.imwrite(part / "a_labels.tif", IDS, photometric="minisblack", **options)
        else:
            Image.fromarray(PICTURE).save(part / f"a.{image}", exif=exif, lossless=True)
        if mask["ending"] == "png":
            Image.fromarray(IDS).save(part / "a_labels.png")
        elif mask["ending"] == "npy":
            np.save(part / "a_labels.npy", IDS.astype(np.int32))
        elif image != "tif":
            tifffile.imwrite(part / "a_labels.tif", IDS.astype(np.float32), photometric="minisblack")
    return sorted(folder.iterdir())


def container_corpus(folder: Path) -> list[Path]:
    """.mat packed and plain, .npy patches and PanNuke's arrays, OME-TIFF, a shard."""
    for name, packed in (("mat", True), ("mat-plain", False)):
        part = folder / name
        part.mkdir(parents=True)
        Image.fromarray(PICTURE).save(part / "a.png")
        savemat(part / "a.mat", {"inst_map": IDS, "inst_type": [[1], [2]]}, do_compression=packed)
    (folder / "patches").mkdir()
    np.save(folder / "patches" / "a.npy", np.dstack([PICTURE, IDS]).astype(np.int32))
    (folder / "pannuke" / "fold1").mkdir(parents=True)
    channels = np.zeros((1, *SIZE, 6), np.uint16)
    channels[0, ..., 0] = IDS
    for name, array in (("images", PICTURE[None]), ("masks", channels), ("types", np.array(["Liver"]))):
        np.save(folder / "pannuke" / "fold1" / f"{name}.npy", array)
    (folder / "ome-tiff").mkdir()
    about = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tifffile.imwrite(folder / "ome-tiff" / "a.ome.tif", PICTURE, photometric="rgb", metadata=about)
    tifffile.imwrite(folder / "ome-tiff" / "a_labels.ome.tif", IDS, photometric="minisblack", compression="zlib")
    (folder / "shard").mkdir()
    with tarfile.open(folder / "shard" / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        contents = {"a.image.png": _png(PICTURE), "a.mask.png": _png(IDS), "a.json": b'{"organ": "liver"}'}
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1.5
            archive.addfile(member, io.BytesIO(content))
    return [path for path in sorted(folder.iterdir()) if path.is_dir()]


def zarr_corpus(folder: Path) -> list[Path]:
    """OME-Zarr: 0.5 with each codec and with shards, and 0.4; nothing where zarr is not installed."""
    try:
        import zarr
    except ImportError:
        return []
    codecs = zarr.codecs
    for name, options in {
        "zstd": {"chunks": (3, 40, 48)},
        "gzip": {"chunks": (1, 40, 48), "compressors": codecs.GzipCodec()},
        "blosc": {"chunks": (3, 40, 48), "compressors": codecs.BloscCodec()},
        "plain": {"chunks": (3, 40, 48), "compressors": None},
        "shards": {"chunks": (1, 16, 16), "shards": (3, 48, 48)},
    }.items():
        group = zarr.open_group(str(folder / f"zarr-{name}" / "a.ome.zarr"), mode="w", zarr_format=3)
        group.attrs["ome"] = {"version": "0.5", "multiscales": [_multiscale("cyx")]}
        group.create_array("0", data=np.moveaxis(PICTURE, -1, 0).copy(), **options)
        labels = group.create_group("labels")
        labels.attrs["ome"] = {"labels": ["nuclei"]}
        nuclei = labels.create_group("nuclei")
        nuclei.attrs["ome"] = {"multiscales": [_multiscale("yx")]}
        nuclei.create_array("0", data=IDS, chunks=SIZE)
    _zarr_2(folder / "zarr-2" / "a.zarr")
    return sorted(folder.iterdir())


def _multiscale(axes: str) -> dict:
    scale = [{"type": "scale", "scale": [0.25] * len(axes)}]
    described = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes]
    return {"axes": described, "datasets": [{"path": "0", "coordinateTransformations": scale}]}


def _zarr_2(store: Path) -> None:
    """OME-Zarr 0.4 by hand."""
    for place, axes, array in ((store, "cyx", np.moveaxis(PICTURE, -1, 0)), (store / "labels/nuclei", "yx", IDS)):
        (place / "0").mkdir(parents=True)
        (place / ".zgroup").write_text('{"zarr_format": 2}')
        (place / ".zattrs").write_text(json.dumps({"multiscales": [_multiscale(axes)]}))
        about = {"zarr_format": 2, "shape": array.shape, "chunks": array.shape, "dtype": array.dtype.str}
        about |= {"compressor": {"id": "zlib", "level": 1}, "fill_value": 0, "order": "C", "filters": None}
        (place / "0" / ".zarray").write_text(json.dumps(about))
        (place / "0" / ".".join("0" * array.ndim)).write_bytes(zlib.compress(array.tobytes()))
    (store / "labels" / ".zattrs").write_text('{"labels": ["nuclei"]}')


def _png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


CORPORA = (pixel_corpus, container_corpus, zarr_corpus)

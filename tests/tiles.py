"""Small made-up tiles in the layouts that `sian data import` reads; shared by the tests of files and data."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

TRAIN_TILE = "TCGA-A7-A13E-01Z-00-DX1"  # breast, ffpe
TEST_TILE = "TCGA-ZF-A9R5-01A-01-TS1"  # bladder, frozen

SQUARE = [(2, 2), (10, 2), (10, 10), (2, 10)]  # 64 pixels
OVERLAPPING = [(8, 8), (16, 8), (16, 16), (8, 16)]  # 64 pixels, 4 of them the square's
LINE = [(1, 1), (5, 5)]


def picture(seed: int = 0, height: int = 40, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def mask(height: int = 40, width: int = 48) -> np.ndarray:
    ids = np.zeros((height, width), np.uint16)
    ids[2:10, 2:10] = 1
    ids[20:30, 5:12] = 2
    ids[20:30, 12:20] = 7
    return ids


def xml(outlines, mpp: str | None = "0.252", root: str = "Annotations") -> str:
    regions = "".join(
        '<Region Id="1" NegativeROA="0"><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in outline)
        + "</Vertices></Region>"
        for outline in outlines
    )
    attribute = f' MicronsPerPixel="{mpp}"' if mpp else ""
    return f"<{root}{attribute}><Annotation><Regions>{regions}</Regions></Annotation></{root}>"


def write_tif(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="rgb")


def write_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **({"lossless": True} if path.suffix == ".webp" else {}))


def training_zip(folder: Path) -> Path:
    """MoNuSeg's official training folder: ``Tissue Images`` + ``Annotations``."""
    write_tif(folder / "Tissue Images" / f"{TRAIN_TILE}.tif", picture(1))
    annotations = folder / "Annotations"
    annotations.mkdir()
    (annotations / f"{TRAIN_TILE}.xml").write_text(xml([SQUARE, OVERLAPPING, LINE]))
    return folder


def flat_test(folder: Path) -> Path:
    """MoNuSeg's official test folder: tif and xml side by side; here gzip, as it is kept sometimes."""
    write_tif(folder / f"{TEST_TILE}.tif", picture(2))
    (folder / f"{TEST_TILE}.xml.gz").write_bytes(gzip.compress(xml([SQUARE]).encode()))
    return folder


def plain_folder(folder: Path, count: int = 3) -> Path:
    """``images/`` + ``masks/`` with equal names."""
    for number in range(count):
        write_picture(folder / "images" / f"tile {number}.png", picture(number))
        write_picture(folder / "masks" / f"tile {number}.png", mask())
    return folder


def tree(folder: Path) -> list[str]:
    """Every file below a folder, as text; to see that nothing was written."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

"""The code in the docs runs, at toy size."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import sian
from sian.data import DatasetInfo, DatasetWriter
from sian.nuclei import scatter

DOCS = Path(__file__).resolve().parents[1] / "docs"
PYTHON = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SIZES = re.compile(r"^SIZE, BATCH, STEPS = .*$", re.MULTILINE)
BLOCKS = dict(PYTHON.findall((DOCS / "torch.md").read_text(encoding="utf-8")))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a data set of two small tiles, as the docs name it."""
    writer = DatasetWriter(tmp_path / "data" / "mine", DatasetInfo(name="mine", mpp=0.25))
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (96, 128, 3), dtype=np.uint8)
        writer.add(f"tile-{number}", image, scatter(96, 128, number), organ="kidney", split="train", mpp=0.25)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(title: str) -> dict:
    code, changed = SIZES.subn("SIZE, BATCH, STEPS = 64, 4, 2", BLOCKS[title])
    assert changed == 1
    names: dict = {"__name__": "docs"}
    exec(compile(code, f"docs/torch.md: {title}", "exec"), names)  # noqa: S102 - our own
    return names


def test_every_section_with_code_is_here():
    assert set(BLOCKS) == {"Plain torch", "Painted on the fly", "MONAI", "StarDist and Cellpose"}


def test_plain_torch(workplace):
    assert np.isfinite(run("Plain torch")["loss"].item())


def test_painted_on_the_fly(workplace):
    names = run("Painted on the fly")
    assert names["image"].shape == (4, 3, 64, 64)
    assert len(names["mixed"]) == 8


@pytest.mark.filterwarnings("ignore")  # MONAI's own
def test_monai(workplace):
    assert np.isfinite(run("MONAI")["loss"].item())


def test_stardist_and_cellpose(workplace):
    run("StarDist and Cellpose")
    painted = sian.open_dataset("data/painted")
    for item in painted:
        mask = painted.mask(item)
        star, cell = (Path("out") / name / "train" for name in ("stardist", "cellpose"))
        assert np.array_equal(tifffile.imread(star / "masks" / f"{item.id}.tif"), mask)
        assert np.array_equal(tifffile.imread(star / "images" / f"{item.id}.tif"), painted.image(item))
        assert np.array_equal(np.asarray(Image.open(cell / f"{item.id}_masks.png")), mask)

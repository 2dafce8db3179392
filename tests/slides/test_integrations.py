"""What the QuPath script and the napari plugin call exists; they are tested with their programs elsewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from tests.synthesis import toys

import sian
from sian import segmentation
from sian.cli.main import main

from .slide_files import picture, write_svs

INTEGRATIONS = Path(__file__).resolve().parents[2] / "integrations"
SCRIPT = (INTEGRATIONS / "qupath" / "sian_region.groovy").read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", [["segment", "predict"], ["restyle"]])
def test_the_command_lines_of_the_qupath_script(verb, tmp_path):
    """The options that the script writes, run on a slide; and it finds its results by their names."""
    for option in ("--region", "--geojson", "--style", "--mpp", "-o"):
        assert f'"{option}"' in SCRIPT
    slide = write_svs(tmp_path / "a.svs", picture(160, 200), 0.25)
    words = [*verb, str(slide), "--region", "8,16,128,96", "-o", str(tmp_path / "out")]
    if verb == ["restyle"]:
        sian.write_mask(tmp_path / "m.png", toys.grid_mask(96, 128))
        words += ["--style", "kidney", "--mask", str(tmp_path / "m.png")]
        words += ["--model", str(toys.write_toy(tmp_path / "toy.safetensors"))]
    else:
        words += ["--geojson", "--mpp", "0.25", "-m"]
        words += [str(segmentation.save(segmentation.untrained("segnet", 2), tmp_path / "seg.safetensors"))]
    assert main(words) == 0
    made = [path.name for path in (tmp_path / "out").iterdir()]
    if verb == ["restyle"]:
        found = [name for name in made if name.endswith(".png") and not re.search(r"_(mask|sheet)\.png$", name)]
        assert found == ["a_8-16-128-96_kidney.png"]
    else:
        assert [name for name in made if name.endswith(".geojson")] == ["a_8-16-128-96.geojson"]


def test_what_the_napari_plugin_imports_is_there():
    source = INTEGRATIONS / "napari-sian" / "src" / "napari_sian" / "__init__.py"
    imports = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if (node.module or "").startswith("sian"):
            module = __import__(node.module, fromlist=[alias.name for alias in node.names])
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_a_fiji_label_image_is_a_mask_as_it_is(tmp_path):
    import tifffile

    labels = toys.grid_mask(64, 64)
    tifffile.imwrite(tmp_path / "labels.tif", labels.astype(np.uint16), imagej=True, metadata={"unit": "um"})
    np.testing.assert_array_equal(sian.read_mask(tmp_path / "labels.tif"), labels)

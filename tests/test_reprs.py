"""What a notebook shows of results: a line, and the picture where there is one."""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image

import sian
from sian.cli.main import main
from sian.evaluation import evaluate, from_images
from sian.evaluation.evaluate import Tools
from sian.production.restyle import Restyled
from sian.synthesis.styles import OrganStyles, Style

STYLE = Style(np.zeros(64, np.float32), "kidney")


def test_styles_are_a_line():
    assert repr(STYLE) == "Style('kidney', 64 numbers)"
    part = OrganStyles("kidney/ffpe", np.zeros((3, 64), np.float32), np.array([16, 16, 8]), np.zeros((2, 64)))
    assert repr(part) == "OrganStyles('kidney/ffpe', 3 tiles, 40 windows)"


def test_a_restyled_image_is_its_picture():
    image, mask = np.full((4, 6, 3), 200, np.uint8), np.zeros((4, 6), np.int32)
    mask[1, 1:3] = 5, 9
    shown = Restyled(image, mask, STYLE, "")
    assert repr(shown) == "Restyled(4 x 6 px, 2 nuclei, Style('kidney', 64 numbers))"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown._repr_png_()))), image)


def test_the_bundled_model_in_a_line():
    line = repr(sian.load().info)
    assert line.startswith("ModelInfo(")
    assert "kidney" in line
    assert len(line) < 300


def test_the_command_line_lists_a_model_s_styles(capsys):
    model = sian.load()
    assert main(["styles", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed["styles"]) == set(model.styles.names)
    assert listed["styles"]["kidney"]["tiles"] == len(model.styles["kidney"].tiles)
    assert main(["styles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(model.styles.names)
    assert any(line.startswith("lung ") and line.endswith("the same as liver") for line in lines) == (
        model.styles.aliases.get("lung") == "liver"
    )
    assert main(["styles", "no such model.safetensors"]) == 3


def test_a_style_bank_is_a_table():
    bank = sian.load().styles
    html = bank._repr_html_()
    assert html.count("<tr>") == 1 + len(bank.names)
    assert f"<td>kidney</td><td>{len(bank['kidney'].tiles)}</td><td>{bank['kidney'].n}</td>" in html


def test_a_layout_is_its_three_masks():
    """One nucleus of one row: M white, P red and cyan either side of the centroid, Q by its own values."""
    mask = np.zeros((5, 9), np.int32)
    mask[2, 1:8] = 3
    layout = sian.describe(mask)
    picture = np.asarray(Image.open(io.BytesIO(layout._repr_png_())))
    assert picture.shape == (5, 3 * 9 + 8, 3)
    semantic, direction, distance = picture[:, :9], picture[:, 13:22], picture[:, 26:]
    assert ((semantic == 255).all(-1) == (mask > 0)).all()
    near, far = ([tuple(map(int, direction[2, x])) for x in places] for places in ((3, 5), (1, 7)))
    assert set(near) == {(255, 0, 0), (0, 255, 255)}  # either side of the centroid, half a turn apart
    assert set(far) == {(140, 0, 0), (0, 140, 140)}
    assert not direction[0].any()
    np.testing.assert_array_equal(distance[..., 0], (255 * layout.distance).round().astype(np.uint8))


def test_an_evaluation_says_its_numbers():
    images = {name: np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8) for name in "ab"}
    done = evaluate(from_images("f", images), from_images("r", images), None, tools=Tools(None, None))
    assert repr(done) == "Evaluation(n 2, ssim 1)"
    html = done._repr_html_()
    assert "<th>SSIM ↑</th>" in html
    assert "1.000" in html

"""OpenVINO paints what torch paints: styles, sizes, seeds, options of the generator; and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.networks.test_folded import OPTIONS, painted, trained_like

from sian.cli.main import main
from sian.errors import BadInput, MissingResource
from sian.masks import write_mask
from sian.nuclei import scatter
from sian.production import Plan
from sian.synthesis import load
from sian.synthesis.brushes import check_backend

from . import toys

ROOT = Path(__file__).parents[2]
openvino_brush = pytest.importorskip("sian.synthesis.openvino_brush")
pytest.importorskip("openvino")


@pytest.mark.parametrize(("style", "height", "width", "seed"), [("kidney", 96, 128, 0), ("breast#2", 70, 101, 5)])
def test_the_same_pixels_to_one_grey_level(toy_file: Path, style: str, height: int, width: int, seed: int) -> None:
    mask = toys.grid_mask(height, width)
    torchs, others = load(toy_file), load(toy_file, backend="openvino")
    expected = torchs.synthesize(mask, style, seed=seed).astype(int)
    assert expected.std() > 5
    for _ in range(3):  # the size's own graph from the second time on
        assert np.abs(others.synthesize(mask, style, seed=seed) - expected).max() <= 1


def test_the_bundled_model_in_windows_and_in_two_styles() -> None:
    mask = scatter(640, 64, seed=0)
    torchs, others = load(), load(backend="openvino")
    for style in ("kidney", "breast"):
        found, expected = (model.synthesize(mask, style, noise=0.5).astype(int) for model in (others, torchs))
        assert np.abs(found - expected).max() <= 1
        assert (found != expected).mean() < 1e-3


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_of_the_generator(options: dict[str, object]) -> None:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(4)
        generator = trained_like(**options)
        style = torch.linspace(-2, 2, 5)[None]
        folded = openvino_brush.FoldedGenerator(generator).brush(style)
        other = openvino_brush.OpenVinoGenerator(generator).brush(style)
        assert torch.allclose(painted(folded, generator), painted(other, generator), atol=1e-5)


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="expected one of torch, openvino, openvino-bf16"):
        check_backend("onnx")
    with pytest.raises(BadInput, match="computes on the CPU, found device 'cuda'"):
        check_backend("openvino", "cuda")
    monkeypatch.setattr(openvino_brush, "capabilities", lambda: ["FP32"])
    with pytest.raises(MissingResource, match="no bfloat16"):
        check_backend("openvino-bf16")


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(openvino_brush, "_core", openvino_brush._core.__wrapped__)  # as in a process that never had it
    write_mask(tmp_path / "mask.png", toys.grid_mask(64, 64))
    output = tmp_path / "out"
    assert main(["synthesize", str(tmp_path / "mask.png"), "-o", str(output), "--backend", "openvino"]) == 4
    assert "pip install 'sian[openvino]'" in capfd.readouterr().err
    assert not output.exists()


SIGNALLED = """
import gc, signal, sys
import sian
from tests.synthesis import toys

for _ in range(2):
    model = sian.load(sys.argv[1], backend="openvino")
    model.synthesize(toys.grid_mask(64, 64), "kidney")
    del model
    gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
signal.raise_signal(signal.SIGINT)
"""


def test_ctrl_c_after_a_model_is_gone_does_not_crash(toy_file: Path) -> None:
    """Each of OpenVINO's entries took its signal stack along: the next handled signal was a segmentation fault."""
    command = [sys.executable, "-c", SIGNALLED, str(toy_file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_a_network_that_is_not_sians_is_refused(tmp_path: Path, toy_file: Path) -> None:
    model = load(toy_file, backend="openvino")
    model.painter.generator.train()
    with pytest.raises(BadInput, match="take 'torch'"):
        model.synthesize(toys.grid_mask(64, 64), "kidney")


def test_plans_name_their_backend_and_old_plans_stay_the_same() -> None:
    from sian.production.schedule import deciding

    plan = Plan.load("seven-organs")
    assert "backend" not in deciding(plan)
    assert deciding(plan.model_copy(update={"backend": "openvino"}))["backend"] == "openvino"

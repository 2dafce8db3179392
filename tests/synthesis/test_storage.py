"""Weights as 8-bit integers: how near, to the bit when written again, and what a forged file may not be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sian.cli.main import main
from sian.errors import BadInput
from sian.files import sha256_file
from sian.masks import write_mask
from sian.synthesis import load
from sian.synthesis.load_model import bundled_model
from sian.synthesis.modelfile import read_model, write_model
from sian.synthesis.storage import narrowed, storage_of, widened

from . import toys

CONV = "painter.generator.blocks.0.conv_0.weight"


def conv(seed: int = 0, outputs: int = 4) -> torch.Tensor:
    return torch.randn(outputs, 512, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_8_bits_are_within_a_step_of_each_channels_own() -> None:
    weight = conv() * torch.tensor([1.0, 1e-3, 50.0, 0.0])[:, None, None, None]
    stored = narrowed(CONV, weight, "int8")
    assert {name: t.dtype for name, t in stored.items()} == {CONV: torch.int8, CONV + ".scale": torch.bfloat16}
    back = widened(stored)
    assert list(back) == [CONV]
    for channel, (before, after) in enumerate(zip(weight.numpy(), back[CONV].numpy(), strict=True)):
        largest = max(abs(float(value)) for value in before.flat)
        # Half a step; where the scale was rounded down, the largest is clipped by up to 1/512 of 127 steps.
        assert np.abs(after - before).max() <= 0.76 * largest / 127, channel
        assert np.abs(after - before).mean() <= 0.3 * largest / 127, channel
        assert len(np.unique(after)) <= 255
    assert not back[CONV][3].any()


@given(st.integers(0, 2**31), st.floats(1e-4, 1e3))
def test_what_is_read_is_written_again_to_the_bit(seed: int, size: float) -> None:
    once = narrowed(CONV, size * conv(seed, 2), "int8")
    twice = narrowed(CONV, widened(once)[CONV], "int8")
    assert all(torch.equal(once[name], twice[name]) for name in once)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("painter.encoder.convs.4.weight", conv()),
        ("painter.generator.start.weight", torch.randn(4, 4, 3, 3)),
        ("painter.generator.style.weight", torch.randn(300, 300)),
        ("discriminator.scales.0.weight", conv()),
    ],
)
def test_all_else_stays_in_half_precision(name: str, tensor: torch.Tensor) -> None:
    stored = narrowed(name, tensor, "int8")
    assert list(stored) == [name]
    assert torch.equal(stored[name], tensor.half())
    assert torch.equal(narrowed("painter.generator.running_mean", tensor, "int8").popitem()[1], tensor)


def test_names_that_end_alike_are_no_scales() -> None:
    """Styles' tensors, or a layer of that name, are not taken for the scales of an 8-bit tensor."""
    tensors = {"bank.a.scale": torch.ones(2), "bank.a": torch.ones(2), "painter.x.scale": torch.ones(3)}
    assert set(widened(tensors)) == set(tensors)
    assert storage_of(tensors) == "float32"


@pytest.mark.parametrize(
    ("scales", "said"),
    [
        (None, "needs a scale an output, found none"),
        (torch.ones(3).bfloat16(), "needs a scale an output"),
        (torch.ones(4, 1).bfloat16(), "needs a scale an output"),
        (torch.ones(4, dtype=torch.int64), "needs a scale an output"),
        (torch.ones(4, dtype=torch.complex64), "needs a scale an output"),
        (torch.tensor([1.0, 1.0, -1.0, 1.0]), "not positive numbers"),
        (torch.tensor([1.0, 1.0, torch.nan, 1.0]), "not positive numbers"),
        (torch.tensor([1.0, 1.0, torch.inf, 1.0]), "not positive numbers"),
    ],
)
def test_8_bits_without_their_scales_are_refused(scales: torch.Tensor | None, said: str) -> None:
    tensors = {CONV: torch.ones(4, 2, 3, 3, dtype=torch.int8)}
    with pytest.raises(BadInput, match=said):
        widened(tensors if scales is None else {**tensors, CONV + ".scale": scales})


def test_8_bits_are_for_convolutions_of_finite_weights() -> None:
    with pytest.raises(BadInput, match="has 2 axes, expected a convolution's 4"):
        widened({CONV: torch.ones(4, 2, dtype=torch.int8), CONV + ".scale": torch.ones(4)})
    with pytest.raises(BadInput, match="not finite"):
        narrowed(CONV, conv() * torch.inf, "int8")


def test_the_bundled_model_at_8_bits_paints_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the file, at most four grey levels in this style; the encoder to the bit."""
    wide, narrow = tmp_path / "wide.safetensors", tmp_path / "narrow.safetensors"
    content, random = read_model(bundled_model()), torch.Generator().manual_seed(0)
    moved = {  # off the 8-bit steps that the bundled file may lie on already
        name: tensor * (1 + 0.02 * torch.randn(tensor.shape, generator=random)) if tensor.ndim == 4 else tensor
        for name, tensor in content.weights.items()
    }
    info = content.info.model_copy(update={"metrics": {"metrics": {"fid": 1.0}}})
    write_model(wide, info, moved, content.bank, looks=content.looks)
    assert main(["export", str(wide), "--storage", "int8", "-o", str(narrow)]) == 0
    assert "its numbers are of the weights as they were" in capsys.readouterr().err
    assert not read_model(narrow).info.metrics
    assert narrow.stat().st_size < 0.62 * wide.stat().st_size
    assert narrow.with_suffix(".md").is_file()
    before, after = load(wide), load(narrow)
    mask = toys.grid_mask(128, 128)
    pictures = [model.synthesize(mask, "kidney").astype(int) for model in (before, after)]
    assert 0 < np.abs(pictures[0] - pictures[1]).max() <= 4
    reference = pictures[0].astype(np.uint8)
    assert np.array_equal(before.encode(reference).vector, after.encode(reference).vector)
    # Written again: to the bit, also with other numbers in it, and kept as it is stored.
    again = tmp_path / "again.safetensors"
    assert main(["export", str(narrow), "--storage", "int8", "-o", str(again)]) == 0
    assert sha256_file(again) == sha256_file(narrow)
    report = tmp_path / "report.json"
    report.write_text('{"metrics": {}}')
    assert main(["export", str(narrow), "--metrics", str(report), "-o", str(again)]) == 0
    assert read_model(again).storage == "int8"
    stored = load_file(narrow)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in load_file(again).items())


def test_a_forged_8_bit_file_is_one_sentence(
    toy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors import safe_open

    with safe_open(toy_file, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(toy_file)
    name = next(key for key, tensor in tensors.items() if key.startswith("painter.generator.") and tensor.ndim == 4)
    save_file({**tensors, name: tensors[name].to(torch.int8)}, tmp_path / "forged.safetensors", metadata=metadata)
    write_mask(tmp_path / "mask.png", toys.grid_mask(64, 64))
    words = [
        "synthesize",
        str(tmp_path / "mask.png"),
        "--model",
        str(tmp_path / "forged.safetensors"),
        "--style",
        "kidney",
        "-o",
        "x",
    ]
    assert main(words) == 3
    err = capsys.readouterr().err
    assert "needs a scale an output, found none" in err
    assert err.count("\n") == 1


def test_what_is_no_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "gone.safetensors"), "--storage", "int8"]) == 3
    assert "gone.safetensors: no such run or model file" in capsys.readouterr().err
    assert main(["export", "bundled", "--storage", "int8"]) == 3
    assert "name a file of yours with --output" in capsys.readouterr().err
    assert main(["export", "bundled", "--storage", "int8", "-o", str(tmp_path / "mine.safetensors")]) == 0


def test_an_unknown_storage_is_refused(toy_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(toy_file), "--storage", "int9"]) == 2
    assert "'int9' is not one of" in capsys.readouterr().err

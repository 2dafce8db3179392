"""Model files: round trip, and one sentence for everything that is not one."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sian.errors import BadInput
from sian.synthesis import load
from sian.synthesis.modelfile import read_model
from sian.synthesis.styles import Styles

from . import toys


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_round_trip(tmp_path: Path, storage: str) -> None:
    painter = toys.toy_painter()
    path = toys.write_toy(tmp_path / "new" / "toy.safetensors", storage=storage)
    content = read_model(path)
    assert content.info == toys.toy_info()
    assert content.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, tensor in painter.state_dict().items():
        narrow = storage == "float16" and tensor.is_floating_point() and "running" not in name
        expected = tensor.half().float() if narrow else tensor
        assert torch.equal(content.weights[name], expected)
        assert content.weights[name].dtype == tensor.dtype
    for name, tensor in Styles(toys.toy_bank()).tensors().items():
        assert torch.equal(content.bank[name], tensor)


def test_fp16_is_what_lies_on_disk_except_for_batch_norm_and_bank(toy_file: Path) -> None:
    stored = load_file(toy_file)
    assert stored["painter.generator.start.weight"].dtype == torch.float16
    kept = [tensor for name, tensor in stored.items() if "running_" in name or name.startswith("bank.")]
    assert kept
    assert {tensor.dtype for tensor in kept} == {torch.float32}


def test_the_loaded_painter_is_the_one_that_was_written(tmp_path: Path) -> None:
    painter = toys.toy_painter()
    loaded = load(toys.write_toy(tmp_path / "toy.safetensors", storage="float32")).painter
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, painter.state_dict()[name])


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    first, second = (toys.write_toy(tmp_path / name).read_bytes() for name in ("a.safetensors", "b.safetensors"))
    assert first == second


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_others_may_read_a_model_file_as_they_may_any_other(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    path = toys.write_toy(tmp_path / "toy.safetensors")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def changed(toy_file: Path, target: Path, tensors=None, description=None, **metadata: str) -> Path:
    """The toy with other tensors, or with values changed in its description."""
    content = dict(load_file(toy_file))
    content.update(tensors or {})
    with open(toy_file, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    told = json.loads(header["__metadata__"]["sian"])
    told.update(description or {})
    given = metadata or {"sian": json.dumps(told)}
    save_file({name: tensor for name, tensor in content.items() if tensor is not None}, target, metadata=given)
    return target


def test_an_untouched_copy_loads(toy_file: Path, tmp_path: Path) -> None:
    assert list(load(changed(toy_file, tmp_path / "copy.safetensors")).styles) == ["breast", "colon", "kidney"]


START = "painter.generator.start.weight"
BIG = {
    "generator": {**toys.GENERATOR, "channels": [10**5 * channels for channels in toys.GENERATOR["channels"]]},
    "encoder": toys.ENCODER,
}
SIX = {"generator": {**toys.GENERATOR, "channels": [8] * 6, "hidden": [4] * 6}, "encoder": toys.ENCODER}

DAMAGES = {
    "a tensor is missing": ({START: None}, {}, "do not fit its recipe"),
    "a tensor has another shape": ({START: torch.zeros(3, 19, 3, 3)}, {}, "size mismatch for generator.start.weight"),
    "a tensor too many": ({"painter.more": torch.zeros(1)}, {}, "do not fit its recipe"),
    "not a number": ({START: torch.full((8, 19, 3, 3), torch.nan)}, {}, "not finite"),
    "infinite": ({"bank.kidney/ffpe.tiles": torch.full((2, 6), torch.inf)}, {}, "'kidney/ffpe.tiles'.*not finite"),
    "a weight at the end of half precision": (
        {START: torch.full((8, 19, 3, 3), 60_000.0)},
        {},
        "'generator.start.weight' holds a weight of 60000, expected at most 10,000",
    ),
    "a negative variance": (
        {"painter.generator.blocks.0.norm_0.running_var": torch.full((8,), -0.5)},
        {},
        r"running_var' holds a negative variance \(-0\.5\)",
    ),
    "the bank lacks a part": ({"bank.kidney/ffpe.tiles": None}, {}, "style bank is damaged"),
    "the bank's parts do not fit": ({"bank.kidney/ffpe.counts": torch.ones(9)}, {}, "style bank is damaged"),
    "a tile of no windows": ({"bank.kidney/ffpe.counts": torch.zeros(2)}, {}, "style bank is damaged"),
    "the bank is another model's": (
        {"bank.breast/ffpe.tiles": torch.zeros(2, 5), "bank.breast/ffpe.factors": torch.zeros(1, 5)},
        {},
        "style bank of 6 numbers",
    ),
    "another format": ({}, {"format": "sian.model/9"}, "found format 'sian.model/9'"),
    "an unknown key": ({}, {"tiles": 3}, "description is damaged .tiles: "),
    "no area": ({}, {"median_nucleus_area": 0}, "median_nucleus_area: "),
    "infinite area": ({}, {"median_nucleus_area": float("inf")}, "median_nucleus_area: "),
    "a recipe without networks": ({}, {"recipe": {}}, "do not fit its recipe .'generator'"),
    "a recipe with an unknown key": ({}, {"recipe": {"generator": {"colour": 1}, "encoder": {}}}, "colour"),
    "a recipe that would fill the memory": ({}, {"recipe": BIG}, "size mismatch"),
    "six blocks": ({}, {"recipe": SIX}, "found 6 blocks"),
    "an alias of nothing": ({}, {"aliases": {"brain": "cortex"}}, "alias 'brain'"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_model_that_does_not_hold_together(toy_file: Path, tmp_path: Path, damage: str) -> None:
    tensors, description, sentence = DAMAGES[damage]
    path = changed(toy_file, tmp_path / "bad.safetensors", tensors, description)
    with pytest.raises(BadInput, match=sentence) as error:
        load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_model_without_styles(toy_file: Path, tmp_path: Path) -> None:
    bank = {name: None for name in load_file(toy_file) if name.startswith("bank.")}
    with pytest.raises(BadInput, match="style bank of 6 numbers a vector, found none"):
        load(changed(toy_file, tmp_path / "bare.safetensors", bank, {"aliases": {}}))


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"other": "1"}, "a file without SIAN's description"),
        ({"sian": "{not json"}, "description is damaged"),
        ({"sian": "[1, 2]"}, "a file without SIAN's description"),
        ({"sian": "[" * 100_000}, "description is damaged"),
    ],
)
def test_metadata_that_is_no_description(toy_file: Path, tmp_path: Path, metadata, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        load(changed(toy_file, tmp_path / "bad.safetensors", **metadata))


def test_files_that_are_no_models(toy_file: Path, tmp_path: Path) -> None:
    whole = toy_file.read_bytes()
    flipped = bytearray(whole)
    flipped[:8] = struct.pack("<Q", 2**60)
    contents = {
        "empty": b"",
        "text": b"not a model\n",
        "truncated": whole[: len(whole) // 2],
        "header cut": whole[:100],
        "header length": bytes(flipped),
        "pickle": b"\x80\x04\x95" + bytes(200),
        "longer": whole + b"\0" * 9,
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"expected a model of format sian.model/1") as error:
            load(path)
        assert name in str(error.value)


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(BadInput, match="found a folder"):
        load(str(tmp_path))


def test_a_written_bank_gives_the_styles_back(model) -> None:
    expected = Styles(toys.toy_bank())
    for name in expected:
        assert np.array_equal(model.styles[name].vector, expected[name].vector)

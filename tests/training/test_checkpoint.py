"""Checkpoints: whole or not at all, no pickle, and every damage is one sentence."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import sian
from sian.errors import BadInput, MissingResource
from sian.training import checkpoint


def parts(seed: int = 0):
    """Networks, average and optimisers after one step."""
    torch.manual_seed(seed)
    networks = {"painter": nn.Linear(3, 2), "discriminator": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))}
    optimisers = {name: torch.optim.Adam(net.parameters(), 0.1, (0.0, 0.999)) for name, net in networks.items()}
    networks["painter"](torch.ones(1, 3)).sum().backward()
    networks["discriminator"](torch.ones(2, 1, 5, 5)).square().sum().backward()
    for optimiser in optimisers.values():
        optimiser.step()
    return networks, nn.Linear(3, 2), optimisers


def state(images: int = 8) -> checkpoint.State:
    return checkpoint.State(images, images // 2, "name: toy\n", "0", {"real": 0.5, "fake": -0.25})


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path, state(), *parts(), keep=2)
    return tmp_path


def test_round_trip(folder):
    networks, average, optimisers = parts(1)
    found = checkpoint.load(folder / "000000008", networks, average, optimisers)
    assert found == state()
    expected = parts()
    for name, network in expected[0].items():
        for key, tensor in network.state_dict().items():
            assert torch.equal(networks[name].state_dict()[key], tensor), key
        moments = expected[2][name].state_dict()["state"]
        for index, values in optimisers[name].state_dict()["state"].items():
            assert all(torch.equal(tensor, moments[index][key]) for key, tensor in values.items())
            assert values.keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), expected[1].parameters(), strict=True))


def test_only_the_newest_stay_and_leftovers_go(folder):
    (folder / ".000000004.part").mkdir()
    (folder / ".000000004.part" / "networks.safetensors").write_bytes(b"half")
    for images in (16, 24):
        checkpoint.save(folder, state(images), *parts(), keep=2)
    assert sorted(entry.name for entry in folder.iterdir()) == ["000000016", "000000024"]
    assert [path.name for path in checkpoint.found(folder)] == ["000000016", "000000024"]


class Killed(BaseException):
    """Nothing in the product catches it, as nothing catches SIGKILL."""


@pytest.mark.parametrize(("dying", "at"), [("_write_tensors", 2), ("_flush", 2), ("os.replace", 1)])
def test_killed_while_saving_keeps_the_last_one(folder, monkeypatch, dying, at):
    calls = []

    def die(*arguments):
        calls.append(arguments)
        if len(calls) == at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"sian.training.checkpoint.{dying}", die)
        with pytest.raises(Killed):
            checkpoint.save(folder, state(16), *parts(), keep=1)
    assert [path.name for path in checkpoint.found(folder)] == ["000000008"]
    assert checkpoint.load(folder / "000000008", *parts(1)) == state()
    checkpoint.save(folder, state(16), *parts(), keep=2)
    assert sorted(entry.name for entry in folder.iterdir()) == ["000000008", "000000016"]


FILES = ["state.json", "networks.safetensors", "average.safetensors", "optimisers.safetensors"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["gone", "empty", "truncated", "noise"])
def test_damage_is_one_sentence(folder, file, damage):
    path = folder / "000000008" / file
    content = path.read_bytes()
    changed = {"empty": b"", "truncated": content[: len(content) // 2], "noise": bytes(range(256)) * 8}
    path.unlink()
    if damage != "gone":
        path.write_bytes(changed[damage])
    with pytest.raises(BadInput) as caught:
        checkpoint.load(folder / "000000008", *parts(1))
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "start the run anew" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "change",
    [
        {"format": "sian.checkpoint/9"},
        {"images": "8"},
        {"step": None},
        {"scalars": [1]},
        {"optimisers": 3},
        {"optimisers": {"painter": "x", "discriminator": []}},
        {"surprise": 1},
    ],
)
def test_state_of_another_kind_is_refused(folder, change):
    path = folder / "000000008" / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput, match="000000008"):
        checkpoint.load(folder / "000000008", *parts(1))


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_bit_is_found_and_the_one_before_named(folder, file):
    checkpoint.save(folder, state(16), *parts(), keep=2)
    path = folder / "000000016" / file
    content = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    content[digits[-1] if file == "state.json" else -1] ^= 1  # a number that is still one
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"another content than was written; .* --resume --from 8$"):
        checkpoint.load(folder / "000000016", *parts(1))
    assert checkpoint.load(checkpoint.chosen(folder, 8), *parts(1)) == state()
    assert sorted(entry.name for entry in folder.iterdir()) == ["000000008", "000000016.aside"]


def test_checkpoints_of_earlier_versions_hold_no_sha256(folder):
    path = folder / "000000008" / "state.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in record.items() if not key.startswith("sha256")}))
    assert checkpoint.load(folder / "000000008", *parts(1)) == state()


def test_the_checkpoint_to_go_on_from(folder):
    checkpoint.save(folder, state(16), *parts(), keep=2)
    assert checkpoint.chosen(folder).name == "000000016"
    assert checkpoint.chosen(folder / "nowhere") is None
    with pytest.raises(BadInput, match="no checkpoint of 12 images, expected one of these: 8, 16"):
        checkpoint.chosen(folder, 12)
    assert checkpoint.chosen(folder, 8, write=False).name == "000000008"
    assert len(checkpoint.found(folder)) == 2


def test_state_that_is_a_list(folder):
    (folder / "000000008" / "state.json").write_text("[1, 2]")
    with pytest.raises(BadInput, match=r"state\.json"):
        checkpoint.read_state(folder / "000000008")


def test_networks_of_another_shape(folder):
    networks, average, optimisers = parts(1)
    networks["painter"] = nn.Linear(4, 2)
    with pytest.raises(BadInput, match="000000008"):
        checkpoint.load(folder / "000000008", networks, average, optimisers)


def test_disk_full_is_missing_room(folder, monkeypatch):
    from safetensors import SafetensorError

    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(MissingResource, match="No space left"):
        checkpoint.save(folder, state(16), *parts(), keep=1)
    assert [path.name for path in checkpoint.found(folder)] == ["000000008"]


def test_checkpoints_hold_json_and_safetensors_alone(folder):
    assert sorted(path.name for path in (folder / "000000008").iterdir()) == sorted(FILES)


FORBIDDEN_MODULES = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


def test_no_pickle_anywhere():
    """No pickling module is imported, nothing is loaded by torch.load without weights_only, or by allow_pickle."""
    found = []
    for path in Path(sian.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [(path.name, name) for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
            if isinstance(node, ast.Call):
                called, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
                if called == "torch.save" or (called == "torch.load" and keywords.get("weights_only") != "True"):
                    found.append((path.name, called))
                if keywords.get("allow_pickle", "False") != "False":
                    found.append((path.name, called))
    assert found == []

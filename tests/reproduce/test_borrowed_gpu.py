"""A row on a borrowed machine: from the pack to a row at home, and one sentence for what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from maintainers.borrowed_gpu import collecting, packing
from maintainers.borrowed_gpu.__main__ import main as borrowed

from sian.cli.main import main

pytestmark = [
    pytest.mark.usefixtures("toy_world"),
    pytest.mark.filterwarnings("ignore::sian.errors.SianWarning"),  # toys know few styles
]


def run(data_folder: Path, runs: Path, *more: str, verb: str = "table1") -> int:
    return main(["reproduce", verb, "--data", str(data_folder), "-o", str(runs), "--device", "cpu", *more])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_job_from_data_to_a_row_at_home(data_folder, tmp_path, capsys):
    out, home = tmp_path / "out", tmp_path / "home"
    job = ["row", "first", "--data", str(data_folder), "-o", str(out), "--scale", "tiny"]
    assert borrowed([*job, "--minutes", "200", "--device", "cpu"]) == 0
    left = sorted(path.name for path in out.iterdir())
    assert left == ["job.json", "model.safetensors", "report.json", "samples.png", "stats.jsonl"]
    facts = json.loads((out / "job.json").read_text())
    assert (facts["row"], facts["scale"], facts["minutes"], facts["planned_images"]) == ("first", "tiny", 200, 4)
    assert facts["whole"] is True
    assert borrowed([*job, "--minutes", "5"]) == 3
    assert "holds something already" in said(capsys)

    assert borrowed(["collect", str(out), "-o", str(home)]) == 0
    assert run(data_folder, home, "--rows", "first") == 0
    captured = capsys.readouterr()
    assert "training" not in captured.err
    assert "| First | 6 |" in captured.out
    assert "200 min" in captured.out
    assert "| Second | not run |" in captured.out
    assert borrowed(["collect", str(out), "-o", str(home)]) == 3
    assert "is there already" in said(capsys)


def test_a_job_that_is_measured_at_home(data_folder, tmp_path, capsys):
    data, out, home = tmp_path / "data", tmp_path / "out", tmp_path / "home"
    shutil.copytree(data_folder, data)
    lines = [line for line in (data / "items.jsonl").read_text().splitlines() if '"split": "train"' in line]
    (data / "items.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "pack.json").write_text('{"commit": "of the pack"}')
    job = ["row", "first", "--data", str(data), "-o", str(out), "--scale", "tiny", "--minutes", "200"]
    assert borrowed([*job, "--device", "cpu"]) == 3
    assert "no items of split 'test'" in said(capsys)
    assert borrowed([*job, "--device", "cpu", "--no-evaluate"]) == 0
    assert not (out / "report.json").exists()
    (tmp_path / "pack.json").unlink()
    assert borrowed(["collect", str(out), "-o", str(home)]) == 0
    assert run(data_folder, home, "--rows", "first") == 0
    printed = capsys.readouterr().out
    assert "| First | 6 |" in printed
    assert "| 0 | of the pack | 200 min |" in printed


def test_collecting_something_else(tmp_path, capsys):
    assert borrowed(["collect", str(tmp_path), "-o", str(tmp_path / "home")]) == 3
    assert "expected the folder that a job has left" in said(capsys)


@pytest.fixture
def pack_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small files in the weights' place."""
    import torch
    from safetensors.torch import save_file

    for name, dtype in (("vgg19", torch.float32), ("inception_fid", torch.float16)):
        save_file(
            {"a": torch.arange(8).to(dtype)}, tmp_path / f"{name}.safetensors", {"activation_scale": "normalised"}
        )
    monkeypatch.setattr(packing, "find_weights", lambda name, *_: tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(packing, "_code", lambda: iter([packing.Packed("sian/x.py", b"")]))


def test_a_pack_holds_what_a_job_needs(data_folder, tmp_path, capsys, pack_weights):
    from safetensors.torch import load_file

    from sian.data import open_dataset
    from sian.files import sha256_file

    wheels, pack = tmp_path / "wheels", tmp_path / "pack"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "some-1-py3-none-any.whl", "w") as archive:
        archive.writestr("some/__init__.py", "")
    arguments = ["pack", "--data", str(data_folder), "-o", str(pack), "--wheels", str(wheels)]
    assert borrowed(arguments) == 0
    listed = json.loads((pack / "pack.json").read_text())["files"]
    assert {name: sha256_file(pack / name) for name in listed} == listed
    assert {"job.py", "weights/vgg19.safetensors", "wheels/some-1-py3-none-any.whl", "data/items.jsonl"} <= set(listed)
    assert load_file(pack / "weights" / "vgg19.safetensors")["a"].dtype.itemsize == 2
    before, after = open_dataset(data_folder), open_dataset(pack / "data")
    for item in after:
        same = (before.image(before[item.id]) == after.image(item)).all()
        assert same == (item.split == "test")  # test tiles without loss
        assert (before.mask(before[item.id]) == after.mask(item)).all()
        assert item.image.endswith(".webp")
    assert borrowed(arguments) == 3
    assert "holds something already" in said(capsys)


def test_a_pack_that_does_not_fit(data_folder, tmp_path, capsys, monkeypatch, pack_weights):
    monkeypatch.setattr(packing, "TRANSFER_BYTES", 300_000)
    arguments = ["pack", "--data", str(data_folder), "-o"]
    assert borrowed([*arguments, str(tmp_path / "one")]) == 3
    sentence = said(capsys)
    assert "expected at most 1" in sentence
    assert not (tmp_path / "one").exists()
    needed = sentence.split("--transfers ")[1].split(",")[0]
    assert borrowed([*arguments, str(tmp_path / "several"), "--transfers", needed]) == 0
    assert sorted(path.name for path in (tmp_path / "several").iterdir()) == [str(n + 1) for n in range(int(needed))]


def test_the_starter_unpacks_wheels_and_starts_the_row(tmp_path, monkeypatch):
    (tmp_path / "job.py").write_text(packing.START)
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "brought-1-py3-none-any.whl", "w") as archive:
        archive.writestr("brought.py", "WORD = 'from a wheel'")
    tools = tmp_path / "maintainers" / "borrowed_gpu"
    tools.mkdir(parents=True)
    for folder in (tools, tools.parent):
        (folder / "__init__.py").touch()
    (tools / "__main__.py").write_text("import sys, brought\nprint(brought.WORD, *sys.argv[1:5])\n")
    import subprocess

    done = subprocess.run([sys.executable, str(tmp_path / "job.py"), "sian", "-o"], capture_output=True, text=True)
    assert done.stdout.split() == ["from", "a", "wheel", "row", "sian", "-o", "--data"], done.stderr


def test_a_model_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "FILE_BYTES", 10)
    parts = collecting._split(bytes(range(35)))
    assert {name: len(part) for name, part in parts.items()} == {
        f"model.safetensors.{n}of4": size for n, size in zip((1, 2, 3, 4), (10, 10, 10, 5), strict=True)
    }
    for name, part in parts.items():
        (tmp_path / name).write_bytes(part)
    assert collecting._joined(tmp_path) == bytes(range(35))
    (tmp_path / "model.safetensors.2of4").unlink()
    with pytest.raises(ValueError, match="all of its parts"):
        collecting._joined(tmp_path)
    with pytest.raises(ValueError, match="--no-model"):
        collecting._split(bytes(41))

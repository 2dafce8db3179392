"""`--dry-run`: says what the real run then does, refuses what it refuses, and writes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.production.toys import tree, write_plan
from tests.training import toys

from sian.cli.main import main
from sian.training import checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["data", "import", str(toys.write_folder(folder / "source")), "-o", str(folder / "set")]) == 0
    return folder / "set"


def train(data: Path, recipe: Path, run: Path, *more: str) -> int:
    words = ["train", recipe, "-d", data, "-o", run, "--split", "train", "--device", "cpu", "--no-export", *more]
    return main([str(word) for word in words])


def test_a_training_is_as_long_as_was_said(data, tmp_path, capsys) -> None:
    stages = [toys.stage(5), toys.stage(4, batch=4)]
    recipe, run = toys.write_recipe(tmp_path / "toy.yaml", stages=stages), tmp_path / "run"
    assert train(data, recipe, run, "--dry-run") == 0
    said = capsys.readouterr().out
    assert not run.exists()
    assert "4 windows of 64 px, 2 a step: 2 steps\n4 windows of 64 px, 4 a step: 1 steps\n" in said
    assert "in all: 8 windows, 3 steps" in said
    assert "2 tiles" in said
    assert "(unknown 2)" in said
    assert "a new run" in said
    assert train(data, recipe, run) == 0
    state, _ = checkpoint.read_state(checkpoint.found(run / "checkpoints")[-1])
    assert (state.images, state.step) == (8, 3)
    capsys.readouterr()
    before = tree(run)
    assert train(data, recipe, run, "--resume", "--set", "stages.1.images=8", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "in all: 12 windows, 4 steps" in said
    assert "goes on from 8 windows" in said
    assert train(data, recipe, run, "--dry-run") == 3  # a run is there already
    assert tree(run) == before


@pytest.mark.parametrize(
    "more",
    [
        ["--set", "stages.0.sizes=3"],
        ["--alias", "lung=liver"],
        ["--device", "tpu"],
        ["--device", "cuda:7"],
        ["--split", "tset"],
        ["--resume"],
        ["--from", "4"],
        ["--set", "losses.perceptual=1", "--weights", "{empty}"],
        ["--set", "stages.0.size=512"],
    ],
    ids=" ".join,
)
def test_a_training_is_refused_with_the_same_words(data, tmp_path, capsys, monkeypatch, more) -> None:
    monkeypatch.setenv("SIAN_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("sian.files.weights.cache_folder", lambda: tmp_path)
    recipe, run = toys.write_recipe(tmp_path / "toy.yaml", stages=[toys.stage(2)]), tmp_path / "run"
    words = [word.format(empty=tmp_path) for word in more]
    outcomes = []
    for dry in (["--dry-run"], []):
        code = train(data, recipe, run, *words, *dry)
        outcomes.append((code, capsys.readouterr().err.splitlines()[-1]))
        assert not run.exists()
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] in (2, 3, 4)


def test_a_plan_makes_what_was_said(finished, plan, tmp_path, capsys) -> None:
    folder = tmp_path / "set"
    assert main(["dataset", str(plan), "-o", str(folder), "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert not folder.exists()
    assert (said["images"], said["missing"], said["shards"], said["missing_shards"]) == (10, 10, 3, 3)
    shutil.copytree(finished, folder)
    records = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    painted = [item["style"].split("#")[0] for record in records for item in record["items"]]
    assert said["styles"] == {name: painted.count(name) for name in ("kidney", "breast")}
    lines = (folder / "manifest.jsonl").read_text().splitlines(keepends=True)
    (folder / "manifest.jsonl").write_text("".join(lines[:2]))
    before = tree(folder)
    assert main(["dataset", str(plan), "-o", str(folder), "--dry-run"]) == 0
    assert "2 images in 1 shards would be made now" in capsys.readouterr().out
    assert tree(folder) == before


def test_a_plan_is_refused_with_the_same_words(finished, plan, model, tmp_path, capsys) -> None:
    unknown = write_plan(tmp_path / "unknown", model, styles=["kidny"])
    for words in (
        [str(plan), "--set", "seed=1", "-o", str(finished)],
        [str(plan), "-o", str(tmp_path)],
        [str(unknown), "-o", str(tmp_path / "new")],
    ):
        ways = (["--dry-run"], ["--workers", "0"])
        outcomes = [(main(["dataset", *words, *way]), capsys.readouterr().err) for way in ways]
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][0] == 3
    assert not (tmp_path / "new").exists()
    assert main(["dataset", str(plan), "--only", "3", "-o", str(tmp_path / "a.png"), "--dry-run"]) == 2

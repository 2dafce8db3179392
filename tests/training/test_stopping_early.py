"""Held-out tiles: which, when the run ends, what is kept; stages that freeze parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training import toys

from sian import seeds
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.data.tiles import read_tiles
from sian.errors import BadInput
from sian.files import write_json
from sian.production.comparison import set_apart
from sian.production.train_and_export import say_held_out
from sian.training import Hardware, train
from sian.training import loop as loop_module
from sian.training.recipe_sections import StoppingSection
from sian.training.stopping import BEST, Watch, hold_out, style_distance

CPU = Hardware("cpu")
ROOT = Path(__file__).resolve().parents[2]
STOPPING = {"tiles": 1, "least": 2, "windows": 1, "every": 2, "patience": 2}


@pytest.fixture(scope="module")
def tiles():
    return toys.tiles(3)


@pytest.fixture(autouse=True)
def _without_samples(monkeypatch):
    picture = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr(loop_module, "paint_grid", lambda *_: (picture, {"style_change": 0.0, "style_spread": 0.0}))


def test_style_distance_by_hand():
    real = {"a": torch.tensor([[1.0, 3.0], [2.0, 4.0]])}
    fake = {"a": torch.tensor([[2.0, 3.0], [2.0, 1.0]])}
    assert style_distance(real, fake) == pytest.approx((1 + 0 + 0 + 3) / 2 / 3)
    assert style_distance(real, real) == 0


def test_tiles_are_held_out_where_there_are_enough(tiles):
    section = StoppingSection(tiles=1, least=3)
    learned, held = hold_out(tiles, section, seed=0)
    assert len(held) == 1
    assert {t.id for t in learned} | {t.id for t in held} == {t.id for t in tiles}
    assert hold_out(tiles, section, seed=0)[1] == held
    assert {hold_out(tiles, section, seed)[1][0].id for seed in range(20)} == {t.id for t in tiles}
    assert hold_out(tiles[:2], section, 0) == (tiles[:2], [])
    assert hold_out(tiles, StoppingSection(), 0)[1] == []
    with pytest.raises(ValueError, match="fewer tiles"):
        StoppingSection(tiles=3, least=3)


PATIENTS = {
    "each tile of another one": "abcdef",
    "nobody known": [None] * 6,
    "one with most tiles": "aaaabc",
    "pairs": "aabbcc",
    "half known": ["a", "a", None, "b", "b", None],
    "one alone": "aaaaaa",
    "two halves": "aaabbb",
}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("patients", PATIENTS.values(), ids=PATIENTS)
def test_a_patient_is_held_out_whole_or_not_at_all(tiles, patients, count):
    given = [replace(tiles[0], id=f"t{n}", patient=patient) for n, patient in enumerate(patients)]
    section = StoppingSection(tiles=count, least=4)
    for seed in range(10):
        learned, held = hold_out(given, section, seed)
        assert sorted(t.id for t in [*learned, *held]) == [f"t{n}" for n in range(6)]
        assert not {t.patient for t in learned if t.patient} & {t.patient for t in held if t.patient}
        sizes = [list(patients).count(patient) if patient else 1 for patient in patients]
        if (len(set(patients)) == 1 and patients[0]) or min(sizes) > max(count, 2):
            assert held == []
        else:
            assert 1 <= len(held) <= max(count, min(sizes))
        if max(sizes) == 1:  # as it was when tiles had no patients
            order = seeds.generator(seed, "held-out tiles").permutation(6)
            assert {t.id for t in held} == {f"t{n}" for n in order[:count]}


def test_patients_come_with_the_tiles_of_a_data_set(tmp_path):
    writer = DatasetWriter(tmp_path / "set", DatasetInfo(name="mine"))
    for number, patient in enumerate(["TCGA-A7-A13E", None]):
        mask = np.eye(8, dtype=np.int32)
        writer.add(f"i{number}", np.zeros((8, 8, 3), np.uint8), mask, patient=patient)
    assert [tile.patient for tile in read_tiles(open_dataset(writer.folder))] == ["TCGA-A7-A13E", None]


def test_it_is_said_when_nothing_can_be_held_out(tiles, tmp_path):
    recipe, said = toys.recipe(stopping=STOPPING), []
    for some in ([replace(tile, patient="a") for tile in tiles], tiles[:1]):
        say_held_out(len(some), set_apart(some, recipe, None, tmp_path).names, recipe, said.append)
    assert said[0].startswith("3 tiles, of too few patients: nothing is held out")
    assert said[1].startswith("1 tile, fewer than 2: nothing is held out")


def test_patience(tmp_path, tiles):
    watch = Watch(tiles[:1], StoppingSection(**STOPPING), 0, tmp_path, 0)
    for images, distance in enumerate([3.0, 2.0, 2.5]):
        watch.looks.append({"images": images, "distance": distance})
        assert not watch.ended
    watch.looks.append({"images": 3, "distance": 2.0})  # as good as the best is no better
    assert watch.ended
    assert watch.best["images"] == 1
    endless = StoppingSection(**{**STOPPING, "patience": None})  # the paper's: the best of all looks
    watch = Watch(tiles[:1], endless, 0, tmp_path, 0)
    watch.looks = [{"images": images, "distance": 1.0 + images} for images in range(50)]
    assert not watch.ended
    assert watch.best["images"] == 0


def test_a_run_that_gets_no_better_ends_and_keeps_the_best(tiles, tmp_path):
    recipe = toys.recipe(
        stages=[toys.stage(20)], stopping=STOPPING, optimiser={"generator_rate": 1e-12}, data={"positions": "random"}
    )
    run = tmp_path / "run"
    last = train(recipe, tiles, run, hardware=CPU)
    record = json.loads((run / "stopping.json").read_text())
    assert [look["images"] for look in record["looks"]] == list(range(0, int(last.name) + 1, 2))
    distances = [look["distance"] for look in record["looks"]]
    best = distances.index(min(distances))
    assert record["best"] == 2 * best
    assert record["ended"] == (len(distances) - 1 - best >= 2)
    assert record["held_out"] == [hold_out(tiles, recipe.stopping, 0)[1][0].id]
    assert set(load_file(run / "best.safetensors")) == set(load_file(last / "average.safetensors"))
    again = train(recipe, tiles, run, resume=True, hardware=CPU)
    assert again == last  # at its end, or ended before


def test_looks_of_a_killed_run_are_made_again(tiles, tmp_path):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    stopping = {**STOPPING, "patience": 10}
    train(toys.recipe(stages=[toys.stage(6)], stopping=stopping), tiles, straight, hardware=CPU)
    train(toys.recipe(stages=[toys.stage(4)], stopping=stopping), tiles, resumed, hardware=CPU)
    record = json.loads((resumed / "stopping.json").read_text())
    record["looks"].append({"images": 6, "distance": -1.0})
    (resumed / "stopping.json").write_text(json.dumps(record))
    train(toys.recipe(stages=[toys.stage(6)], stopping=stopping), tiles, resumed, resume=True, hardware=CPU)
    assert (resumed / "stopping.json").read_bytes() == (straight / "stopping.json").read_bytes()


@pytest.mark.parametrize(
    "frozen",
    [["generator"], ["encoder"], ["generator", "encoder"], ["discriminator"], ["generator", "discriminator"]],
)
def test_frozen_parts_keep_their_weights(tiles, tmp_path, frozen):
    def run(images, frozen, folder):
        unjudged = {"losses": {"gan_weight": 0, "feature_matching": 0}} if "discriminator" in frozen else {}
        recipe = toys.recipe(stages=[toys.stage(images, frozen=frozen)], **unjudged)
        return train(recipe, tiles, tmp_path / folder, hardware=CPU)

    last = run(4, frozen, "a")
    painter, judge = run(2, ["generator", "encoder"], "b"), run(2, ["discriminator"], "c")
    before, of_judge = load_file(painter / "networks.safetensors"), load_file(judge / "networks.safetensors")
    before |= {name: tensor for name, tensor in of_judge.items() if name.startswith("discriminator")}  # as they began
    after = load_file(last / "networks.safetensors")
    for part in ("painter.generator", "painter.encoder", "discriminator"):
        names = [n for n in before if n.startswith(part) and "running" not in n and n.endswith(("weight", "original"))]
        same = all(torch.equal(before[name], after[name]) for name in names)
        assert same == (part.removeprefix("painter.") in frozen), part


def test_a_recipe_that_starts_from_a_model_needs_one(tiles, tmp_path):
    with pytest.raises(BadInput, match="--init"):
        train(toys.recipe(start="model"), tiles, tmp_path / "run", hardware=CPU)


DISTRIBUTED = """
import itertools, sys
from pathlib import Path
from sian.training import Hardware, train
from sian.training import loop, stopping
from tests.training import toys

folder, setup = Path(sys.argv[1]), loop.launch
ranks, distances = [], itertools.count(10, -1)
def launch(hardware):
    fabric = setup(hardware)
    ranks.append(fabric.global_rank)
    return fabric
loop.launch = launch
stopping.style_distance = lambda *_: 5.0 if ranks[0] == 0 else float(next(distances))  # the second gets ever better
loop.paint_grid = lambda *_: (toys.picture(toys.ellipses(0, 8), 0), {})
tiles = toys.tiles(3)
recipe = toys.recipe(
    stages=[toys.stage(8, batch=4), toys.stage(16, batch=4)],
    stopping={"tiles": 1, "least": 2, "windows": 1, "every": 4, "patience": 1},
)
last = train(recipe, tiles, folder / "run", hardware=Hardware("cpu", devices=2))
(folder / f"rank{ranks[0]}").write_text(last.name)
"""


def test_all_processes_end_after_the_same_step(tmp_path):
    """DDP on two CPU processes of which one alone would go on: the main one decides."""
    script = tmp_path / "distributed.py"
    script.write_text(DISTRIBUTED, encoding="utf-8")
    places = os.pathsep.join(str(place) for place in (ROOT / "src", ROOT))
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["000000004"] * 2
    record = json.loads((tmp_path / "run" / "stopping.json").read_text())
    assert record["looks"] == [{"images": 0, "distance": 5.0}, {"images": 4, "distance": 5.0}]
    assert record["ended"] is True


def test_weights_of_a_forgotten_look_are_forgotten_too(tmp_path):
    """Killed after the best look, and gone on from before it: what lies there is not the best that is left."""
    looks = [{"images": n, "distance": d} for n, d in ((1000, 1.0), (2000, 1.2), (3000, 0.8))]
    for images, stays in ((2000, False), (3000, True)):
        write_json(tmp_path / "stopping.json", {"best": 3000, "looks": looks})
        (tmp_path / BEST).write_bytes(b"weights of 3000")
        watch = Watch(toys.tiles()[:1], toys.recipe().stopping, 0, tmp_path, images)
        assert (tmp_path / BEST).is_file() is stays
        assert watch.best["images"] == (3000 if stays else 1000)

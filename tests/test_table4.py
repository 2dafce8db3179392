"""Table 4 at toy size: rows, scores, intervals, sentences, and `sian reproduce table4`."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from tests.synthesis import toys as synthesis_toys

from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput
from sian.files import sha256_file
from sian.reproduce.table4 import segmenter_rows as rows_module
from sian.reproduce.table4 import segmenter_runs
from sian.reproduce.table4.findings import findings, gain, matrices
from sian.reproduce.table4.intervals import Interval, interval
from sian.reproduce.table4.segmenter_rows import CONTROLS, ROWS, SCALES, rows_named, scale_named
from sian.reproduce.table4.segmenter_runs import subset
from sian.reproduce.table4.synthetic import painter_tiles
from sian.synthesis.modelfile import BaseModelFacts

TOY = replace(
    SCALES["tiny"],
    changes={"network.width": "2", "data.size": "32", "data.batch": "4", "every": "{journal: 4}"},
    images=8,
    synthetic=7,
    windows=1,
    rows=("real", "real-star", "synthetic", "synthetic-star", "stain", "unet-real"),
)


def write(folder, synthetic=False, splits=("train", "train", "train", "test"), side=64, **facts):
    writer = DatasetWriter(folder, DatasetInfo(name=folder.name, licence="CC0-1.0", synthetic=synthetic))
    for number, split in enumerate(splits):
        random = np.random.default_rng(number)
        mask = np.zeros((side, side), np.int32)
        for nucleus in range(1, 6):
            y, x = random.integers(4, side - 12, 2)
            mask[y : y + 9, x : x + 9] = nucleus
        image = np.where(mask[..., None] > 0, (90, 50, 130), (230, 180, 210)).astype(np.uint8)
        writer.add(f"{split}{number}", image, mask, organ="kidney", split=split, **facts)
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table4")
    splits = ("train", "train", "train", "test", "test")
    return write(folder / "real", splits=splits, side=256), write(
        folder / "painted", True, ("train",) * 3, model="ab" * 32
    )


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(rows_module.SCALES, "tiny", TOY)
    monkeypatch.setattr("sian.segmentation.segmenter_export.NORM_BATCHES", 1)


def command(sets, runs, *more):
    real, painted = sets
    return [
        "reproduce",
        "table4",
        "-d",
        str(real),
        "-o",
        str(runs),
        "--synthetic",
        str(painted),
        "--device",
        "cpu",
        *more,
    ]


# Rows.


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_every_row_has_a_recipe_at_every_scale(scale):
    for name, row in ROWS.items():
        recipe = row.recipe(scale, 1)
        assert (recipe.name, recipe.seed, recipe.network.kind) == (f"{name}-{scale.name}", 1, row.network)
        assert recipe.images == round(scale.images * row.steps)
        assert not recipe.data.turn
        assert bool(recipe.data.repeat) == name.startswith("frozen")
        assert (recipe.augment.light, recipe.augment.blur, recipe.augment.noise) == (0, 0, 0)
        assert row.against in {"", *ROWS}
        assert row.against != name


def test_a_row_differs_from_what_it_is_held_against_in_what_it_says():
    def apart(name):
        own, other = (ROWS[n].recipe(SCALES["tiny"], 0).model_dump() for n in (name, ROWS[name].against))
        return {key for key in own if own[key] != other[key]} - {"name"}

    assert apart("real-star") == {"augment"}
    assert apart("synthetic") == set()  # the same recipe and steps: only the data differ
    assert apart("synthetic-star") == set()
    assert apart("real-short") == {"images"}
    assert [apart(name) for name in CONTROLS] == [{"augment"}, {"augment"}, {"data"}]
    assert ROWS["synthetic"].synthetic


def test_the_papers_numbers():
    paper = [ROWS[name].paper["pq"] for name in ("real", "real-star", "synthetic", "synthetic-star")]
    assert paper == [0.521, 0.533, 0.547, 0.555]


def test_real_tiles_are_nested_and_belong_to_the_seed():
    for seed in range(5):
        few, more, most = (set(subset(30, share, seed)) for share in (0.1, 0.25, 0.5))
        assert (len(few), len(more), len(most)) == (3, 8, 15)
        assert few < more < most
    assert subset(30, 0.1, 0) != subset(30, 0.1, 1)


# Intervals.


def test_an_interval_by_a_plain_loop():
    random = np.random.default_rng(0)
    scores = random.normal(0.5, 0.1, (3, 14))
    means = [
        scores[np.ix_(random.integers(3, size=3), random.integers(14, size=14))].mean() for _ in range(20_000)
    ]  # fmt: skip
    found = interval(scores)
    assert found.mean == pytest.approx(scores.mean())
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=0.004)


def test_an_interval_of_what_was_picked_is_wider():
    """Among five: 1 % outside instead of 5, by the normal distribution that means of many tiles have."""
    scores = np.random.default_rng(0).normal(0, 1, (1, 400))
    found, deviation = interval(scores, 40_000, choices=5), scores.std() / 20
    assert [found.low, found.high] == pytest.approx(
        norm.ppf([0.005, 0.995], scores.mean(), deviation).tolist(), abs=0.006
    )


def test_an_interval_by_hand():
    """Two tiles, one seed: both the first 1/4, one of each 1/2, both the second 1/4."""
    assert interval(np.array([[0.0, 1.0]])) == Interval(0.5, 0.0, 1.0)
    assert interval(np.array([[0.2, np.nan, 0.2]])) == Interval(
        pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.2)
    )


def test_a_gain_is_taken_tile_by_tile():
    hard_and_easy = np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]])
    found = gain({"a": hard_and_easy + 0.02, "b": hard_and_easy}, "a", "b")
    assert (found.low, found.high) == (pytest.approx(0.02), pytest.approx(0.02))
    assert found.sign == 1
    assert gain({"a": hard_and_easy}, "a", "b") is None


# Sentences.


def scores_of(**gains):
    base = np.random.default_rng(1).uniform(0.3, 0.6, (2, 14))
    return {"real": base} | {name.replace("_", "-"): base + by for name, by in gains.items()}


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ({"synthetic": 0.02, "stain": 0.0}, ["PQ +0.020 (+0.020 to +0.020)", "it helped", "no control gives the same"]),
        ({"synthetic": 0.02, "stain": 0.02}, ["it helped", "cannot be told from"]),
        ({"synthetic": 0.01, "stain": 0.02, "paste": 0.0}, ["does better", "strong stain augmentation"]),
        ({"synthetic": -0.02, "paste": 0.0}, ["it hurt"]),
        ({"synthetic": 0.0, "paste": 0.0}, ["no difference that these tiles and seeds can show"]),
    ],
)
def test_findings(gains, words):
    scores = scores_of(**gains)
    text = " ".join(findings(scores, scores))
    assert all(word in text for word in words)


def test_the_best_of_several_controls_is_no_verdict_at_the_level_of_one():
    """A control that a single comparison would call better: not so, picked among three."""
    noise = np.random.default_rng(2).normal(0, 0.01, 14)
    apart = noise - noise.mean() - 2.2 * noise.std() / np.sqrt(14)  # 2.2 deviations below 0
    scores = scores_of(synthetic=0.02 + apart, stain=0.02)
    (alone,) = [line for line in findings(scores, scores) if "best control" in line]
    assert "this control, without any generator, does better" in alone
    assert "picked" not in alone
    scores |= scores_of(paste=0.0, frozen=-0.01)
    (among_three,) = [line for line in findings(scores, scores) if "best control" in line]
    assert "(strong stain augmentation)" in among_three
    assert "(98.3 % intervals, since it was picked among 3); so what synthetic data give cannot be told" in among_three


def test_where_pq_and_aji_disagree_both_are_said():
    pq = scores_of(synthetic=0.02, paste=0.01)
    aji = scores_of(synthetic=0.02, paste=-0.01)
    control = next(line for line in findings(pq, aji) if "copy-paste" in line)
    assert "by PQ, it helped; by AJI, it hurt." in control


def test_rows_without_all_their_seeds_do_not_count():
    line = {"tiles": [{"pq": 0.5}, {"pq": None}]}
    found = matrices({("real", 0): line, ("real", 1): line, ("stain", 0): line}, SCALES["tiny"], "pq")
    assert list(found) == ["real"]
    assert np.isnan(found["real"]).tolist() == [[False, True]] * 2


# Whose tiles paint.


def facts_of(tiles, base=None):
    facts = synthesis_toys.toy_info().training.model_copy(update={"tiles": tiles})
    if base is None:
        return facts
    before = BaseModelFacts(sha256="0", name="before", median_nucleus_area=1, licence="x", training=base)
    return facts.model_copy(update={"base": before, "held_out": ["held"]})


def test_the_tiles_of_a_painter_are_those_of_all_models_before_it(tmp_path):
    training = facts_of(["a", "b"], facts_of(["b", "c"]))
    path = synthesis_toys.write_toy(tmp_path / "model.safetensors", training=training)
    painted = open_dataset(write(tmp_path / "painted", True, ("train",), model=sha256_file(path)))
    assert painter_tiles(painted, str(path)) == {"a", "b", "c", "held"}
    assert painter_tiles(painted, str(tmp_path / "none.safetensors")) is None
    other = open_dataset(write(tmp_path / "other", True, ("train",), model="ab" * 32))
    assert painter_tiles(other, str(path)) is None


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        (
            ["train0", "train1", "train2", "x", "y"],
            "5 annotated tiles, 2 of which no row without synthetic images sees",
        ),
        (["train0", "train1"], "from the real training tiles alone, as in the paper"),
    ],
)
def test_the_table_says_whether_the_painter_has_seen_more(sets, tmp_path, toy, capsys, tiles, words):
    model = synthesis_toys.write_toy(tmp_path / "model.safetensors", training=facts_of(tiles))
    painted = write(tmp_path / "painted", True, ("train",) * 3, model=sha256_file(model))
    words_of = command((sets[0], painted), tmp_path / "runs", "--rows", "synthetic", "--model", str(model))
    assert main(words_of) == 0
    assert words in capsys.readouterr().out


# From data to table.


def test_table4(sets, tmp_path, toy, capsys, monkeypatch):
    runs = tmp_path / "runs"
    names = "real,synthetic,stain"
    assert main(command(sets, runs, "--rows", names)) == 0
    text = capsys.readouterr().out
    assert text.strip() == (runs / "tiny" / "table4.md").read_text().strip()
    assert "| real images | 2 tiles x 2 seeds |" in text
    assert "/ *0.521* |" in text
    assert "not run" in text
    assert "What the synthetic images' painter had learned from is not known here" in text
    assert "Synthetic images added to the real ones, at equal steps: PQ " in text
    table = {line["row"]: line for line in csv.DictReader((runs / "tiny" / "table4.csv").read_text().splitlines())}
    assert table["real-star"]["kind"] == "missing"
    assert "tiny" in (runs / "tiny" / "table4.html").read_text()

    folder = runs / "tiny" / "table4" / "synthetic" / "seed-1"
    score = json.loads((folder / "score.json").read_text())
    assert (score["row"], score["seed"], score["synthetic_tiles"], len(score["real_tiles"])) == ("synthetic", 1, 3, 3)
    assert score["training"]["images"] == 8
    assert [tile["id"] for tile in score["tiles"]] == ["test3", "test4"]
    assert not (folder / "run" / "checkpoints").exists()
    pqs = [json.loads((folder.parent / f"seed-{s}" / "score.json").read_text())["tiles"] for s in (0, 1)]
    mean = np.mean([[tile["pq"] for tile in tiles] for tiles in pqs])
    assert float(table["synthetic"]["pq"]) == pytest.approx(mean, abs=1e-6)

    # What is done is not done again, and is shown when other rows are asked for.
    monkeypatch.setattr(segmenter_runs, "train", lambda *_, **__: pytest.fail("trained again"))
    assert main(command(sets, runs, "--rows", names)) == 0
    assert capsys.readouterr().out == text
    (folder / "score.json").unlink()
    assert main(command(sets, runs, "--rows", "real")) == 0
    assert "1 of 2 seeds" in capsys.readouterr().out


def test_a_row_that_fails_is_listed_and_the_others_go_on(sets, tmp_path, toy, capsys, monkeypatch):
    original = segmenter_runs.export_run

    def fails(run, *arguments, **named):
        if "stain" in str(run):
            raise BadInput("the disk burns")
        return original(run, *arguments, **named)

    monkeypatch.setattr(segmenter_runs, "export_run", fails)
    assert main(command(sets, tmp_path / "runs", "--rows", "stain,real")) == 3
    out, err = capsys.readouterr()
    assert "2 of 4 trainings failed; stain, seed 0: the disk burns" in err.splitlines()[-1]
    assert "stain, seed 1, failed: the disk burns" in out
    assert "| real images | 2 tiles x 2 seeds |" in out


def test_scores_of_another_training_are_refused(sets, tmp_path, toy, capsys, monkeypatch):
    runs = tmp_path / "runs"
    assert main(command(sets, runs, "--rows", "real")) == 0
    monkeypatch.setitem(rows_module.SCALES, "tiny", replace(TOY, images=12))
    assert main(command(sets, runs, "--rows", "real")) == 3
    assert "is of another training ('recipe' differs)" in capsys.readouterr().err
    path = runs / "tiny" / "table4" / "real" / "seed-0" / "score.json"
    path.write_text("[]")
    assert main(command(sets, runs, "--rows", "real")) == 3
    assert f"{path}: expected the score of a training" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--rows", "real,synth"], "--rows 'synth': no such row"),
        (
            ["--synthetic", "{real}"],
            "expected a synthetic data set, found one whose dataset.json says synthetic: false",
        ),
        (["--synthetic", "{unpainted}"], "expected synthetic items only, found 1 without a model"),
        (["--synthetic", "{none}"], "no such folder"),
        (["-d", "{painted}"], "expected a real data set, found a synthetic one"),
        (["-d", "{untested}"], "no items of split 'test'"),
        (["-o", "{file}"], "found a file, expected the name of a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(sets, tmp_path, toy, capsys, change, words):
    places = {
        "real": sets[0],
        "painted": sets[1],
        "unpainted": write(tmp_path / "unpainted", True, ("train",)),
        "untested": write(tmp_path / "untested", splits=("train",)),
        "none": tmp_path / "none",
        "file": sets[0] / "dataset.json",
    }
    runs = tmp_path / "runs"
    assert main(command(sets, runs, *(word.format(**places) for word in change))) == 3
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("sian: error: ")
    assert words in said
    assert not runs.exists()


def test_an_unknown_scale_is_an_error_of_usage(sets, tmp_path, toy, capsys):
    assert main(command(sets, tmp_path / "runs", "--scale", "core")) == 2
    assert "'core' is not one of 'tiny', 'small'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_names_of_rows_and_scales():
    assert [row.name for row in rows_named([], SCALES["tiny"])] == list(SCALES["tiny"].rows)
    assert scale_named("paper").synthetic == 5000
    with pytest.raises(BadInput, match="did you mean 'synthetic'"):
        rows_named(["synthetc"], SCALES["tiny"])

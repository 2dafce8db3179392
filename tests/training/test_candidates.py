"""Which candidate becomes the model: by hand-made marks, and by a jury that knows what it wants."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training import toys

from sian.errors import BadInput, Interrupted
from sian.networks import build_painter
from sian.training import Hardware, checkpoint, train
from sian.training.candidates import (
    ADJUSTED,
    START,
    TRAINED,
    Candidates,
    Look,
    Marks,
    better,
    choose,
    line,
    looks_of,
    verdict,
)
from sian.training.recipe_sections import ComparingSection

COMPARING = {"tiles": 1, "windows": 4, "every": 2, "patience": 2}
N = 100
NOISE = np.random.default_rng(0).normal(0, 1, (2, N))


def marks(kid=0.2, colour=9.0, influence=8.0, spread=0.02, noise=0):
    """Marks whose windows differ from others' by noise of a known spread; its mean is left out."""
    parts = spread * (NOISE[noise] - NOISE[noise].mean())
    colours = 0.5 * (NOISE[noise] - NOISE[noise].mean())
    return Marks(kid, colour, influence, tuple(kid + parts), tuple(colour + colours))


START_MARKS = marks()


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (marks(), False),
        (marks(kid=0.15), True),  # paired: no noise between them
        (marks(kid=0.195), False),  # 2.5 % are not worth another model
        (marks(kid=0.185, noise=1), True),  # its error is 2 * 0.02 * sqrt(2) / 10 = 0.0057
        (marks(kid=0.192, noise=1, spread=0.04), False),  # and here 0.0089: within two errors
        (marks(kid=0.1, influence=5.9), False),  # the style is heard less than three quarters as well
        (marks(kid=0.1, influence=6.1), True),
        (marks(kid=0.1, colour=10.0), False),  # nearer in texture, further in colour
        (marks(kid=0.2, colour=5.0), True),  # the colour alone, where KID did not get worse
        (marks(kid=0.201, colour=5.0), False),
        (marks(kid=0.209, colour=5.0, noise=1), True),  # higher by 4.5 %, within two errors of 0.0057
        (marks(kid=0.209, colour=5.0, noise=1, spread=0.0), False),  # beyond two errors of 0.004
        (marks(kid=0.211, colour=5.0, noise=1, spread=0.04), False),  # within two errors, but higher by 5.5 %
        (marks(kid=0.2, colour=8.8), False),
    ],
)
def test_better_is_more_than_noise(one, expected):
    assert better(one, START_MARKS, START_MARKS) is expected


def test_steps_that_are_each_within_the_noise_do_not_add_up():
    adjusted, trained = marks(kid=0.209, colour=5.0, noise=1), marks(kid=0.218, colour=3.0)
    assert better(adjusted, START_MARKS, START_MARKS)
    assert not better(trained, adjusted, START_MARKS)  # 9 % above the start


def test_the_error_of_a_difference_is_that_of_its_windows():
    """Just within and just beyond two standard errors, reckoned in another way."""
    rows = np.random.default_rng(1).normal(0, 0.05, N)
    error = 2 * np.sqrt(((rows - rows.mean()) ** 2).sum() / (N - 1) / N)
    for factor, expected in ((2.01, True), (1.99, False)):
        gain = factor * error
        other = Marks(0.1, 9.0, 8.0, tuple(rows), (9.0,) * 9)
        assert better(Marks(0.1 - gain, 9.0, 8.0, (0.0,) * N, (9.0,) * 9), other, other) is expected


def looks(*kids, adjusted=0.2):
    first = [Look(START, 0, marks()), Look(ADJUSTED, 0, marks(adjusted))]
    return [*first, *(Look(TRAINED, 100 * n, marks(kid)) for n, kid in enumerate(kids, 1))]


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        (looks(), 0),
        (looks(0.4, 0.3), 0),  # what got worse is not the model
        (looks(0.4, 0.15, 0.3), 3),
        (looks(0.15, 0.14), 3),
        (looks(0.4, adjusted=0.15), 1),
        (looks(0.148, adjusted=0.15), 1),  # training has to beat what costs nothing
        (looks(0.1, adjusted=0.15), 2),
    ],
)
def test_the_start_stays_unless_something_is_better(given, chosen):
    assert choose(given) == chosen
    words = verdict(given)
    assert words.startswith("no better") == (chosen == 0)
    assert ("by adjusting" in words) == (chosen == 1)


@pytest.mark.parametrize(
    ("kid", "said"),
    [
        (0.1, "better than the start (KID 50 % lower)"),
        (0.196, "not clearly better than the start (KID 2 % lower)"),
        (0.4, "worse than the start (KID 100 % higher)"),
    ],
)
def test_a_line_says_which_way_it_goes(kid, said):
    given = looks(kid)
    assert line(given, 2).endswith(said)
    assert line(given, 2).startswith("after 100 windows: KID ")


def test_a_line_says_what_is_better_where_kid_is_not():
    given = [Look(START, 0, marks()), Look(ADJUSTED, 0, marks(kid=0.2, colour=5.0))]
    assert line(given, 1).endswith("better than the start (colour nearer by 4.0, KID 0 % higher)")


class Wants:
    """A jury that is told what to think of each candidate, in order; adjusting leaves a trace."""

    def __init__(self, *kids):
        self.kids, self.seen, self.shown = list(kids), [], []

    def adjust(self, painter):
        with torch.no_grad():
            painter.generator.to_rgb.bias.add_(1)

    def settle(self, painter):
        self.adjust(painter)

    def measure(self, painter):
        self.seen.append({name: t.clone() for name, t in painter.state_dict().items()})
        return marks(self.kids[min(len(self.seen), len(self.kids)) - 1])

    def sheet(self, *given):
        self.shown.append(given[2])
        return np.zeros((4, 4, 3), np.uint8)


def run_with(jury, folder, images=8, **more):
    recipe = toys.recipe(stages=[toys.stage(images)], comparing=COMPARING, **more)
    candidates = Candidates(jury, recipe.comparing, folder, ["t (upper left)"])
    train(recipe, toys.tiles(2), folder, hardware=Hardware("cpu"), candidates=candidates)
    return candidates


@pytest.mark.parametrize(("kids", "chosen"), [((0.2, 0.2, 0.5), 0), ((0.2, 0.1, 0.5), 1), ((0.2, 0.19, 0.5, 0.1), 3)])
def test_a_run_keeps_the_chosen_weights(tmp_path, kids, chosen):
    jury = Wants(*kids)
    candidates = run_with(jury, tmp_path)
    assert candidates.chosen == chosen
    kept = load_file(tmp_path / "best.safetensors")
    assert all(torch.equal(kept[name], tensor) for name, tensor in jury.seen[chosen].items())
    record = json.loads((tmp_path / "stopping.json").read_text())
    assert (record["kind"], record["best"]) == ([START, ADJUSTED, TRAINED][min(chosen, 2)], max(0, chosen - 1) * 2)
    assert jury.shown == [*range(len(candidates.looks)), chosen]  # the chosen one at the end
    assert (tmp_path / "sheet.png").is_file()
    assert looks_of(tmp_path)[chosen].marks.kid == pytest.approx(candidates.looks[chosen].marks.kid, abs=1e-6)


def test_what_is_looked_at_is_the_running_average(tmp_path):
    jury = Wants(0.2)
    run_with(jury, tmp_path, images=4)
    average = load_file(checkpoint.found(tmp_path / "checkpoints")[-1] / "average.safetensors")
    seen = jury.seen[-1]
    assert seen.keys() == average.keys()
    adjusted = "generator.to_rgb.bias"
    assert all(torch.equal(seen[name], tensor) for name, tensor in average.items() if name != adjusted)
    torch.testing.assert_close(seen[adjusted], average[adjusted] + 1)


def test_a_run_ends_when_training_gets_no_better(tmp_path):
    candidates = run_with(Wants(0.2, 0.2, 0.3, 0.4), tmp_path, images=100)
    assert [look.images for look in candidates.looks] == [0, 0, 2, 4, 6]
    assert candidates.ended


def test_a_resumed_run_knows_its_looks(tmp_path):
    run_with(Wants(0.2, 0.2, 0.1, 0.05), tmp_path, images=4)
    painter = build_painter(toys.TOY["generator"], toys.TOY["encoder"], spectral=False)
    section = ComparingSection(**COMPARING)
    again = Candidates(jury := Wants(0.2), section, tmp_path, [])
    again.begin(painter, images=4)
    assert ([look.images for look in again.looks], again.chosen, jury.seen) == ([0, 0, 2, 4], 3, [])
    forgetful = Candidates(Wants(0.2), section, tmp_path, [])
    forgetful.begin(painter, images=2)  # the weights that are kept are of a look after that
    assert [look.images for look in forgetful.looks] == [0, 0]


def test_stopped_before_the_first_step_there_is_a_choice(tmp_path):
    recipe = toys.recipe(stages=[toys.stage(8)], comparing=COMPARING)
    candidates = Candidates(Wants(0.2), recipe.comparing, tmp_path, [])
    with pytest.raises(Interrupted):
        train(recipe, toys.tiles(2), tmp_path, hardware=Hardware("cpu"), candidates=candidates, stop=lambda: True)
    assert candidates.chosen == 0
    assert (tmp_path / "best.safetensors").is_file()


def test_a_recipe_without_stages_has_to_compare():
    with pytest.raises(BadInput, match="comparing"):
        toys.recipe(stages=[])

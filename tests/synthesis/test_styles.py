"""The style bank against plain NumPy and cases done by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from sian.errors import BadInput
from sian.synthesis.styles import RANK, OrganStyles, Styles, make_part, mixture

from .toys import STYLE_DIM, toy_bank


@pytest.fixture
def bank() -> Styles:
    return Styles(toy_bank(), {"Lung": "kidney"})


def part(name: str, tiles, counts, factors=None) -> OrganStyles:
    tiles = np.array(tiles, np.float32)
    factors = np.zeros((1, tiles.shape[1])) if factors is None else factors
    return OrganStyles(name, tiles, np.array(counts), np.array(factors, np.float32))


def test_factors_are_the_leading_part_of_the_covariance_within_tiles():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(20, 20)) * np.geomspace(4, 0.05, 20)[:, None]
    tiles = [(rng.normal(size=20) * 10 + rng.normal(size=(n, 20)) @ mixing).astype(np.float32) for n in (30, 50, 41)]
    made = make_part("kidney/ffpe", tiles)
    within = sum((len(t) - 1) * np.cov(t.astype(np.float64).T) for t in tiles) / (121 - 3)
    values, vectors = np.linalg.eigh(within)
    leading = (vectors[:, -RANK:] * values[-RANK:]) @ vectors[:, -RANK:].T
    assert made.factors.shape == (RANK, 20)
    assert np.allclose(made.factors.T @ made.factors, leading, rtol=1e-3, atol=1e-3 * values[-1])
    assert np.allclose(made.tiles, [t.mean(0) for t in tiles], atol=1e-4)
    assert made.counts.tolist() == [30, 50, 41]
    assert made.n == 121
    assert np.allclose(made.vector, np.concatenate(tiles).mean(0), atol=1e-3)


def test_one_window_a_tile_has_no_variation():
    made = make_part("lung/ffpe", [np.ones((1, 4), np.float32), np.zeros((1, 4), np.float32)])
    assert np.allclose(made.factors, 0)
    assert np.allclose(made.vector, 0.5)


def test_draws_are_seeded_and_spread_around_the_tiles_means():
    made = part("a/ffpe", [[0, 0], [10, 0]], [9, 9], [[0.5, 0], [0, 2.0]])
    assert np.array_equal(made.sample(3).vector, made.sample(3).vector)
    assert made.sample(3).name == "a/ffpe#3"
    drawn = np.array([made.sample(seed).vector for seed in range(2000)])
    near = np.abs(drawn[:, 0]) < 5
    assert 0.45 < near.mean() < 0.55  # either tile
    assert np.allclose(drawn[near].mean(0), [0, 0], atol=0.2)
    assert np.allclose(drawn[~near].mean(0), [10, 0], atol=0.2)
    assert np.allclose(drawn[near].std(0), [0.5, 2], rtol=0.08)


def test_names_aliases_and_iteration(bank):
    assert isinstance(bank, Mapping)
    assert list(bank) == ["breast", "colon", "kidney"]
    assert len(bank) == 3
    assert dict(bank.items()).keys() == {"breast", "colon", "kidney"}
    assert bank.names == ["breast", "colon", "kidney", *sorted(toy_bank()), "lung"]
    assert "Kidney " in bank
    assert "kidney/frozen" in bank
    assert "LUNG" in bank
    assert "brain" not in bank
    assert 3 not in bank
    assert np.array_equal(bank["lung"].vector, bank["kidney"].vector)
    assert np.array_equal(bank["Lung/frozen"].vector, bank["kidney/frozen"].vector)
    assert bank.get("brain") is None
    assert bank.get("lung").n == bank["kidney"].n


@pytest.mark.parametrize(
    ("name", "guess"), [("kidny", "kidney"), ("brest", "breast"), ("kidney/frozn", "kidney/frozen")]
)
def test_an_unknown_name_comes_with_the_nearest(bank, name, guess):
    with pytest.raises(BadInput, match=f"knows no style '{name}'; did you mean '{guess}'") as error:
        bank[name]
    assert "lung" in str(error.value)


@pytest.mark.parametrize("aliases", [{"lung": "livr"}, {"kidney": "breast"}, {"a/b": "breast"}, {"x": "kidney/ffpe"}])
def test_an_alias_stands_for_an_organ_and_hides_none(aliases):
    with pytest.raises(BadInput, match="alias"):
        Styles(toy_bank(), aliases)


def test_preparations_are_joined_by_their_windows():
    ffpe, frozen = part("a/ffpe", [[0, 0]], [30], [[1, 0]]), part("a/frozen", [[4, 8]], [10], [[0, 2], [1, 0]])
    joined = Styles({"a/ffpe": ffpe, "a/frozen": frozen})["a"]
    assert joined.n == 40
    assert joined.vector.tolist() == [1, 2]  # (30 * 0 + 10 * 4) / 40, (30 * 0 + 10 * 8) / 40
    covariance = 0.75 * ffpe.factors.T @ ffpe.factors + 0.25 * frozen.factors.T @ frozen.factors
    assert np.allclose(joined.factors.T @ joined.factors, covariance)


def test_a_mixture_by_hand():
    styles = Styles({"a/ffpe": part("a/ffpe", [[1, 0]], [5]), "b/ffpe": part("b/ffpe", [[0, 1]], [7])})
    mixed = mixture({"a": 3, "b": 1}, styles)
    assert mixed.vector.tolist() == [0.75, 0.25]
    assert mixed.vector.dtype == np.float32
    assert mixed.name == "a=3+b=1"
    assert np.allclose(mixture({"a": 0.0, "b": 0.2}, styles).vector, [0, 1])


@pytest.mark.parametrize(
    "parts", [{}, {"kidney": 0}, {"kidney": -1, "breast": 2}, {"kidney": np.nan}, {"kidney": np.inf}]
)
def test_weights_of_a_mixture(bank, parts):
    with pytest.raises(BadInput, match="weights"):
        mixture(parts, bank)


def test_distance_counts_deviations_and_leaves_one_tile_out():
    # spread = sqrt(mean(4, 4)) = 2
    styles = Styles(
        {
            "a/ffpe": part("a/ffpe", [[0, 0], [6, 0]], [5, 5], [[2, 0]]),
            "b/ffpe": part("b/ffpe", [[0, 20]], [5], [[0, 2]]),
        }
    )
    origin = np.zeros(2, np.float32)
    assert styles.distance(origin) == 0
    assert styles.distance(origin, without_tile=("a/ffpe", 0)) == pytest.approx(3)
    assert styles.distance(np.array([0, 10], np.float32), ("b/ffpe", 0)) == pytest.approx(5)


def test_tensors_round_trip(bank):
    back = Styles.from_tensors(bank.tensors(), bank.aliases)
    assert back.aliases == {"lung": "kidney"}
    for name, expected in bank.parts.items():
        for field in ("tiles", "counts", "factors"):
            assert np.array_equal(getattr(back.parts[name], field), getattr(expected, field))
    assert back["kidney"].vector.shape == (STYLE_DIM,)

"""The reconstruction protocol with a toy painter."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.synthesis import toys as synthesis_toys

import sian
from sian.data import open_dataset
from sian.data.dataset import Dataset
from sian.errors import BadInput
from sian.evaluation.evaluate import Tools
from sian.evaluation.reconstruction import (
    STYLE_SETTINGS,
    Reference,
    evaluate_reconstruction,
    model_painter,
    reconstruct,
    references,
    trivial_painter,
)
from sian.evaluation.scenes import cut_windows, open_scene
from sian.layout import Layout, describe

from . import toys


class Bank(dict):  # type: ignore[type-arg]
    """organ -> something that can be sampled."""

    def __init__(self, *organs: str) -> None:
        super().__init__({o: SimpleNamespace(sample=lambda seed, o=o: f"{o}@{seed}") for o in organs})


def paint(layout: Layout, reference: Reference, seed: int) -> np.ndarray:
    """Nuclei dark, stroma as bright as the reference."""
    stroma = 200 if reference.image is None else reference.image.mean()
    image = np.where(layout.semantic[..., None], 60.0, stroma) + np.random.default_rng(seed).normal(0, 3, (1, 1, 3))
    return image.clip(0, 255).astype(np.uint8).repeat(1, axis=2) * np.ones((1, 1, 3), np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(toys.write_dataset(tmp_path_factory.mktemp("data") / "set", size=48))


@pytest.fixture(scope="module")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> sian.Model:
    return sian.load(synthesis_toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors"))


def test_windows_cover_the_tile_and_carry_its_mask(data: Dataset) -> None:
    windows = cut_windows(data.split("test"), 16)
    assert len(windows) == 3 * 9
    first = windows[1]
    assert (first.name, first.tile, first.organ) == ("tile0_y0000_x0016", "tile0", "kidney")
    np.testing.assert_array_equal(first.mask, data.mask(data["tile0"])[:16, 16:32])


def test_a_scene_of_fewer_windows_spreads_them_over_each_tile(data: Dataset) -> None:
    scene = open_scene(data, size=16, a_tile=2)
    every = [window.name for window in cut_windows(data.split("test"), 16)]
    assert [window.name for window in scene.windows] == [every[i] for i in (0, 8, 9, 17, 18, 26)]  # first and last of 9
    assert len(scene.layouts) == len(scene.others) == 6
    made = reconstruct(paint, scene, style="sibling")
    assert made.references[every[0]] == every[8]  # of the windows that are left
    assert len(open_scene(data, size=16).windows) == 27


def test_layouts_are_described_whole_and_then_cut(data: Dataset) -> None:
    seen: list[Layout] = []

    def keep(layout: Layout, reference: Reference, seed: int) -> np.ndarray:
        seen.append(layout)
        return paint(layout, reference, seed)

    reconstruct(keep, data, size=16)
    whole = describe(data.mask(data["tile0"]))
    np.testing.assert_array_equal(seen[1].direction, whole.window(0, 16, 16, 16).direction)


def test_paired_and_sibling_references(data: Dataset) -> None:
    windows = cut_windows(data.split("test"), 16)
    paired = references("paired", windows, [], {}, {}, 0)
    assert [r.name for r in paired] == [w.name for w in windows]
    siblings = references("sibling", windows, [], {}, {}, 0)
    for reference, window in zip(siblings, windows, strict=True):
        assert reference.name != window.name
        assert reference.name.startswith(window.tile)
    assert siblings[3].name == references("sibling", windows, [], {}, {}, 0)[3].name
    assert [s.name for s in siblings] != [s.name for s in references("sibling", windows, [], {}, {}, 1)]


def test_exemplars_come_from_training_tiles_of_the_organ(data: Dataset) -> None:
    windows, others = (cut_windows(data.split(s), 16) for s in ("test", "train"))
    organ = {other.name: other.organ for other in others}
    for reference, window in zip(references("exemplar", windows, others, {}, {}, 0), windows, strict=True):
        assert organ[reference.name] == window.organ
    swapped = references("exemplar", windows, others, {}, {"kidney": "breast"}, 0)
    assert {organ[r.name] for r in swapped} == {"breast"}
    unknown = references("exemplar", windows, others, {}, {"kidney": "spleen", "breast": "spleen"}, 0)
    assert {organ[r.name] for r in unknown} == {"breast", "kidney"}  # an organ without tiles takes any


def test_prior_draws_from_the_bank(data: Dataset) -> None:
    windows = cut_windows(data.split("test"), 16)
    drawn = references("prior", windows, [], Bank("kidney", "breast"), {}, 0)
    assert all(r.style.startswith(w.organ) for r, w in zip(drawn, windows, strict=True))
    assert len({r.style for r in drawn}) == len(windows)
    other = references("prior", windows, [], Bank("colon"), {"kidney": "colon"}, 0)
    assert {r.style.split("@")[0] for r in other} == {"colon"}


@pytest.mark.parametrize("style", STYLE_SETTINGS)
def test_every_setting_is_measured_with_its_floors(data: Dataset, style: str, tmp_path: Path) -> None:
    made = reconstruct(paint, data, style=style, bank=Bank("kidney", "breast"), size=16)
    assert len(made.fake) == len(made.real) == len(made.masks) == len(made.train or ()) == 27
    tools = Tools(toys.extractor(), toys.segment, tmp_path)
    result = evaluate_reconstruction(made, tools, inputs={"model": {"path": "toy", "sha256": "0"}}).result
    assert (result["protocol"], result["style"], result["window"], result["n"]) == ("reconstruction", style, 16, 27)
    names = [row["name"] for row in result["floor_rows"]]
    assert names == ["other real images", "halves", "segmenter on real images", "trivial painter"]
    assert result["inputs"]["model"] == {"path": "toy", "sha256": "0"}
    assert set(result["per_organ"]) == {"breast", "kidney"}
    assert not result["unpaired"]
    assert result["confidence_95"]["pq"]
    tiles = result["per_tile"]
    assert {name: tile["n"] for name, tile in tiles.items()} == {"tile0": 9, "tile1": 9, "tile2": 9}
    assert np.mean([tile["ssim"] for tile in tiles.values()]) == pytest.approx(result["metrics"]["ssim"])


def test_a_painter_that_returns_its_reference_paints_the_real_windows(data: Dataset) -> None:
    """Under "paired" every painting is then its own real image, and the layout is that image's."""
    layouts: list[Layout] = []

    def return_reference(layout: Layout, reference: Reference, seed: int) -> np.ndarray:
        layouts.append(layout)
        assert reference.image is not None
        np.testing.assert_array_equal(layout.semantic > 0, reference.nuclei)
        return reference.image

    made = reconstruct(return_reference, data, size=16)
    assert made.fake.names == made.real.names == sorted(made.references)
    for name in made.fake.names:
        np.testing.assert_array_equal(made.fake.read(name), made.real.read(name))
        assert made.references[name] == name
    assert evaluate_reconstruction(made, Tools(None, None)).result["metrics"]["ssim"] == pytest.approx(1)
    assert len(layouts) == 27
    others = reconstruct(return_reference_of_any, data, style="sibling", size=16)
    assert not any(np.array_equal(others.fake.read(name), others.real.read(name)) for name in others.fake.names)


def return_reference_of_any(layout: Layout, reference: Reference, seed: int) -> np.ndarray:
    assert reference.image is not None
    return reference.image


def test_every_painting_gets_a_seed_of_its_own(data: Dataset) -> None:
    drawn: list[int] = []
    reconstruct(lambda layout, reference, seed: drawn.append(seed) or paint(layout, reference, seed), data, size=16)
    assert len(set(drawn)) == 27


def test_without_segmenter_there_are_no_mask_metrics(data: Dataset, tmp_path: Path) -> None:
    made = reconstruct(paint, data, size=16)
    result = evaluate_reconstruction(made, Tools(toys.extractor(), None, tmp_path)).result
    assert result["metrics"]["pq"] is None
    assert result["metrics"]["ssim"] is not None


def test_the_same_seed_paints_the_same(data: Dataset) -> None:
    first, again, other = (reconstruct(paint, data, size=16, seed=s).fake for s in (1, 1, 2))
    name = first.names[4]
    np.testing.assert_array_equal(first.read(name), again.read(name))
    assert (first.read(name) != other.read(name)).any()


def test_trivial_painter_by_hand() -> None:
    mask = np.zeros((6, 6), np.int32)
    mask[1:3, 1:3] = 1
    image = np.full((4, 4, 3), 200, np.uint8)
    image[:2] = (100, 50, 150)
    nuclei = np.zeros((4, 4), bool)
    nuclei[:2] = True
    painted = trivial_painter(describe(mask), Reference("r", image, nuclei))
    assert painted.dtype == np.uint8
    assert painted[1, 1].tolist() == [100, 50, 150]
    assert painted[5, 5].tolist() == [200, 200, 200]
    blind = trivial_painter(describe(mask), Reference("r", image, None))
    assert blind[1, 1].tolist() == blind[5, 5].tolist() == [150, 125, 175]


def test_a_model_is_asked_for_the_reference_image_or_the_draw() -> None:
    calls = []

    class Recorder:
        def synthesize(self, layout, style, *, seed, noise):
            calls.append((style, seed, noise))
            return np.zeros((*layout.shape, 3), np.uint8)

    layout, image = describe(np.zeros((4, 4), np.int32)), np.zeros((4, 4, 3), np.uint8)
    painter = model_painter(Recorder(), noise=1.0)
    painter(layout, Reference("a", image), 3)
    painter(layout, Reference("b", style="drawn"), 4)
    assert calls[0][0] is image
    assert calls[1] == ("drawn", 4, 1.0)


def test_styles_are_fitted_to_the_nuclei_that_a_segmenter_finds(toy_model) -> None:
    mask = synthesis_toys.grid_mask(160, 160)
    image = toy_model.synthesize(mask, np.full(synthesis_toys.STYLE_DIM, 1.5, np.float32))
    layout, seen = describe(mask[:64, :64].copy()), []
    painter = model_painter(toy_model, 1.0, lambda pixels: seen.append(pixels) or mask)
    found = painter(layout, Reference("a", image), 3)
    assert seen[0] is image
    style = sian.fit_style(image, model=toy_model, mask=mask).style
    assert np.array_equal(found, toy_model.synthesize(layout, style, seed=3))
    drawn = painter(layout, Reference("b", style="kidney#2"), 3)
    assert np.array_equal(drawn, toy_model.synthesize(layout, "kidney#2", seed=3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"style": "sibbling"}, "did you mean 'sibling'"),
        ({"style": "prior"}, "needs a model with a style bank"),
        ({"split": "validation"}, "no items of split 'validation'"),
        ({"style": "exemplar", "split": "train"}, "needs training tiles"),
        ({"style": "sibling", "size": 48}, "needs a second window"),
        ({"size": 64}, "64"),
    ],
)
def test_bad_arguments(data: Dataset, arguments: dict, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        reconstruct(paint, data, **{"size": 16, **arguments})

"""Real and synthetic data sets together, traditional augmentation, copy-paste; each against a plain reading."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch

from sian import seeds, segmentation
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.data.stains import SHIFT, STAINS
from sian.errors import BadInput, Interrupted
from sian.layout import describe, turn_image
from sian.segmentation import SegmenterRecipe
from sian.segmentation.jitter import jitter
from sian.segmentation.mixing import source
from sian.segmentation.networks import build
from sian.segmentation.pasting import Window, donor, paste
from sian.segmentation.segmenter_recipe import AugmentSection
from sian.segmentation.targets import pixel_classes
from sian.segmentation.traditional import Change, draw, median_blur
from sian.segmentation.training import train
from sian.segmentation.training_windows import TrainingTiles, read_known
from sian.training import checkpoint

PLAIN = {f"augment.{part}": "0" for part in ("stain", "light", "blur", "noise")} | {"data.turn": "false"}
TINY = {"network.width": "2", "images": "8", "data.size": "32", "data.batch": "4", "every.checkpoint": "4"}


def disks(places, side=64, radius=6):
    mask = np.zeros((side, side), np.int32)
    rows, columns = np.ogrid[:side, :side]
    for nucleus, (y, x) in enumerate(places, 1):
        mask[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = nucleus
    return mask


def write(folder, name, brightness, synthetic, tiles=2):
    writer = DatasetWriter(folder, DatasetInfo(name=name, licence=f"{name}'s", synthetic=synthetic))
    for number in range(tiles):
        mask = disks([(16, 16), (40, 44)])
        image = np.full((64, 64, 3), brightness, np.uint8)
        image[mask > 0] = brightness // 2
        writer.add(f"t{number}", image, mask, organ="kidney", split="train")
    writer.add("held-out", image, mask, organ="kidney", split="test")
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return write(folder / "real", "real", 200, False), write(folder / "painted", "painted", 100, True)


def recipe_of(kind="segnet", **changes):
    return SegmenterRecipe.load(f"{kind}-small", {**TINY, **PLAIN, **changes})


def tiles_of(sets, recipe):
    return TrainingTiles([t for path in sets for t in read_known(open_dataset(path).split("train"), 2)], recipe)


# Mixing.


@pytest.mark.parametrize("share", [0.1, 0.25, 1 / 3, 0.5, 0.7, 0.99])
def test_every_stretch_holds_its_share_and_no_window_is_skipped(share):
    kinds = [source(n, share) for n in range(2000)]
    for kind in (0, 1):
        numbers = [number for which, number in kinds if which == kind]
        assert numbers == list(range(len(numbers)))
    seconds = np.cumsum([0] + [kind for kind, _ in kinds])
    for length in (4, 8, 100, 1000):
        counts = seconds[length:] - seconds[:-length]
        assert np.abs(counts - length * share).max() < 1 + 1e-3


def test_a_share_by_hand():
    assert [source(n, 0.5)[0] for n in range(6)] == [0, 1, 0, 1, 0, 1]
    assert [source(n, 0.75)[0] for n in range(8)] == [0, 1, 1, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(("share", "per_batch"), [("0.5", 2), ("0.25", 1), ("0.75", 3)])
def test_a_batch_holds_the_share_of_synthetic_windows(sets, share, per_batch):
    recipe = recipe_of(**{"data.synthetic": share})
    batches = tiles_of(sets, recipe).batches(recipe)
    for _ in range(3):
        images, _targets = next(batches)
        synthetic = (images.amax((1, 2, 3)) * 255).round() == 100  # the painted set is darker
        assert int(synthetic.sum()) == per_batch


def test_real_windows_are_those_of_the_real_tiles_alone(sets):
    """What is mixed in changes nothing else."""
    recipe = recipe_of()
    mixed, alone = tiles_of(sets, recipe).windows(recipe), tiles_of(sets[:1], recipe).windows(recipe)
    for number in range(4):
        np.testing.assert_array_equal(mixed.window(2 * number).image, alone.window(number).image)


def test_batches_are_the_same_from_the_middle_and_with_workers(sets):
    recipe = recipe_of(**{"augment.traditional": "0.5", "augment.paste": "5"})
    tiles = tiles_of(sets, recipe)
    streams = [tiles.batches(recipe), tiles.batches(recipe, 2), tiles.batches(recipe, 0, 1)]
    whole, inside, by_worker = ([next(stream) for _ in range(3)] for stream in streams)
    assert torch.equal(whole[2][0], inside[0][0])
    assert torch.equal(whole[2][1].direction, inside[0][1].direction)
    assert torch.equal(whole[1][0], by_worker[1][0])


def test_a_mixed_run_resumes_exactly(sets, tmp_path):
    recipe = recipe_of(**{"augment.traditional": "0.5", "augment.paste": "5"})
    tiles = tiles_of(sets, recipe)
    whole = train(recipe, tiles, tmp_path / "whole")

    def stop(done, total):
        if done == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        train(recipe, tiles, tmp_path / "parts", report=stop)
    parts = train(recipe, tiles, tmp_path / "parts", resume=True)
    first, second = (checkpoint.read_tensors(run / "networks.safetensors") for run in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


# Traditional augmentation.


def test_the_share_of_traditional_windows():
    changes = [draw(3, n, 0.4, 5) for n in range(4000)]
    untouched = np.mean([change == Change() for change in changes])
    assert abs(untouched - (0.6 + 0.4 / 16)) < 0.03  # one in eight is not turned, one in two not blurred
    assert abs(np.mean([change.median == 5 for change in changes]) - 0.2) < 0.03
    turns = {(change.turns, change.flip) for change in changes}
    assert len(turns) == 8
    assert draw(3, 7, 1.0, 3) == draw(3, 7, 1.0, 3)


def test_median_by_hand():
    image = np.zeros((3, 4, 3), np.uint8)
    image[..., 0] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    blurred = median_blur(image, 3)[..., 0]
    assert blurred[1, 1] == 6  # of 1 2 3 5 6 7 9 10 11
    assert blurred[0, 0] == 2  # of 1 1 2 1 1 2 5 5 6, the rim repeated
    assert not median_blur(image, 3)[..., 1:].any()
    np.testing.assert_array_equal(median_blur(image, 1), image)


def test_a_traditional_window_is_the_plain_one_turned_and_blurred(sets):
    plain, changed = recipe_of(), recipe_of(**{"augment.traditional": "1", "augment.median": "5"})
    before, after = (tiles_of(sets[:1], recipe).windows(recipe) for recipe in (plain, changed))
    for number in range(12):
        change = draw(0, number, 1.0, 5)
        window, expected = after.window(number), before.window(number)
        turned = turn_image(expected.image, change.turns, change.flip)
        np.testing.assert_array_equal(window.image, median_blur(turned, change.median))
        np.testing.assert_array_equal(window.classes, turn_image(expected.classes, change.turns, change.flip))
        np.testing.assert_array_equal(
            window.layout.direction, expected.layout.turned(change.turns, change.flip).direction
        )


# Strong stain augmentation, in optical density.


def test_stain_jitter_by_hand():
    """One pixel of pure haematoxylin: its optical density is scaled and shifted, read from the same stream."""
    stains = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
    density = 0.8 * stains[0]
    image = torch.from_numpy(np.exp(-density)).float().reshape(1, 3, 1, 1)
    random = torch.Generator().manual_seed(4)
    scale = 1 + 0.5 * (torch.rand((1, 3), generator=random) * 2 - 1).numpy()[0]
    shift = SHIFT * 0.5 * (torch.rand((1, 3), generator=random) * 2 - 1).numpy()[0]
    expected = np.exp(-(0.8 * scale[0] * stains[0] + shift @ stains))
    found = jitter(image, AugmentSection(stain=0.5), torch.Generator().manual_seed(4))
    np.testing.assert_allclose(found.numpy().ravel(), expected.clip(0, 1), atol=1e-5)


# Copy-paste.


def whole_window(mask, brightness):
    image = np.full((*mask.shape, 3), brightness, np.uint8)
    return Window(image, pixel_classes(mask), describe(mask))


def test_pasted_nuclei_are_described_as_if_drawn_there():
    """The maps of a window with pasted nuclei equal those of its new mask, made from nothing."""
    target, giver = disks([(20, 20)], 96), disks([(30, 30), (60, 64)], 96, radius=8)
    taken = donor(whole_window(giver, 50), giver)
    window = whole_window(target, 200)
    pasted = paste(window, [taken], 12, seeds.generator(1, "test"))
    new = (pasted.image[..., 0] == 50).astype(np.int32)
    from scipy.ndimage import label

    parts, count = label(new)
    assert count >= 2
    areas = np.bincount(parts.ravel())[1:]
    assert (areas == (giver == 1).sum()).all()  # whole, and none on top of another
    assert not (new[target > 0]).any()
    mask = np.where(target > 0, 1, np.where(parts > 0, parts + 1, 0))
    np.testing.assert_array_equal(pasted.classes, pixel_classes(mask))
    described = describe(mask)
    for name in ("semantic", "direction", "distance", "centre"):
        np.testing.assert_allclose(getattr(pasted.layout, name), getattr(described, name), atol=1e-6)
    assert (window.image == 200).all()  # the window that was given is left as it was


def test_cut_nuclei_are_not_taken_and_large_ones_do_not_fit():
    mask = disks([(3, 30), (30, 30)], 64)
    taken = donor(whole_window(mask, 50), mask)
    assert taken.ids.tolist() == [2]
    assert taken.boxes.tolist() == [[24, 24, 13, 13]]
    small = whole_window(np.zeros((8, 8), np.int32), 200)
    assert (paste(small, [taken], 20, seeds.generator(0, "test")).image == 200).all()


def test_nuclei_are_pasted_into_real_windows_only(sets):
    recipe = recipe_of(**{"augment.paste": "20"})
    windows = tiles_of(sets, recipe).windows(recipe)
    assert len(windows.donors) == 2
    plain = tiles_of(sets, recipe_of()).windows(recipe_of())
    counts = [[(w.window(n).layout.semantic).sum() for n in range(40)] for w in (windows, plain)]
    more = np.subtract(*counts)
    assert (more[1::2] == 0).all()  # the synthetic ones
    assert (more[::2] > 0).mean() > 0.5


# The U-Net starts where its loss is of order 1.


def test_unet_starts_with_a_distance_within_its_range():
    network = build("unet", 16, seed=0)
    distance = network(torch.rand((2, 3, 64, 64)) * 2 - 1)[:, -1]
    assert float(distance.detach().square().mean()) < 0.5  # with the weights of the other layers: above 10


# The command line.


def settings(**changes):
    values = {**TINY, **PLAIN, **changes}
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def test_train_on_two_data_sets(sets, tmp_path, capsys):
    arguments = [word for folder in sets for word in ("-d", str(folder))]
    chosen = settings(**{"data.synthetic": "0.25", "augment.traditional": "0.5"})
    assert main(["segment", "train", "segnet-small", *arguments, "-o", str(tmp_path / "run"), *chosen]) == 0
    facts = segmentation.load(capsys.readouterr().out.strip()).facts
    assert (facts["dataset"], facts["tiles"], facts["synthetic_tiles"]) == ("real + painted", 4, 2)
    assert facts["licence"] == "real's; painted's"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.synthetic": "0"}, "leaves no window to the synthetic data"),
        ({"data.synthetic": "1"}, "leaves no window to the real data"),
        ({"data.synthetic": "1.5"}, "data.synthetic: "),
        ({"augment.tradition": "0.5"}, "did you mean 'traditional'"),
        ({"augment.median": "4"}, "a median has an odd side"),
        ({"augment.traditional": "2"}, "augment.traditional: "),
        ({"augment.paste": "-1"}, "augment.paste: "),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(sets, tmp_path, capsys, changes, words):
    arguments = [word for folder in sets for word in ("-d", str(folder))]
    run = tmp_path / "run"
    assert main(["segment", "train", "segnet-small", *arguments, "-o", str(run), *settings(**changes)]) == 3
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("sian: error: ")
    assert words in said
    assert not run.exists()


def test_no_tiles():
    with pytest.raises(BadInput, match="found none"):
        TrainingTiles([], recipe_of())

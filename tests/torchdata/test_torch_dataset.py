"""`sian.torch_dataset`: the same samples whoever computes them, and bad input as one sentence."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.synthesis import toys
from torch.utils.data import DataLoader, get_worker_info

import sian
from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter
from sian.files.images import encode_png
from sian.masks import encode_mask_png, write_mask
from sian.synthesis import Model, load
from sian.torchdata import Loader
from sian.windows import test_offsets as cover

SIDE = 96
Samples = list[tuple[torch.Tensor, ...]]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two items, 96 x 128 px."""
    target = tmp_path_factory.mktemp("data") / "set"
    writer = DatasetWriter(target, DatasetInfo(name="made up"))
    for number, organ in enumerate(("kidney", "breast")):
        mask = toys.grid_mask(SIDE, 128)
        image = np.random.default_rng(number).integers(0, 256, (SIDE, 128, 3), dtype=np.uint8)
        writer.add(f"tile-{number}", image, mask, organ=organ, split=("train", "test")[number])
    return target


def make_mask(seed: int) -> np.ndarray:
    """A function that makes masks, at a module's top so that it can be sent to a spawned process."""
    return np.roll(toys.grid_mask(64, 64), seed % 64, 1)


def brighten(image: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"image": image.float() / 255 + torch.rand(1), "label": (mask > 0).long()}


def all_of(data: torch.utils.data.Dataset, **options) -> Samples:
    return [sample for batch in Loader(data, batch_size=None, **options) for sample in [batch]]


def same(left: Samples, right: Samples) -> bool:
    pairs = [(a, b) for one, other in zip(left, right, strict=True) for a, b in zip(one, other, strict=True)]
    return all(torch.equal(a, b) for a, b in pairs)


def test_whole_items_are_those_on_disk(folder):
    opened, data = sian.open_dataset(folder), sian.torch_dataset(folder)
    assert len(data) == 2
    for item, (image, mask) in zip(opened, data, strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), opened.image(item))
        assert np.array_equal(mask.numpy(), opened.mask(item))
        assert (image.dtype, mask.dtype) == (torch.uint8, torch.int32)


def test_a_split_alone(folder):
    data = sian.torch_dataset(folder, split="test")
    assert len(data) == 1
    assert torch.equal(data[0][0], sian.torch_dataset(folder)[1][0])


def test_windows_cover_every_item_in_order(folder):
    data = sian.torch_dataset(folder, size=64, layout=True)
    opened = sian.open_dataset(folder)
    expected = [(item, y, x) for item in opened for y in cover(SIDE, 64) for x in cover(128, 64)]
    assert len(data) == len(expected) == 8
    for (item, y, x), (image, mask, layout) in zip(expected, data, strict=True):
        whole = sian.describe(opened.mask(item))
        assert np.array_equal(image.permute(1, 2, 0).numpy(), opened.image(item)[y : y + 64, x : x + 64])
        assert np.array_equal(mask.numpy(), opened.mask(item)[y : y + 64, x : x + 64])
        assert layout.shape == (19, 64, 64)
        assert np.array_equal(layout[-1].numpy(), whole.distance[y : y + 64, x : x + 64])
        assert np.array_equal(layout[1:-1].argmax(0).numpy(), whole.direction[y : y + 64, x : x + 64])


def test_image_mask_and_layout_turn_together(folder):
    data = sian.torch_dataset(folder, size=64, windows="random", turn=True, layout=True, length=12, seed=5)
    opened = sian.open_dataset(folder)
    images = [opened.image(item) for item in opened]
    masks = [opened.mask(item) for item in opened]
    for index, (image, mask, layout) in enumerate(data):
        place = data.places(index)
        y, x, height, width = place.window
        turns, flip = place.turn
        window = masks[place.number][y : y + height, x : x + width]
        assert np.array_equal(mask.numpy(), np.rot90(np.fliplr(window) if flip else window, turns))
        pixels = images[place.number][y : y + height, x : x + width]
        turned = np.rot90(np.fliplr(pixels) if flip else pixels, turns)
        assert np.array_equal(image.permute(1, 2, 0).numpy(), turned)
        assert torch.equal(layout[0] > 0, mask > 0)
    assert len({data.places(index) for index in range(12)}) > 8


def test_passes_follow_one_another_in_orders_of_their_own(folder):
    data = sian.torch_dataset(folder, size=64, length=24, seed=1)
    passes = [
        [(*data.places(index).window, data.places(index).number) for index in range(k, k + 8)] for k in (0, 8, 16)
    ]
    assert all(sorted(one) == sorted(passes[0]) and len(set(one)) == 8 for one in passes)
    assert passes[0] != passes[1] != passes[2]


@pytest.mark.parametrize("source", ["data set", "masks", "function"])
def test_painting_is_the_same_for_any_workers(folder, toy, tmp_path, source):
    if source == "masks":
        for number in range(2):
            write_mask(tmp_path / f"{number}.png", toys.grid_mask(64, 64))
    given = {"data set": folder, "masks": tmp_path, "function": make_mask}[source]
    size = None if source == "function" else 64
    make = partial(
        sian.torch_dataset, given, size=size, styles=["kidney", "breast/ffpe"], model=toy, length=4, layout=True, seed=3
    )
    here = all_of(make())
    assert same(here, all_of(make(), num_workers=1, multiprocessing_context="fork"))
    assert same(here, all_of(make(), num_workers=2, multiprocessing_context="fork"))
    assert same(here[2:], [make()[2], make()[3]])
    assert not same(here, all_of(make(seed=4)))


def test_spawned_workers_load_the_model_themselves(toy):
    data = sian.torch_dataset(make_mask, styles="kidney", model=toy, length=2, transform=brighten)
    here = [data[0], data[1]]
    there = list(Loader(data, batch_size=None, num_workers=1, multiprocessing_context="spawn"))
    assert all(torch.equal(a[key], b[key]) for a, b in zip(here, there, strict=True) for key in a)


def test_the_plain_loader_of_torch_will_do(folder):
    data = sian.torch_dataset(folder, size=64)
    (image, mask), *_ = DataLoader(data, batch_size=8, generator=torch.Generator())
    assert image.shape == (8, 3, 64, 64)
    assert mask.shape == (8, 64, 64)


def test_paintings_are_those_of_the_model(folder, toy):
    data = sian.torch_dataset(folder, styles="organ", vary=False, noise=0, model=toy)
    model, opened = load(toy), sian.open_dataset(folder)
    for index, item in enumerate(opened):
        expected = model.synthesize(opened.mask(item), item.organ, noise=0)
        assert np.array_equal(data[index][0].permute(1, 2, 0).numpy(), expected)


def test_a_varied_style_is_drawn_anew_for_each_sample(toy):
    mask = toys.grid_mask(64, 64)
    data = sian.torch_dataset(lambda _: mask, styles="kidney", model=toy, length=3, noise=0)
    images = [image for image, _ in data]
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[1], images[2])


def test_a_loaded_model_will_do(toy):
    model: Model = load(toy)
    given = sian.torch_dataset(make_mask, styles="kidney", model=model, length=2)
    assert same([given[1]], [sian.torch_dataset(make_mask, styles="kidney", model=toy, length=2)[1]])


def test_the_number_of_threads_changes_nothing_and_is_left_alone(toy):
    data = sian.torch_dataset(make_mask, styles="kidney", model=toy, length=1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        image, _ = data[0]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert torch.equal(image, data[0][0])


def test_a_transform_draws_the_same_for_the_same_sample(folder):
    data = sian.torch_dataset(folder, size=64, transform=brighten)
    state = torch.random.get_rng_state()
    first, again, other = data[0], data[0], data[1]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"] - data[0]["image"].min(), other["image"])


def write_shard(path: Path, folder: Path, leave_out: str = "") -> Path:
    opened = sian.open_dataset(folder)
    with tarfile.open(path, "w") as archive:
        for item in opened:
            members = {
                "image.png": encode_png(opened.image(item)),
                "mask.png": encode_mask_png(opened.mask(item)),
                "json": json.dumps({"organ": item.organ}).encode(),
            }
            for end, content in members.items():
                if end != leave_out:
                    entry = tarfile.TarInfo(f"{item.id}.{end}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
    return path


def test_shards_hold_what_the_data_set_held(folder, toy, tmp_path):
    write_shard(tmp_path / "00000.tar", folder)
    shards, data = sian.torch_dataset(tmp_path), sian.torch_dataset(folder)
    assert len(shards) == 2
    assert same([shards[0], shards[1]], [data[0], data[1]])
    painted = [sian.torch_dataset(source, styles="organ", model=toy)[1] for source in (tmp_path / "00000.tar", folder)]
    assert same(painted[:1], painted[1:])


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"size": 1000}, "expected at least 1000 x 1000"),
        ({"size": 64, "windows": "gird"}, "did you mean 'grid'"),
        ({"size": 0}, "size: expected at least 1"),
        ({"split": "tset"}, "did you mean 'test'"),
        ({"styles": "kidny"}, "did you mean 'kidney'"),
        ({"styles": []}, "styles: found none"),
    ],
)
def test_wrong_arguments_are_one_sentence(folder, toy, arguments, found):
    with pytest.raises(sian.BadInput, match=found):
        sian.torch_dataset(folder, model=toy, **arguments)


def test_sources_that_hold_nothing_to_read(tmp_path, toy):
    with pytest.raises(sian.BadInput, match="no such file or folder"):
        sian.torch_dataset(tmp_path / "nowhere")
    with pytest.raises(sian.BadInput, match="found no data set, no shards and no masks"):
        sian.torch_dataset(tmp_path)
    write_mask(tmp_path / "a.png", toys.grid_mask(64, 64))
    with pytest.raises(sian.BadInput, match="masks without images"):
        sian.torch_dataset(tmp_path)
    with pytest.raises(sian.BadInput, match="this model knows no style 'unknown'"):
        sian.torch_dataset(tmp_path, styles="organ", model=toy)[0]
    with pytest.raises(sian.BadInput, match="say how many with length="):
        sian.torch_dataset(make_mask, styles="kidney", model=toy)


def test_broken_shards(folder, tmp_path):
    (tmp_path / "broken.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(sian.BadInput, match="cannot be read as a tar file"):
        sian.torch_dataset(tmp_path / "broken.tar")
    with pytest.raises(sian.BadInput, match="an image without a mask"):
        sian.torch_dataset(write_shard(tmp_path / "bare.tar", folder, leave_out="mask.png"))
    whole = write_shard(tmp_path / "whole.tar", folder)
    data = sian.torch_dataset(whole)
    whole.write_bytes(whole.read_bytes()[:6000])
    with pytest.raises(sian.BadInput, match=r"mask\.png: the tar file is cut short"):
        data[1]


def refuse(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    raise sian.BadInput("tile 7: found no nuclei; choose another tile")


def die(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    if get_worker_info() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return image


def test_an_error_in_a_worker_is_its_sentence(folder):
    data = sian.torch_dataset(folder, transform=refuse)
    with pytest.raises(sian.BadInput) as caught:
        list(data.loader(1, num_workers=1, multiprocessing_context="fork"))
    assert str(caught.value) == "tile 7: found no nuclei; choose another tile"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_dying_worker_is_one_sentence(folder):
    data = sian.torch_dataset(folder, transform=die)
    with pytest.raises(sian.MissingResource, match=r"a worker process died .*try fewer workers"):
        list(data.loader(1, num_workers=1, multiprocessing_context="fork"))


def test_the_shards_of_sian_dataset(toy, tmp_path):
    changes = {"images": 3, "shard": 2, "masks.size": 64, "masks.glands": 0, "model.file": toy, "gate": "null"}
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    words += ["--set", "styles=[{style: kidney, draw: true}]", "--workers", "0", "-o", str(tmp_path / "out")]
    assert main(["dataset", "seven-organs", *words]) == 0
    data = sian.torch_dataset(tmp_path / "out")
    assert len(data) == 3
    for image, mask in data:
        assert (image.shape, mask.shape) == ((3, 64, 64), (64, 64))
    assert data.source.read(2).organ == "kidney"

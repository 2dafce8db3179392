"""Plans: what they may say, and what each image of one is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import yaml
from tests.production.toys import write_masks, write_plan

from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter
from sian.errors import BadInput
from sian.production import Plan, Schedule
from sian.production.mask_supply import InventedMask, StoredMask
from sian.production.schedule import share_out


def parsed(**changes) -> Plan:
    return Plan.parse({"name": "p", "images": 10, "styles": ["kidney"], "masks": {"size": 64}, **changes}, "p")


@pytest.mark.parametrize(
    ("styles", "counts"),
    [
        (["kidney"], [10]),
        (["kidney", "breast", "colon"], [4, 3, 3]),  # 3.33 each; the first of equal remainders gets the odd one
        ([{"style": "kidney", "images": 3}, "breast", "colon"], [3, 4, 3]),
        ([{"style": "kidney", "share": 3}, "breast"], [8, 2]),  # 7.5 and 2.5
        ([{"style": "kidney", "images": 10}], [10]),
    ],
)
def test_images_are_shared_out(styles, counts) -> None:
    assert share_out(parsed(styles=styles)).tolist() == counts


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"imagse": 3}, "unknown key 'imagse'; did you mean 'images'"),
        ({"styles": [{"style": "kidney", "shar": 2}]}, "unknown key 'styles.0.shar'; did you mean 'share'"),
        ({"masks": {"siz": 64}}, "unknown key 'masks.siz'; did you mean 'size'"),
        ({"gate": {"metrc": "aji"}}, "unknown key 'gate.metrc'; did you mean 'metric'"),
        ({"styles": []}, "styles"),
        ({"styles": [{"style": "kidney", "images": 11}]}, "sum up to 11, expected 10"),
        ({"styles": [{"style": "kidney", "images": 9}]}, "sum up to 9, expected 10"),
        ({"masks": {}}, "need a size"),
        ({"styles": [{"style": "kidney#3", "draw": True}]}, "draw needs an organ's name alone"),
        ({"name": "a.b"}, "name"),
        ({"noise": float("nan")}, "noise"),
        ({"model": {"sha256": "abc"}}, "model.sha256"),
    ],
)
def test_a_plan_that_cannot_be(tmp_path, model, capsys, changes, sentence) -> None:
    path = write_plan(tmp_path, model, **changes)
    assert main(["dataset", str(path), "-o", str(tmp_path / "out"), "--workers", "0"]) == 3
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing-like-it", "-o", "x"], 3, "no plan is called 'nothing-like-it'"),
        (["gone.yaml", "-o", "x"], 3, "gone.yaml: no such file; check the path"),
        (["seven-organs"], 2, "add -o FOLDER"),
        (["-o", "x"], 2, "which plan?"),
        (["seven-organs", "-o", "x", "--set", "masks.source=nowhere"], 3, "no such folder"),
        (["seven-organs", "-o", "x", "--set", "model.file=gone.safetensors"], 3, "no such file"),
        (["seven-organs", "-o", "x", "--set", f"model.sha256={'a' * 64}"], 3, "expected aaaaaaaaaaaa... as the plan's"),
        (["seven-organs", "-o", "x", "--set", "styles.4.masks=lung"], 3, "no nuclei are known of the organ 'lung'"),
        (["seven-organs", "-o", "x.png", "--only", "5000"], 3, "the plan 'seven-organs' has 0 to 4999"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capsys, arguments, code, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["dataset", *arguments]) == code
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_example_is_the_bundled_plan(capsys) -> None:
    assert main(["dataset", "--example"]) == 0
    plan = Plan.parse(yaml.safe_load(capsys.readouterr().out), "example")
    assert plan == Plan.load("seven-organs")
    assert len(plan.styles) == 7
    assert sum(share_out(plan)) == 5000


def test_an_image_is_a_function_of_its_number(plan) -> None:
    schedule = Schedule(Plan.load(plan))
    images = [schedule.image(number) for number in range(10)]
    assert Schedule(Plan.load(plan)).image(7) == images[7]
    assert len({image.seed for image in images}) == 10
    assert len({image.mask.seed for image in images}) == 10
    assert {image.id for image in images} == {f"toys-{number:06d}" for number in range(10)}
    assert Counter(image.organ for image in images) == {"kidney": 5, "breast": 5}
    assert all(isinstance(image.mask, InventedMask) and image.mask.organ.name == image.organ for image in images)
    assert {image.style.name for image in images if image.organ == "kidney"} == {"kidney"}
    assert len({image.style.name for image in images if image.organ == "breast"}) == 5  # each its own draw
    again = schedule.image(7, attempt=1)
    assert (again.id, again.organ) == (images[7].id, images[7].organ)
    assert again.seed != images[7].seed
    assert again.mask != images[7].mask


def test_a_sweep_goes_in_equal_steps() -> None:
    plan = parsed(images=11, styles=[{"style": "kidney", "to": "breast", "images": 5}, "colon"])
    schedule = Schedule(plan)
    sweep = [image.style for image in map(schedule.image, range(11)) if image.organ == "mixed"]
    assert [blend.part for blend in sweep] == [0, 0.25, 0.5, 0.75, 1]
    assert sweep[1].name == "kidney=0.75+breast=0.25"


def test_stored_masks_are_all_used_before_one_comes_again(tmp_path) -> None:
    write_masks(tmp_path / "masks", 5)
    schedule = Schedule(parsed(masks={"source": str(tmp_path / "masks")}))
    masks = [schedule.image(number).mask for number in range(10)]
    assert all(isinstance(mask, StoredMask) for mask in masks)
    assert {mask.name for mask in masks[:5]} == {f"mask{number}.png" for number in range(5)}
    assert [mask.name for mask in masks[5:]] == [mask.name for mask in masks[:5]]


@pytest.mark.parametrize(("images", "masks"), [(30, 5), (14, 4), (9, 20)])
def test_every_style_goes_around_its_stored_masks(tmp_path, images, masks) -> None:
    """Within each style, and over all of them, no mask comes twice more often than another."""
    write_masks(tmp_path / "masks", masks)
    styles = ["kidney", {"style": "breast", "draw": True, "share": 2}, {"style": "kidney", "to": "colon"}]
    schedule = Schedule(parsed(images=images, styles=styles, masks={"source": str(tmp_path / "masks")}))
    found: dict[str, Counter[str]] = {"all": Counter()}
    for image in map(schedule.image, range(images)):
        assert isinstance(image.mask, StoredMask)
        for style in (image.organ, "all"):
            found.setdefault(style, Counter())[image.mask.name] += 1
    assert set(found) == {"all", "kidney", "breast", "mixed"}
    for counts in found.values():
        often = [counts[f"mask{number}.png"] for number in range(masks)]
        assert max(often) - min(often) <= 1


def test_styles_of_different_organs_go_around_masks_of_their_own(tmp_path) -> None:
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine"))
    for number in range(6):
        mask = np.full((64, 64), number + 1, np.int32)
        writer.add(f"i{number}", np.zeros((64, 64, 3), np.uint8), mask, organ=("skin", "liver")[number % 2])
    styles = [{"style": "kidney", "masks": "skin"}, {"style": "breast", "masks": "liver"}]
    schedule = Schedule(parsed(images=12, styles=styles, masks={"source": str(tmp_path / "mine")}))
    found = Counter((image.organ, image.mask.name) for image in map(schedule.image, range(12)))
    assert found == {
        (organ, f"masks/i{number}.png"): 2 for number in range(6) for organ in [("kidney", "breast")[number % 2]]
    }


def test_each_attempt_of_the_gate_has_another_mask(tmp_path) -> None:
    write_masks(tmp_path / "masks", 5)
    gate = {"at_least": 0.5, "attempts": 3}
    schedule = Schedule(parsed(masks={"source": str(tmp_path / "masks")}, gate=gate))  # 10 images: 2 rounds of 5 masks
    for number in range(10):
        tried = [schedule.image(number, attempt).mask for attempt in range(3)]
        assert len({mask.name for mask in tried if isinstance(mask, StoredMask)}) == 3


def test_the_plans_hash_sees_what_decides_images_and_no_more(tmp_path, model) -> None:
    def sha(**changes) -> str:
        return Schedule(Plan.load(write_plan(tmp_path, model, **changes))).sha256

    assert sha() == sha(description="more words")
    assert len({sha(), sha(seed=1), sha(noise=0.5), sha(images=11), sha(styles=["kidney", "breast"])}) == 5
    here, there = write_masks(tmp_path / "a"), write_masks(tmp_path / "b")
    assert sha(masks={"source": str(here)}) == sha(masks={"source": str(there)})
    write_masks(there, 6)
    assert sha(masks={"source": str(here)}) != sha(masks={"source": str(there)})


def test_paths_are_relative_to_the_plan(tmp_path, model) -> None:
    write_masks(tmp_path / "plans" / "masks")
    path = write_plan(tmp_path / "plans", model, masks={"source": "masks"})
    assert Schedule(Plan.load(path)).masks.folder == tmp_path / "plans" / "masks"


def test_a_style_picture_is_named_by_its_hash(tmp_path, model) -> None:
    path = write_plan(tmp_path, model, styles=[{"style": "gone.png"}])
    with pytest.raises(BadInput, match=r"gone\.png: cannot be read"):
        Schedule(Plan.load(path))

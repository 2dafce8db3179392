"""A data set from its plan: bytes, resuming, refusing, verifying, failing."""

from __future__ import annotations

import errno
import io
import json
import shutil
import tarfile
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image
from tests.production.toys import tree, write_masks, write_plan
from tests.synthesis.toys import grid_mask, write_classed

from sian.cli.main import main
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput, Interrupted, MissingResource
from sian.files import read_png_text, sha256_array, sha256_file, sha256_pixels
from sian.layout import describe
from sian.nuclei import generate
from sian.production import Plan, Schedule, make_image, run, shard_writing, verify
from sian.production import run as run_function
from sian.production.manifest import MANIFEST
from sian.synthesis import load


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


def members(path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_images_are_the_models_own(finished, plan, model) -> None:
    """Painted again by hand, from what a shard's own JSON says."""
    painter = load(model)
    found = members(finished / "shards" / "toys-000001.tar")
    assert list(found)[:3] == ["toys-000004.image.png", "toys-000004.mask.png16", "toys-000004.json"]
    for number in range(4, 8):
        record = json.loads(found[f"toys-{number:06d}.json"])
        origin = record["made_from"]
        mask = generate(64, 64, origin["organ"], origin["seed"])
        image = painter.synthesize(describe(mask), record["style"], seed=record["seed"], noise=record["noise"])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(found[f"toys-{number:06d}.image.png"]))), image)
        stored = np.asarray(Image.open(io.BytesIO(found[f"toys-{number:06d}.mask.png16"])))
        np.testing.assert_array_equal(stored, mask)
        assert record["sha256_image"] == sha256_pixels(image)
        assert record["sha256_mask"] == sha256_array(mask)
        assert record["model"] == sha256_file(model)
        assert (record["synthetic"], record["licence"], record["plan"]) == (True, "CC BY-NC-SA 4.0", number)
        assert record["plan_sha256"] == Schedule(Plan.load(plan)).sha256


def test_tar_headers_hold_no_machine_and_no_time(finished) -> None:
    with tarfile.open(finished / "shards" / "toys-000000.tar") as archive:
        for member in archive:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == 0o644


def test_the_manifest_counts_and_hashes(finished) -> None:
    assert [line["shard"] for line in lines(finished)] == [0, 1, 2]
    assert [len(line["items"]) for line in lines(finished)] == [4, 4, 2]
    for line in lines(finished):
        (path,) = line["files"]
        assert line["sha256"] == sha256_file(finished / path)
        assert line["bytes"] == [(finished / path).stat().st_size]


def test_an_image_again_from_its_number_alone(finished, plan, tmp_path) -> None:
    assert main(["dataset", str(plan), "--only", "9", "-o", str(tmp_path / "nine.png")]) == 0
    found = members(finished / "shards" / "toys-000002.tar")
    assert (tmp_path / "nine.png").read_bytes() == found["toys-000009.image.png"]
    assert (tmp_path / "nine_mask.png").read_bytes() == found["toys-000009.mask.png16"]
    assert (tmp_path / "nine.json").read_bytes() == found["toys-000009.json"]
    text = read_png_text(tmp_path / "nine.png")
    assert text["Synthetic"] == "true"
    assert text["Number"] == "9"
    assert text["Style"] == make_image(plan, 9).item.style


def test_processes_give_the_same_bytes(finished, plan, tmp_path) -> None:
    outcome = run(plan, tmp_path / "set", workers=2)
    assert (outcome.kept, outcome.made, outcome.shards_made) == (10, 10, 3)
    assert tree(tmp_path / "set") == tree(finished)


def test_a_rerun_makes_what_is_missing(finished, plan, tmp_path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(finished, folder)
    assert run(plan, folder, workers=0).made == 0
    (folder / "shards" / "toys-000001.tar").unlink()
    with (folder / "shards" / "toys-000002.tar").open("ab") as stream:
        stream.write(b"x")
    outcome = run(plan, folder, workers=0)
    assert (outcome.made, outcome.shards_made, outcome.kept) == (6, 2, 10)
    assert tree(folder) == tree(finished)


@pytest.mark.parametrize("before", ["0.0.9", None])
def test_going_on_with_another_version_is_said(finished, plan, tmp_path, capsys, before) -> None:
    """Not refused: what is finished stays, and each shard says which version made it."""
    folder = tmp_path / "set"
    shutil.copytree(finished, folder)
    older = lines(folder)
    assert [line["version"] for line in older] == [version("sian")] * 3
    for line in older:
        line["version"] = before
        if before is None:  # as the first versions wrote it
            del line["version"]
    (folder / MANIFEST).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in older))
    words = ["dataset", str(plan), "-o", str(folder), "--workers", "0"]
    assert main(words) == 0
    assert "SIAN" not in capsys.readouterr().err  # nothing was made
    (folder / "shards" / "toys-000001.tar").unlink()
    assert main(words) == 0
    said = capsys.readouterr().err
    other = before or "of a version that did not say"
    assert f"some made by SIAN {other}, and the others are made by {version('sian')} now" in said
    assert said.count("warning") == 1
    assert [line.get("version") for line in lines(folder)] == [before, version("sian"), before]


@pytest.mark.parametrize("cut", [1, 300])
def test_an_unfinished_line_of_the_manifest_is_none(finished, plan, tmp_path, cut) -> None:
    folder = tmp_path / "set"
    shutil.copytree(finished, folder)
    text = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(text[:-cut])
    assert run(plan, folder, workers=0).shards_made == 1
    assert tree(folder) == tree(finished)


def test_folders_open_as_a_data_set(finished, plan, tmp_path) -> None:
    folder = tmp_path / "set"
    run(Plan.load(plan, {"form": "folders"}), folder, workers=0)
    data = open_dataset(folder)
    assert (len(data), data.info.synthetic, data.info.licence) == (10, True, "CC BY-NC-SA 4.0")
    records = [record for line in lines(finished) for record in line["items"]]
    for item, record in zip(data, records, strict=True):
        assert sha256_pixels(data.image(item)) == record["sha256_image"]
        assert sha256_array(data.mask(item)) == record["sha256_mask"]
        assert (item.model, item.style, item.seed, item.plan) == tuple(
            record[key] for key in ("model", "style", "seed", "plan")
        )
    text = (folder / "items.jsonl").read_text()
    (folder / "items.jsonl").write_text(text[: len(text) // 2])  # as a kill between two files leaves it
    assert run(Plan.load(plan, {"form": "folders"}), folder, workers=0).made == 0
    assert (folder / "items.jsonl").read_text() == text
    assert verify(folder).problems == []


def test_another_plan_or_model_in_the_folder_is_refused(finished, plan, tmp_path, model, capsys) -> None:
    before = tree(finished)
    for change, sentence in (
        ("seed=1", "seed: 0 there, 1 now"),
        ("styles.0.style=colon", "styles.0.style: kidney there, colon now"),
        ("images=12", "images: 10 there, 12 now"),
    ):
        assert main(["dataset", str(plan), "--set", change, "-o", str(finished), "--workers", "0"]) == 3
        assert sentence in capsys.readouterr().err
    other = tmp_path / "other.safetensors"
    other.write_bytes(model.read_bytes().replace(b'"toy"', b'"tay"').replace(b'\\"toy\\"', b'\\"tay\\"'))
    assert sha256_file(other) != sha256_file(model)
    assert main(["dataset", str(plan), "--set", f"model.file={other}", "-o", str(finished), "--workers", "0"]) == 3
    assert "model.sha256" in capsys.readouterr().err
    assert main(["dataset", str(plan), "--set", "description=other words", "-o", str(finished)]) == 0
    assert tree(finished) == before


def test_a_folder_with_other_things_is_refused(plan, tmp_path, capsys) -> None:
    (tmp_path / "holiday.jpg").touch()
    assert main(["dataset", str(plan), "-o", str(tmp_path)]) == 3
    assert "found other files" in capsys.readouterr().err


def test_verify_finds_a_flipped_bit(finished, tmp_path, capsys) -> None:
    folder = tmp_path / "set"
    shutil.copytree(finished, folder)
    assert main(["dataset", "--verify", "-o", str(folder)]) == 0
    path = folder / "shards" / "toys-000001.tar"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    assert main(["dataset", "--verify", "-o", str(folder)]) == 3
    assert "shard 1: shards/toys-000001.tar: found SHA-256" in capsys.readouterr().err
    assert main(["dataset", "--verify", "-o", str(tmp_path)]) == 3
    assert "found no manifest" in capsys.readouterr().err


def test_verify_hashes_pixels_too(finished, tmp_path) -> None:
    """A manifest that lists other pixels than its shards hold."""
    folder = tmp_path / "set"
    shutil.copytree(finished, folder)
    changed = lines(folder)
    changed[0]["items"][2]["sha256_mask"] = "0" * 64
    (folder / MANIFEST).write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert verify(folder).problems == [
        "shard 0: the pixels of toys-000002's mask are not the ones that the manifest lists"
    ]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("bytes", [1, 2], "1 files and sizes of 2"),
        ("items", [{}], "id"),
        ("items", [{"id": "a", "image": "../../a.png"}], "leaves the data set"),
    ],
)
def test_a_damaged_line_of_the_manifest_is_said(finished, plan, tmp_path, capsys, key, value, said) -> None:
    folder = tmp_path / "set"
    shutil.copytree(finished, folder)
    changed = lines(folder)
    if key == "items" and value[0]:
        value = [{**changed[0]["items"][0], **value[0]}]
    (folder / MANIFEST).write_text(json.dumps({**changed[0], key: value}) + "\n")
    for words in (["dataset", "--verify"], ["dataset", str(plan)]):
        assert main([*words, "-o", str(folder)]) == 3
        error = capsys.readouterr().err
        assert "manifest.jsonl, line 1" in error
        assert said in error


def test_stored_masks_and_windows_of_them(model, tmp_path) -> None:
    write_masks(tmp_path / "masks", 3, side=128)
    path = write_plan(tmp_path, model, images=3, masks={"source": "masks", "size": 64})
    run(path, tmp_path / "set", workers=0)
    for record in lines(tmp_path / "set")[0]["items"]:
        whole = np.asarray(Image.open(tmp_path / "masks" / record["made_from"]["source"]))
        content = members(tmp_path / "set" / "shards" / "toys-000000.tar")[f"{record['id']}.mask.png16"]
        window = np.asarray(Image.open(io.BytesIO(content)))
        assert window.shape == (64, 64)
        assert any((whole[y : y + 64, x : x + 64] == window).all() for y in range(65) for x in range(65))  # ids and all


@pytest.mark.parametrize(
    ("licence", "expected"),
    [("CC0", "CC BY-NC-SA 4.0 / CC0"), ("CC BY-NC-SA 4.0", "CC BY-NC-SA 4.0"), ("unknown", "CC BY-NC-SA 4.0")],
)
def test_every_record_says_the_licence_of_its_masks_too(model, tmp_path, licence, expected) -> None:
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine", licence=licence))
    writer.add("a", np.zeros((64, 64, 3), np.uint8), grid_mask(64, 64))
    run(write_plan(tmp_path, model, images=2, masks={"source": "mine"}), tmp_path / "set", workers=0)
    found = members(tmp_path / "set" / "shards" / "toys-000000.tar")
    assert json.loads(found["toys-000001.json"])["licence"] == expected
    assert Image.open(io.BytesIO(found["toys-000001.image.png"])).text["Licence"] == expected
    assert [record["licence"] for record in lines(tmp_path / "set")[0]["items"]] == [expected] * 2
    assert json.loads((tmp_path / "set" / "provenance.json").read_text())["dataset"]["licence"] == expected


def test_the_classes_of_stored_masks_reach_a_model_that_knows_some(tmp_path) -> None:
    """Windows painted again by hand, and what the new data set says of their nuclei."""
    classed = write_classed(tmp_path / "classed.safetensors", ["dead", "tumour"])
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine", classes=["tumour", "dead"]))
    for number in range(2):
        mask = grid_mask(128, 96, step=3)
        ids = np.unique(mask[mask > 0]).tolist()
        classes = {"tumour": ids[number::2], "dead": ids[1 - number :: 2]}
        writer.add(f"tile{number}", np.full((128, 96, 3), 200, np.uint8), mask, organ="kidney", classes=classes)
    masks = {"source": "mine", "size": 64}
    run(write_plan(tmp_path, classed, images=4, masks=masks, form="folders"), tmp_path / "set", workers=0)
    source, data, painter = open_dataset(tmp_path / "mine"), open_dataset(tmp_path / "set"), load(classed)
    assert data.info.classes == ["dead", "tumour"]
    for item, record in zip(data, lines(tmp_path / "set")[0]["items"], strict=True):
        whole = next(one for one in source if record["made_from"]["source"] == one.mask)
        window, layout = data.mask(item), describe(source.mask(whole), whole.class_by_id)
        (y, x) = next(
            (y, x) for y in range(65) for x in range(33) if (source.mask(whole)[y : y + 64, x : x + 64] == window).all()
        )
        style = record["style"]
        painted = painter.synthesize(layout.window(y, x, 64, 64), style, seed=item.seed)
        np.testing.assert_array_equal(data.image(item), painted)
        there = set(np.unique(window).tolist())
        assert item.class_by_id == {n: name for n, name in whole.class_by_id.items() if n in there}


def test_classes_count_in_a_plans_hash_only_for_a_model_that_knows_some(tmp_path, model) -> None:
    classed = write_classed(tmp_path / "classed.safetensors", ["dead", "tumour"])
    write_masks(tmp_path / "masks", 1)

    def hashes() -> list[str]:
        return [
            Schedule(Plan.load(write_plan(tmp_path, file, masks={"source": "masks"}))).masks.sha256
            for file in (model, classed)
        ]

    bare = hashes()
    assert bare[0] == bare[1]
    (tmp_path / "masks" / "mask0.classes.json").write_text('{"dead": [1, 7]}')
    dead = hashes()
    (tmp_path / "masks" / "mask0.classes.json").write_text('{"tumour": [1, 7]}')
    tumour = hashes()
    assert bare[0] == dead[0] == tumour[0]
    assert len({bare[1], dead[1], tumour[1]}) == 3


def test_masks_without_classes_for_a_model_that_knows_some(tmp_path, capsys) -> None:
    classed = write_classed(tmp_path / "classed.safetensors", ["dead"])
    write_masks(tmp_path / "masks", 1)
    path = write_plan(tmp_path, classed, images=2, masks={"source": "masks"})
    assert main(["dataset", str(path), "-o", str(tmp_path / "set"), "--workers", "0"]) == 3
    assert "this model was trained with nuclear classes (dead), found a mask without" in capsys.readouterr().err


def test_failures_are_tried_twice_listed_and_tried_again(model, tmp_path, capsys) -> None:
    write_masks(tmp_path / "masks", 5)
    broken = tmp_path / "masks" / "mask2.png"
    content = broken.read_bytes()
    broken.write_bytes(content[:60])
    path = write_plan(tmp_path, model, images=5, masks={"source": "masks"})
    assert main(["dataset", str(path), "-o", str(tmp_path / "set"), "--workers", "0"]) == 3
    error = capsys.readouterr().err
    assert "1 images could not be made, each tried twice: image" in error
    assert "mask2.png: cannot be read" in error
    assert sum(len(line["items"]) for line in lines(tmp_path / "set")) == 4
    assert main(["dataset", str(path), "-o", str(tmp_path / "set"), "--workers", "0"]) == 3  # and again


def test_nothing_but_failures_ends_at_once(model, tmp_path, monkeypatch) -> None:
    write_masks(tmp_path / "masks", 1, side=48)
    path = write_plan(tmp_path, model, images=500, masks={"source": "masks", "size": 64})
    with pytest.raises(BadInput, match=r"the first 20 images all failed, the last because: .*48 x 48 px"):
        run(path, tmp_path / "set", workers=0)


def test_a_full_disk_stops_cleanly_and_says_how_to_go_on(finished, plan, tmp_path, monkeypatch, capsys) -> None:
    written = shard_writing.write_bytes

    def full(path, content) -> None:
        if path.name == "toys-000001.tar":
            raise MissingResource(f"{path}: the disk is full; free some space or write somewhere else, then run again")
        written(path, content)

    monkeypatch.setattr(shard_writing, "write_bytes", full)
    assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--workers", "0"]) == 4
    assert "the disk is full" in (error := capsys.readouterr().err)
    assert "1 of 3 shards" in error
    assert "run the same command again" in error
    monkeypatch.undo()
    assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--workers", "0"]) == 0
    assert tree(tmp_path / "set") == tree(finished)


def test_a_full_disk_under_the_manifest(finished, plan, tmp_path, monkeypatch, capsys) -> None:
    from sian.production import manifest

    append = manifest._append

    def full(path, text) -> None:
        append(path, text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(manifest, "_append", full)
    assert main(["dataset", str(plan), "-o", str(tmp_path / "set"), "--workers", "0"]) == 4
    assert "0 of 3 shards" in capsys.readouterr().err
    monkeypatch.undo()
    assert run_function(plan, tmp_path / "set", workers=0).made == 10
    assert tree(tmp_path / "set") == tree(finished)


def test_ctrl_c_says_how_to_go_on(finished, plan, tmp_path) -> None:
    import signal

    def interrupt(done: int, total: int) -> None:
        if done == 6:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match=r"1 of 3 shards in .* run the same command again to go on"):
        run(plan, tmp_path / "set", workers=0, report=interrupt)
    assert run(plan, tmp_path / "set", workers=0).made == 6
    assert tree(tmp_path / "set") == tree(finished)


def test_styles_by_picture_mixture_draw_and_sweep(model, tmp_path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "mine.png")
    styles = [
        {"style": "mine.png", "masks": "kidney", "organ": "spleen"},
        {"style": "mine.png", "to": "breast", "masks": "kidney"},
        {"style": "kidney=0.5+breast=0.5", "masks": "kidney"},
        {"style": "kidney#3"},
        {"style": "colon/frozen"},
    ]
    path = write_plan(tmp_path, model, images=10, styles=styles, masks={"size": 32})
    run(path, tmp_path / "set", workers=0)
    records = [record for line in lines(tmp_path / "set") for record in line["items"]]
    found = {(record["style"], record["organ"], record["preparation"]) for record in records}
    assert found == {
        ("mine", "spleen", "unknown"),
        ("mine=1+breast=0", "unknown", "unknown"),
        ("mine=0+breast=1", "unknown", "unknown"),
        ("kidney=0.5+breast=0.5", "mixed", "unknown"),
        ("kidney#3", "kidney", "unknown"),
        ("colon/frozen", "colon", "frozen"),
    }
    painter = load(model)
    ends = [record for record in records if record["style"] == "mine=0+breast=1"]
    mask = generate(32, 32, "kidney", ends[0]["made_from"]["seed"])
    assert sha256_pixels(painter.synthesize(describe(mask), "breast", seed=ends[0]["seed"])) == ends[0]["sha256_image"]

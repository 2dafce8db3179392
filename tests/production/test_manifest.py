"""The manifest of a data set beside plain lists of its lines, and what it takes."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from sian.errors import BadInput
from sian.production.manifest import MANIFEST, Manifest, Records, ShardLine

EACH = 5  # images a shard


def shard_line(folder: Path, shard: int, **changes) -> ShardLine:
    """A shard of five images, whose file is there."""
    file = f"shards/s-{shard:06d}.tar"
    (folder / "shards").mkdir(exist_ok=True)
    (folder / file).write_bytes(b"x" * shard)
    records = [
        {
            "id": f"s-{number:06d}",
            "image": f"images/s-{number:06d}.png",
            "mask": f"masks/s-{number:06d}.png",
            "organ": "Nierenk\u00f6rper",
            "width": 64,
            "height": 64,
            "nuclei": number,
            "sha256_image": "a" * 64,
            "sha256_mask": "b" * 64,
            "synthetic": True,
            "made_from": {"source": "nuclei", "seed": number},
        }
        for number in range(EACH * shard, EACH * (shard + 1))
    ]
    values = {"shard": shard, "files": [file], "bytes": [shard], "sha256": "c" * 64, "version": "1", "items": records}
    return ShardLine.model_validate({**values, **changes})


def text_of(lines: list[ShardLine]) -> str:
    return "".join(json.dumps(line.model_dump(), ensure_ascii=False) + "\n" for line in lines)


def items_of(lines: list[ShardLine]) -> str:
    further = ("synthetic", "made_from")
    records = [{k: v for k, v in one.items() if k not in further} for line in lines for one in line.items]
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


@pytest.mark.parametrize("with_items", [False, True])
def test_lines_come_in_order_whatever_order_they_were_made_in(tmp_path, with_items) -> None:
    lines = [shard_line(tmp_path, shard) for shard in range(6)]
    manifest = Manifest(tmp_path, with_items)
    for shard in (0, 1, 4, 2, 5, 3):
        manifest.add(lines[shard])
    assert (tmp_path / MANIFEST).read_text() == text_of([lines[shard] for shard in (0, 1, 4, 2, 5, 3)])
    manifest.finish()
    assert (tmp_path / MANIFEST).read_text() == text_of(lines)
    assert list(manifest.lines()) == lines
    assert (tmp_path / "items.jsonl").exists() == with_items
    if with_items:
        assert (tmp_path / "items.jsonl").read_text() == items_of(lines)
    assert list(Manifest(tmp_path).lines([3, 1])) == [lines[3], lines[1]]


@pytest.mark.parametrize("damage", ["cut", "gone", "size", "failed", "items", "no items"])
def test_what_is_not_whole_is_forgotten(tmp_path, damage) -> None:
    lines = [shard_line(tmp_path, shard) for shard in range(4)]
    if damage == "failed":
        lines[3] = shard_line(tmp_path, 3, failed=[{"number": 17, "reason": "no"}])
    elif damage == "gone":
        (tmp_path / lines[3].files[0]).unlink()
    elif damage == "size":
        (tmp_path / lines[3].files[0]).write_bytes(b"")
    text, items = text_of(lines), items_of(lines)
    (tmp_path / MANIFEST).write_text(text[:-1] if damage == "cut" else text)
    (tmp_path / "items.jsonl").write_text(items[:-300] if damage == "items" else items)
    if damage == "no items":
        (tmp_path / "items.jsonl").unlink()
    manifest = Manifest(tmp_path, with_items=True)
    kept = lines if "items" in damage else lines[:3]
    assert manifest.gaps(6) == [range(len(kept), 6)]
    manifest.repair()
    assert (tmp_path / MANIFEST).read_text() == text_of(kept)
    assert (tmp_path / "items.jsonl").read_text() == items_of(kept)
    manifest.add(lines[3])  # where it stands follows from the repaired file
    assert list(manifest.lines([3])) == [lines[3]]


def test_what_is_right_is_not_written_again(tmp_path) -> None:
    manifest = Manifest(tmp_path, with_items=True)
    for shard in range(3):
        manifest.add(shard_line(tmp_path, shard))
    before = [(tmp_path / name).stat().st_ino for name in (MANIFEST, "items.jsonl")]
    again = Manifest(tmp_path, with_items=True)
    again.repair()
    again.finish()
    assert [(tmp_path / name).stat().st_ino for name in (MANIFEST, "items.jsonl")] == before


def test_gaps(tmp_path) -> None:
    manifest = Manifest(tmp_path)
    assert manifest.gaps(100_000_000) == [range(100_000_000)]
    for shard in (1, 2, 5):
        manifest.add(shard_line(tmp_path, shard))
    assert manifest.gaps(9) == [range(1), range(3, 5), range(6, 9)]
    assert manifest.gaps(3) == [range(1)]


def test_records_are_read_when_asked_for(tmp_path) -> None:
    manifest = Manifest(tmp_path)
    refused = [{"id": "a", "reason": "dark"}, {"id": "b", "reason": "pale"}]
    manifest.add(shard_line(tmp_path, 0))
    manifest.add(shard_line(tmp_path, 1, rejected=refused))
    found = Records(manifest, "rejected")
    assert (len(found), list(found), refused[1] in found, {} in found) == (2, refused, True, False)
    assert len(Records(manifest, "items")) == 2 * EACH
    assert not Records(manifest, "failed")


@pytest.mark.parametrize("file", ["../a.tar", "/dev/zero", "shards/../../a.tar", "shards/a/b.tar", "shards\\a.tar"])
def test_files_elsewhere_are_refused(tmp_path, file) -> None:
    line = shard_line(tmp_path, 0).model_dump() | {"files": [file]}
    (tmp_path / MANIFEST).write_text(json.dumps(line) + "\n")
    with pytest.raises(BadInput, match=r"manifest.jsonl, line 1: files.0: .* remove that line"):
        Manifest(tmp_path)


def test_a_manifest_takes_little_memory_and_a_shard_more_takes_no_more_than_another(tmp_path) -> None:
    lines = [shard_line(tmp_path, shard) for shard in range(200)]
    (tmp_path / MANIFEST).write_text(text_of(lines))
    Manifest(tmp_path)  # what is made once
    tracemalloc.start()
    try:
        manifest = Manifest(tmp_path)
        held, most = tracemalloc.get_traced_memory()
        assert held < 200 * 500  # bytes a shard of any number of images
        assert most < 200 * EACH * 500
        costs = []
        for shard in range(200, 240):
            line = shard_line(tmp_path, shard)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            manifest.add(line)
            costs.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert max(costs[20:]) <= max(costs[:20]) + 20_000  # the dictionary grows at times; the text does not

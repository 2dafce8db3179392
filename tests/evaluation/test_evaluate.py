"""The result of an evaluation and its report."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sian import seeds
from sian.errors import BadInput
from sian.evaluation import fid, kid, ssim
from sian.evaluation.agreement import agreement, summarize
from sian.evaluation.collection import Collection, Entry, from_images, open_images, open_masks
from sian.evaluation.evaluate import Evaluation, Tools, evaluate
from sian.evaluation.measured import METRICS, Measured, confidence, halves
from sian.evaluation.report import write_report
from sian.files import write_png

from . import toys

TOOLS = Tools(toys.extractor(), toys.segment)
KEYS = {"format", "protocol", "n", "window", "organs", "metrics", "floors", "per_organ", "inputs", "weights"}
KEYS |= {"versions", "unpaired", "warnings"}


@pytest.fixture
def finished(tmp_path: Path) -> Evaluation:
    fake, real, masks = toys.write_folders(tmp_path)
    tools = Tools(toys.extractor(), toys.segment, tmp_path / "cache")
    return evaluate(open_images(fake), open_images(real), open_masks(masks), tools=tools)


def test_the_result_has_the_documented_keys_and_is_json(finished: Evaluation) -> None:
    result = finished.result
    assert set(result) >= KEYS
    assert result["format"] == "sian.evaluation/1"
    assert set(result["metrics"]) == set(METRICS)
    assert set(result["metrics"]["kid"]) == {"mean", "std"}
    assert result == json.loads(json.dumps(result, allow_nan=False))


def test_the_numbers_are_the_metrics_own(finished: Evaluation) -> None:
    fake, real = ([c.read(n) for n in c.names] for c in (finished.collections["fake"], finished.collections["real"]))
    features = [toys.extractor()(images) for images in (real, fake)]
    numbers = finished.result["metrics"]
    assert numbers["fid"] == pytest.approx(fid(*features))
    assert numbers["kid"]["mean"] == pytest.approx(kid(*features, subset_size=4).mean)
    assert numbers["ssim"] == pytest.approx(np.mean([ssim(a, b) for a, b in zip(real, fake, strict=True)]))
    masks = finished.collections["masks"]
    scores = [agreement(masks.read(n), toys.segment(i)) for n, i in zip(masks.names, fake, strict=True)]
    assert numbers["pq"] == pytest.approx(summarize(scores)[0]["pq"])
    assert finished.result["pooled"]["tp"] == sum(s.panoptic.tp for s in scores)


def test_floors_stand_beside_the_numbers(finished: Evaluation) -> None:
    names = [row["name"] for row in finished.result["floor_rows"]]
    assert names == ["halves", "segmenter on real images"]
    floors = finished.result["floors"]
    assert floors["fid"] == finished.result["floor_rows"][0]["fid"]
    assert floors["pq"] == pytest.approx(1)  # the toy segmenter sees every real nucleus
    assert "ssim" not in floors


def test_other_real_images_are_the_first_floor(tmp_path: Path) -> None:
    fake, real, _ = toys.write_folders(tmp_path)
    more = from_images("more", {f"t{i}": toys.toy_image(toys.toy_mask(i + 50), i) for i in range(5)})
    plain = from_images("plain", {f"w{i}": np.full((32, 32, 3), 200, np.uint8) for i in range(6)})
    result = evaluate(
        open_images(fake), open_images(real), tools=Tools(toys.extractor(), None, tmp_path), train=more,
        others={"plain": plain},
    ).result  # fmt: skip
    assert [row["name"] for row in result["floor_rows"]] == ["other real images", "halves", "plain"]
    assert result["floors"]["fid"] == result["floor_rows"][0]["fid"]
    assert result["floor_rows"][2]["ssim"] is not None
    assert result["metrics"]["pq"] is None


def test_per_organ_rows_and_groups_of_a_data_set(tmp_path: Path) -> None:
    data = toys.write_dataset(tmp_path / "data")
    real = open_images(data, "test")
    fake = from_images("fake", {n: real.read(n) // 2 for n in real.names})
    result = evaluate(
        fake, real, open_masks(data, "test"), tools=Tools(toys.extractor(), toys.segment, tmp_path)
    ).result
    assert result["organs"] == {"breast": 1, "kidney": 2}
    assert result["per_organ"]["kidney"]["fid"] is not None
    assert result["per_organ"]["breast"]["fid"] is None  # one image has no distribution
    assert result["per_organ"]["breast"]["pq"] is not None


def test_names_that_do_not_pair_are_named(tmp_path: Path) -> None:
    fake, real, masks = toys.write_folders(tmp_path)
    (real / "w0.png").rename(real / "other.png")
    (masks / "w1.png").unlink()
    tools = Tools(toys.extractor(), toys.segment, tmp_path / "cache")
    result = evaluate(open_images(fake), open_images(real), open_masks(masks), tools=tools).result
    assert {"name": "w0", "in": "fake", "not_in": "real"} in result["unpaired"]
    assert {"name": "other", "in": "real", "not_in": "fake"} in result["unpaired"]
    assert {"name": "w1", "in": "fake", "not_in": "masks"} in result["unpaired"]
    assert len(result["unpaired"]) == 3


def test_nothing_pairs_but_distances_are_measured(tmp_path: Path) -> None:
    fake = from_images("fake", {f"f{i}": toys.toy_image(toys.toy_mask(i)) for i in range(4)})
    real = from_images("real", {f"r{i}": toys.toy_image(toys.toy_mask(i)) for i in range(4)})
    result = evaluate(fake, real, tools=Tools(toys.extractor(), None, tmp_path)).result
    assert result["metrics"]["ssim"] is None
    assert result["metrics"]["fid"] is not None
    assert any("no SSIM" in sentence for sentence in result["warnings"])


def saved_as(folder: Path, **options) -> Path:
    """Six pictures as JPEG, PNG or WebP."""
    folder.mkdir()
    for number in range(6):
        ending = options.get("ending", "jpg")
        image = Image.fromarray(toys.toy_image(toys.toy_mask(number)))
        image.save(folder / f"{number}.{ending}", **{key: value for key, value in options.items() if key != "ending"})
    return folder


@pytest.mark.parametrize(
    ("fake", "real", "said"),
    [
        ({"quality": 90}, {"ending": "png"}, "stored as JPEG of quality 90 and the real images without loss"),
        ({"ending": "png"}, {"quality": 50}, "stored without loss and the real images as JPEG of quality 50"),
        ({"quality": 90}, {"quality": 60}, "quality 90 and the real images as JPEG of quality 60"),
        ({"ending": "webp", "quality": 80}, {"ending": "png"}, "stored as WebP with loss"),
        ({"ending": "tif", "compression": "jpeg"}, {"ending": "tif"}, "stored as JPEG in TIFF"),
        ({"quality": 90}, {"quality": 90}, None),
        ({"ending": "webp", "lossless": True}, {"ending": "png"}, None),
        ({"ending": "webp", "lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}, {"ending": "png"}, None),
    ],
)
def test_files_that_are_compressed_differently_are_said(tmp_path: Path, fake, real, said: str | None) -> None:
    folders = saved_as(tmp_path / "fake", **fake), saved_as(tmp_path / "real", **real)
    sides = (open_images(folder) for folder in folders)
    sentences = evaluate(*sides, tools=Tools(toys.extractor(), None, tmp_path)).result["warnings"]
    found = [sentence for sentence in sentences if "FID and KID see the difference" in sentence]
    assert [said in sentence for sentence in found] == ([True] if said else [])


def test_small_n_is_said(finished: Evaluation) -> None:
    assert "n = 6 is too small for FID to mean much" in finished.result["warnings"][0]


def test_segmentations_made_before(tmp_path: Path) -> None:
    fake, real, masks = toys.write_folders(tmp_path)
    result = evaluate(
        open_images(fake), open_images(real), open_masks(masks), tools=Tools(), predicted=open_masks(masks)
    ).result
    assert result["metrics"]["pq"] == 1
    assert result["metrics"]["fid"] is None
    assert result["weights"] == {"inception": None}


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    fake, real, masks = toys.write_folders(tmp_path)
    calls: list[tuple[int, int]] = []
    for _ in range(2):  # the second time from the cache
        evaluate(
            open_images(fake), open_images(real), open_masks(masks),
            tools=Tools(toys.extractor(), toys.segment, tmp_path / "cache"),
            report=lambda done, total: calls.append((done, total)),
        )  # fmt: skip
        assert calls[-1] == (24, 24)
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        calls.clear()


def test_pairs_of_different_sizes_are_all_named() -> None:
    fake = from_images("fake", {n: np.zeros((20, 20, 3), np.uint8) for n in "abc"})
    real = from_images("real", {"a": np.zeros((20, 21, 3), np.uint8), "b": np.zeros((20, 20, 3), np.uint8),
                                "c": np.zeros((12, 20, 3), np.uint8)})  # fmt: skip
    with pytest.raises(BadInput, match=r"a is 20 x 20 and its real image 20 x 21; c is 20 x 20 .* 12 x 20"):
        evaluate(fake, real, tools=Tools())


def test_one_image_is_refused() -> None:
    one = from_images("here", {"a": np.zeros((20, 20, 3), np.uint8)})
    with pytest.raises(BadInput, match="here: found 1 image, expected at least 2"):
        evaluate(one, one, tools=Tools())


def test_masks_without_a_segmentation_are_refused() -> None:
    two = from_images("two", {n: np.zeros((20, 20, 3), np.uint8) for n in "ab"})
    masks = from_images("masks", {n: np.zeros((20, 20), np.int32) for n in "ab"})
    with pytest.raises(BadInput, match="add --segmenter MODEL or --segmented"):
        evaluate(two, two, masks, tools=Tools())


def test_empty_masks_are_left_out_and_counted() -> None:
    images = from_images("i", {n: np.full((20, 20, 3), 255, np.uint8) for n in "ab"})
    masks = from_images("m", {n: np.zeros((20, 20), np.int32) for n in "ab"})
    result = evaluate(images, images, masks, tools=Tools(None, toys.segment)).result
    assert result["metrics"]["pq"] is None
    assert result["pooled"]["empty_images"] == 2


def test_confidence_draws_groups() -> None:
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(12)]
    groups = [f"g{i // 3}" for i in range(12)]
    scores = {name: 0.1 * int(group[1]) for name, group in zip(names, groups, strict=True)}
    row = Measured(names, groups, [None] * 12, rng.normal(size=(12, 4)), scores)
    real = rng.normal(size=(12, 4))
    found = confidence(row, real, groups, 200)
    low, high = found["ssim"]
    assert low < np.mean(list(scores.values())) < high
    one_a_group = Measured(names, names, [None] * 12, None, scores)
    narrow = confidence(one_a_group, None, [], 200)["ssim"]
    assert narrow[1] - narrow[0] < high - low  # windows of a tile are alike, so tiles say less than windows seem to
    assert found == confidence(row, real, groups, 200)
    assert confidence(Measured(names, ["a"] * 12, [None] * 12, None, scores), None, [], 200) == {}


def test_an_interval_holds_95_percent_of_the_draws() -> None:
    """Against the bootstrap written out: groups drawn with replacement, quantiles by sorting."""
    names, groups = [f"n{i}" for i in range(8)], [f"g{i // 2}" for i in range(8)]
    scores = {name: index**2 / 50 for index, name in enumerate(names)}
    row = Measured(names, groups, [None] * 8, None, scores)
    means = []
    for number in range(41):  # 2.5 % of the way through 41 sorted draws is draw 1 exactly
        drawn = seeds.generator(0, "bootstrap", number).choice(sorted(set(groups)), 4)
        means.append(np.mean([scores[name] for group in drawn for name in names if int(name[1]) // 2 == int(group[1])]))
    around = np.sort(means) - np.mean(means) + np.mean(list(scores.values()))
    assert confidence(row, None, [], 41)["ssim"] == pytest.approx([around[1], around[39]])


def test_large_sets_get_no_interval_for_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sian.evaluation.measured.MOST_RESAMPLED", 11)
    names = [f"n{i}" for i in range(12)]
    features = np.random.default_rng(0).normal(size=(12, 4))
    row = Measured(names, names, [None] * 12, features, dict.fromkeys(names, 0.5))
    assert set(confidence(row, features, names, 5)) == {"ssim"}


def test_halves_of_one_distribution_are_near_each_other() -> None:
    features = np.random.default_rng(0).normal(size=(400, 4))
    found = halves(features)
    assert found["n"] == [200, 200]
    assert found["fid"] < 0.2
    assert abs(found["kid"]["mean"]) < 0.2


# ---------------------------------------------------------------------------------------------- collections


def test_a_collection_reads_when_asked() -> None:
    read: list[int] = []
    lazy = Collection("lazy", {"b": Entry(lambda: read.append(1)), "a": Entry(lambda: read.append(2))})
    assert lazy.names == ["a", "b"]
    assert not read
    list(lazy.pictures())
    assert read == [2, 1]


def test_folders_and_their_hash(tmp_path: Path) -> None:
    fake, _, _ = toys.write_folders(tmp_path)
    first = open_images(fake)
    assert len(first) == 6
    write_png(fake / "w0.png", np.zeros((32, 32, 3), np.uint8))
    assert open_images(fake).sha256 != first.sha256


def test_hidden_files_are_not_images(tmp_path: Path) -> None:
    fake, _, _ = toys.write_folders(tmp_path)
    (fake / "._w0.png").write_bytes(b"left by a file manager")
    assert len(open_images(fake)) == 6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p / "absent", "no such folder"),
        (lambda p: p, "found no images"),
        (lambda p: write_png(p / "a.png", np.zeros((20, 20, 3), np.uint8)) or _twin(p), "two files called 'a'"),
    ],
)
def test_bad_folders(tmp_path: Path, make, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        open_images(make(tmp_path))


def test_a_split_of_a_plain_folder_is_refused(tmp_path: Path) -> None:
    fake, _, _ = toys.write_folders(tmp_path)
    with pytest.raises(BadInput, match="no split 'test'"):
        open_images(fake, "test")


def _twin(folder: Path) -> Path:
    (folder / "a.tif").write_bytes((folder / "a.png").read_bytes())
    return folder


# ---------------------------------------------------------------------------------------------- the report


class Links(HTMLParser):
    """Every address in a page, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        self.images += tag == "img"
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_self_contained(finished: Evaluation, tmp_path: Path) -> None:
    page = write_report(finished, tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    parser = Links()
    parser.feed(text)
    assert not parser.open
    assert parser.images > 20
    assert all(link.startswith("data:image/jpeg;base64,") for link in parser.links)
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert f"{finished.result['metrics']['pq']:.3f}" in text
    assert "floor: segmenter on real images" in text
    assert json.loads((page.parent / "evaluation.json").read_text()) == finished.result


def test_the_table_has_one_line_an_image(finished: Evaluation, tmp_path: Path) -> None:
    import csv

    write_report(finished, tmp_path / "report")
    with (tmp_path / "report" / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"w{i}" for i in range(6)]
    assert float(rows[0]["pq"]) == pytest.approx(finished.images[0]["pq"], abs=1e-6)
    assert rows[0]["organ"] == ""


def test_names_are_escaped(tmp_path: Path) -> None:
    images = from_images("<b>", {n: np.zeros((20, 20, 3), np.uint8) for n in ("<script>x</script>", "=1+1")})
    finished = evaluate(images, images, tools=Tools())
    text = write_report(finished, tmp_path / "r").read_text()
    assert "<script" not in text
    assert "'=1+1" in (tmp_path / "r" / "images.csv").read_text()


def test_a_file_in_the_place_of_the_report_is_refused(finished: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("")
    with pytest.raises(BadInput, match="found a file"):
        write_report(finished, tmp_path / "report")

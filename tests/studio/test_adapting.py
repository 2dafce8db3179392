"""The button that adapts the segmenter: what it runs, what it shows, and what the studio does with the result."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.test_adaptation import stained

from sian.data import Dataset, DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput
from sian.files.bundled import segmenter_path
from sian.files.images import read_image
from sian.nuclei import scatter
from sian.segmentation import load
from sian.studio_app import child_process, corrected, errands, messages, segmenter_tuning
from sian.studio_app.child_process import Said
from sian.synthesis.sheet import GAP, LINE

SECONDS = 1800  # the machine that runs this may be busy
ADAPT = messages.parse('{"op":"do","what":"adapt"}')


@pytest.fixture
def data(tmp_path):
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine", mpp=0.5))
    for number in range(2):
        mask = scatter(96, 128, seed=number)
        writer.add(f"tile-{number}", stained(mask, number), mask, organ="liver", split="train", mpp=0.5)
    return tmp_path / "mine"


def run_to_its_end(studio):
    """Everything the pages were told until the job's last sentence."""
    told, done = [], threading.Event()

    def listen(head, _):
        told.append(head)
        if head["type"] == "remark":
            done.set()

    studio.listeners.append(listen)
    studio.start()
    errands.do(studio, ADAPT)
    assert done.wait(SECONDS)
    return told


def pretend(monkeypatch, learned=True):
    """`sian adapt` in no time; its result is the bundled segmenter."""
    asked = []

    def follow(command, report):
        asked.append(command)
        report(3, 12, "learning")
        run = Path(command[command.index("-o") + 1])
        run.mkdir(parents=True)
        shutil.copyfile(segmenter_path(None), run / "segmenter.safetensors")
        facts = {"model": str(run / "segmenter.safetensors"), "report": str(run / "report.html")}
        return Said([], json.dumps({**facts, "learned": learned, "why": "kept what learned"}))

    monkeypatch.setattr(segmenter_tuning, "follow", follow)
    return asked


def test_a_data_set_is_adapted_to_and_the_studio_uses_what_learned(studio, data, monkeypatch, toy_path):
    asked = pretend(monkeypatch)
    corrected.open_tiles(studio, data)
    told = run_to_its_end(studio)
    run = studio.folder / "adapted-1"
    pictures = [str(data / "images" / f"tile-{number}.png") for number in range(2)]
    assert asked[0][: len(pictures) + 1] == ["adapt", *pictures]
    for option, value in (("-o", str(run)), ("--painter", str(toy_path)), ("--mpp", "0.5")):
        assert asked[0][asked[0].index(option) + 1] == value
    assert "--model" not in asked[0]
    assert ("learning", 3, 12) in [
        (head["job"]["step"], head["job"]["done"], head["job"]["total"])
        for head in told
        if head["type"] == "state" and head["job"]
    ]
    shown = next(head for head in told if head["type"] == "sheet")
    assert "kept what learned" in shown["sentence"]
    assert studio.segmenter == run / "segmenter.safetensors"


def test_the_sheet_shows_the_outlines_of_both_segmenters(studio, data, monkeypatch):
    pretend(monkeypatch, learned=False)
    corrected.open_tiles(studio, data)
    run_to_its_end(studio)
    assert studio.segmenter is None  # nothing was learned: the studio goes on with what it had
    picture = read_image(data / "images" / "tile-0.png")
    found = load().predict(picture)
    for column, colour in ((0, segmenter_tuning.SEEN_COLOUR), (1, segmenter_tuning.AFTER_COLOUR)):
        left = GAP + column * (128 + GAP)
        part = studio.sheet[LINE + GAP : LINE + GAP + 96, left : left + 128]
        changed = (part == colour).all(-1) & (picture != colour).any(-1)
        assert changed.any() == bool(found.any())
        assert not changed[found == 0].any()
        assert np.array_equal(part[found == 0], picture[found == 0])


def test_an_open_picture_is_adapted_to_by_a_file_of_it(studio, monkeypatch):
    asked = pretend(monkeypatch)
    mask = scatter(96, 128, seed=3)
    picture = stained(mask, 3)
    studio.open(mask, "my slide", picture)
    run_to_its_end(studio)
    written = Path(asked[0][1])
    assert written.parent == studio.folder / "pictures"
    assert np.array_equal(np.asarray(Image.open(written)), picture)
    assert "--mpp" not in asked[0]


def test_without_a_real_picture_there_is_nothing_to_adapt_to(studio):
    with pytest.raises(BadInput, match="no real picture is open"):
        errands.do(studio, ADAPT)


def test_many_tiles_are_spread_over_the_data_set(data, monkeypatch):
    opened = open_dataset(data)
    first = opened.items[0]
    items = [first.model_copy(update={"image": f"images/{n}.png", "mpp": 0.25 if n else 0.5}) for n in range(100)]
    opened = Dataset(opened.folder, opened.info, items)
    pictures, mpp = segmenter_tuning._pictures(opened)
    assert len({path.name for path in pictures}) == len(pictures) == segmenter_tuning.MOST
    assert pictures[0].name == "0.png"
    assert pictures[-1].name == "97.png"
    assert mpp is None  # they do not agree


@pytest.mark.shared
def test_adapting_ends_with_a_segmenter_and_a_sheet(studio, shared, tmp_path, monkeypatch):
    picture = read_image(shared / "data" / "extra" / "tnbc" / "07_3.webp")[256:512, :256]  # 97 nuclei
    mask = np.zeros(picture.shape[:2], np.int32)
    mask[10:20, 10:20] = 1
    writer = DatasetWriter(tmp_path / "mine", DatasetInfo(name="mine"))
    writer.add("tile", picture, mask)
    follow = child_process.follow
    fewer = ["--images", "4", "--threads", "1"]
    monkeypatch.setattr(segmenter_tuning, "follow", lambda command, report: follow([*command, *fewer], report))
    corrected.open_tiles(studio, tmp_path / "mine")
    told = run_to_its_end(studio)
    sentence = next(head["sentence"] for head in told if head["type"] == "remark")
    made = studio.folder / "adapted-1" / "segmenter.safetensors"
    assert str(made) in sentence, sentence
    assert "kept the segmenter" in sentence
    assert (studio.folder / "adapted-1" / "report.html").is_file()
    assert studio.sheet is not None
    assert load(made).predict(picture).any()

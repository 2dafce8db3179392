"""The button that fine-tunes, to its end: a process of its own, its progress, and the sheet of before and after."""

from __future__ import annotations

import os
import threading

import pytest
from tests.synthesis.test_finetuning import write_tiles

from sian.cli import console
from sian.studio_app import child_process, corrected, errands, messages, tuning
from sian.studio_app.child_process import progress_of
from sian.synthesis import load

TINY = {
    "stages.0.images": "8",
    "stages.1.images": "8",
    "stages.0.batch": "4",
    "stages.1.batch": "4",
    "comparing.windows": "8",
    "every.journal": "4",
}
MINUTES = 10.0


def test_the_page_reads_the_lines_of_progress_that_the_command_prints():
    line = console._line("training", "images", 320, 1280, 4.0, 80.0)
    assert progress_of(line) == ("training", 320, 1280)
    assert progress_of(console._line("outlining", "windows", 12, 12, 1.5, 8.0)) == ("outlining", 12, 12)
    assert progress_of(console._line("cutting windows", "slides", 3, 0, 1.5, 8.0)) == ("cutting windows", 3, 0)


@pytest.mark.shared
def test_fine_tuning_ends_with_a_model_and_a_sheet(studio, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("SIAN_WEIGHTS", str(shared / "weights"))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    write_tiles(tmp_path / "mine", 2, side=512)
    changes = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    monkeypatch.setattr(tuning, "follow", lambda command, report: child_process.follow([*command, *changes], report))
    told, done, steps = [], threading.Event(), []

    def listen(head, _):
        told.append(head)
        if head["type"] == "state" and head["job"]:
            steps.append((head["job"]["done"], head["job"]["total"]))
        if head["type"] == "remark":
            done.set()

    studio.listeners.append(listen)
    studio.start()
    corrected.open_tiles(studio, tmp_path / "mine")
    errands.do(studio, messages.parse('{"op":"do","what":"finetune"}'))
    assert done.wait(60 * MINUTES)
    sentence = next(head["sentence"] for head in told if head["type"] == "remark")
    made = studio.folder / "finetuned-1" / "model.safetensors"
    assert str(made) in sentence, sentence
    assert "better" in sentence
    assert steps  # on a quick machine all of them lie before the first line of progress
    assert [head["type"] for head in told if head["type"] == "sheet"] == ["sheet"]
    assert studio.sheet is not None
    assert load(made).styles

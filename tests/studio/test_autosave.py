"""What was drawn comes back, also when the last record was cut off at any byte, or the server was killed."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sian.errors import BadInput, MissingResource
from sian.studio_app import editing, messages
from sian.studio_app.autosave import MAGIC, Journal, restore
from sian.studio_app.document import Document, Patch
from sian.studio_app.studio import Studio

EMPTY = np.zeros((48, 64), np.int32)


def drawn(path: Path, steps: int) -> Document:
    document = Document(EMPTY)
    journal = Journal(path)
    journal.patch(Patch(0, 0, np.zeros((0, 0), np.int32), document.mask, whole=True))
    for step in range(steps):
        region = editing.brushed([(8 + 9 * step, 20)], 3, *document.shape)
        journal.patch(document.apply(editing.draw(document.mask, *region, document.next_id())), "page", step + 1)
    journal.close()
    return document


def test_everything_comes_back_with_its_history(tmp_path):
    path = tmp_path / "drawing.journal"
    document = drawn(path, 4)
    journal = Journal(path)
    document.undo()
    journal.say("undo", "page", 5)
    journal.say("settings", settings={"seed": 3})
    journal.close()
    found = restore(path)
    assert np.array_equal(found.document.mask, document.mask)
    assert found.seen == {"page": 5}
    assert found.document.settings == {"seed": 3}
    found.document.redo()
    assert found.document.mask.max() == 4
    for _ in range(4):
        found.document.undo()
    assert not found.document.mask.any()


def test_a_record_that_was_cut_off_anywhere_is_none(tmp_path):
    path = tmp_path / "drawing.journal"
    drawn(path, 2)
    shorter = path.stat().st_size
    drawn_3 = drawn(tmp_path / "three", 3)
    content = (tmp_path / "three").read_bytes()
    for end in range(shorter, len(content), 5):
        path.write_bytes(content[:end])
        assert restore(path).document.mask.max() == 2
    path.write_bytes(content[: shorter + 9])
    journal = Journal(path)  # and what comes after is read again
    journal.patch(drawn_3.done[-1], "page", 3)
    journal.close()
    assert np.array_equal(restore(path).document.mask, drawn_3.mask)


def test_a_byte_that_changed_ends_the_reading(tmp_path):
    path = tmp_path / "drawing.journal"
    drawn(path, 3)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert restore(path).document.mask.max() == 2


def copied_aside(path: Path) -> Path | None:
    journal = Journal(path)
    journal.close()
    return journal.aside


def test_what_cannot_be_read_is_copied_aside(tmp_path, monkeypatch):
    path = tmp_path / "drawing.journal"
    drawn(path, 3)
    assert copied_aside(path) is None
    content = bytearray(path.read_bytes())
    content[len(MAGIC) + 20] ^= 1  # damage in the first record: all after it would be lost
    path.write_bytes(content)
    aside = copied_aside(path)
    assert aside.read_bytes() == content
    assert path.read_bytes() == MAGIC
    drawn(path, 3)
    content = path.read_bytes()
    monkeypatch.setattr("sian.studio_app.autosave.MOST_BYTES", len(content) - 1)
    other = copied_aside(path)
    assert other != aside
    assert other.read_bytes() == content


class Full(io.FileIO):
    """A file on a disk that has room for nine bytes more."""

    def write(self, content):
        if len(content) > 9:
            return super().write(content[:9])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "text",
    [
        '{"op":"draw","points":[[200,50]],"radius":6}',
        '{"op":"undo"}',
        '{"op":"redo"}',
        '{"op":"new","width":64,"height":64}',
        '{"op":"settings","seed":9}',
    ],
)
def test_a_full_disk_changes_neither_drawing_nor_journal(studio, text):
    def there():
        done = [id(patch) for patch in studio.document.done], [id(patch) for patch in studio.document.undone]
        return studio.document.mask.tobytes(), done, studio.name, dict(studio.settings), journal.path.read_bytes()

    journal = studio._journal
    for step in (1, 2):
        studio.do(messages.parse(f'{{"op":"draw","points":[[{50 * step},50]],"radius":6}}'))
    studio.do(messages.parse('{"op":"undo"}'))
    before, good = there(), journal._stream
    with Full(journal.path, "r+b") as journal._stream:
        journal._stream.seek(0, os.SEEK_END)
        with pytest.raises(MissingResource, match="the disk is full"):
            studio.do(messages.parse(text))
    assert there() == before
    journal._stream = good
    good.seek(0, os.SEEK_END)
    studio.do(messages.parse(text))
    assert np.array_equal(restore(journal.path).document.mask, studio.document.mask)


def test_two_studios_do_not_share_a_folder(studio, model, tmp_path):
    with pytest.raises(BadInput, match="writes there"):
        Studio(model, tmp_path)
    studio.close()
    Studio(model, tmp_path).close()


def test_a_foreign_file_holds_nothing(tmp_path):
    path = tmp_path / "drawing.journal"
    path.write_bytes(b"something else entirely")
    assert restore(path).document is None
    assert not path.read_bytes().startswith(MAGIC)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from sian.studio_app.studio import Studio
from sian.studio_app import messages
from sian.synthesis import load
studio = Studio(load(sys.argv[1]), Path(sys.argv[2]))
for n in range(1, 6):
    studio.do(messages.parse('{"op":"draw","points":[[%d,50]],"radius":6,"n":%d}' % (40 * n, n)), "page")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_loses_nothing_that_was_answered(toy_path, tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(toy_path), str(tmp_path)], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    found = restore(tmp_path / "sian-studio" / "autosave" / "drawing.journal")
    assert found.document.mask.max() == 5
    assert found.seen == {"page": 5}

"""WebDataset: its convention, shards of others, and damaged ones."""

import json

import numpy as np
import pytest
from PIL import Image

from sian.cli import main as cli
from sian.data import import_dataset, open_dataset

from .toys import MODEL


def test_webdataset_by_tarfile_alone(exports, toy):
    """Its convention: members of one name belong together, in order, split at the first dot."""
    import io
    import tarfile

    with tarfile.open(exports / "webdataset" / "train-000000.tar") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    assert list(members)[:3] == ["one.image.png", "one.mask.png16", "one.json"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(members["one.image.png"]))), toy.image(toy["one"]))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(members["one.mask.png16"]))), toy.mask(toy["one"]))
    told = json.loads(members["one.json"])
    assert (told["model"], told["seed"], told["synthetic"], told["licence"]) == (MODEL, 3, True, "CC0")


def test_webdataset_does_not_take_masks_for_pictures(exports):
    """Its `.decode("pil")` goes by what follows the last dot; these endings it makes 8-bit RGB, as its manual says."""
    import tarfile

    with tarfile.open(exports / "webdataset" / "train-000000.tar") as archive:
        endings = {name.rpartition(".")[2] for name in archive.getnames() if ".mask." in name}
    assert endings
    assert not endings & {"jpg", "jpeg", "png", "ppm", "pgm", "pbm", "pnm"}


def test_webdataset_with_the_ending_of_before(tmp_path, toy, exports):
    import io
    import tarfile

    (tmp_path / "source").mkdir()
    with (
        tarfile.open(exports / "webdataset" / "train-000000.tar") as archive,
        tarfile.open(tmp_path / "source" / "a.tar", "w") as old,
    ):
        for member in archive:
            content = archive.extractfile(member).read()
            member.name = member.name.replace(".mask.png16", ".mask.png")
            old.addfile(member, io.BytesIO(content))
    import_dataset(tmp_path / "source", tmp_path / "back")
    back = open_dataset(tmp_path / "back")
    np.testing.assert_array_equal(back.mask(back["one"]), toy.mask(toy["one"]))


def test_webdataset_of_others_without_json(tmp_path, toy, exports):
    """Shards that SIAN did not write: no JSON, or JSON of another kind."""
    import io
    import tarfile

    with tarfile.open(exports / "webdataset" / "train-000000.tar") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    (tmp_path / "source").mkdir()
    with tarfile.open(tmp_path / "source" / "a.tar", "w") as archive:
        for name, content in members.items():
            if name != "three.json":
                other = b'{"caption": "pink"}' if name == "one.json" else content
                member = tarfile.TarInfo(name)
                member.size = len(other)
                archive.addfile(member, io.BytesIO(other))
    result = import_dataset(tmp_path / "source", tmp_path / "back", organ="kidney")
    assert {item.id: item.organ for item in result.items} == {"one": "kidney", "three": "kidney"}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda content: content[:700], "cut short|cannot be read"),
        (lambda _: b"no tar at all" * 100, "cannot be read as a tar file"),
        (lambda content: content.replace(b"one.mask.png16", b"one.kasm.png16"), "has no mask.png|no mask"),
    ],
)
def test_webdataset_that_is_damaged(tmp_path, exports, capsys, damage, sentence):
    (tmp_path / "source").mkdir()
    content = (exports / "webdataset" / "train-000000.tar").read_bytes()
    (tmp_path / "source" / "a.tar").write_bytes(damage(content))
    assert cli.main(["data", "import", str(tmp_path / "source"), "-o", str(tmp_path / "back")]) == 3
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert any(part in error for part in sentence.split("|")), error

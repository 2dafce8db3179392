"""Finding, checking, converting and fetching the weights of VGG19 and of the FID Inception."""

import hashlib
import io
import json
import pickle
import urllib.error
import zipfile

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from sian.cli import main as cli
from sian.errors import BadInput, MissingResource
from sian.files import originals, weights
from sian.files.fetching import fetch

VGG19_LAYOUT = [
    64,
    64,
    "M",
    128,
    128,
    "M",
    *[256] * 4,
    "M",
    *[512] * 4,
    "M",
    *[512] * 4,
    "M",
]  # configuration E


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A user cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(weights, "cache_folder", lambda: folder)
    monkeypatch.setattr(originals, "cache_folder", lambda: folder)
    monkeypatch.delenv("SIAN_WEIGHTS", raising=False)
    return folder


def torchvision_vgg19(batch_norm=False):
    """The state dict of torchvision's VGG19, built as its own `make_layers` does; storage-free zeros."""
    layers, channels = [], 3
    for step in VGG19_LAYOUT:
        if step == "M":
            layers.append(torch.nn.MaxPool2d(2))
            continue
        layers.append(torch.nn.Conv2d(channels, step, 3, padding=1, device="meta"))
        layers += [torch.nn.BatchNorm2d(step, device="meta")] if batch_norm else []
        layers.append(torch.nn.ReLU())
        channels = step
    network = torch.nn.Sequential(*layers)
    shapes = {f"features.{key}": value.shape for key, value in network.state_dict().items()}
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def inception(classes=1008, extra=()):
    """A state dict of pytorch-fid's shape (as far as the check looks), with its classifier."""
    state = {}
    names = [name.removesuffix(".conv.weight") for name in originals.INCEPTION_SHAPES]
    names += [f"Mixed.block{number}" for number in range(94 - len(names))]
    for name in names:
        shape = originals.INCEPTION_SHAPES.get(f"{name}.conv.weight", (1, 1, 1, 1))
        state[f"{name}.conv.weight"] = torch.zeros(()).expand(shape)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.bn.{entry}"] = torch.ones(shape[0])
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    return {**state, "fc.weight": torch.zeros(classes, 4), "fc.bias": torch.zeros(classes), **dict(extra)}


def known(monkeypatch, name, sha256):
    monkeypatch.setitem(weights.KNOWN, name, {sha256: "made for a test"})


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def place(folder, name="vgg19", value=1.0, metadata=None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({"conv5_1.weight": np.full(3, value, np.float32)}, path, metadata=metadata)
    return path


def test_folder_comes_before_environment_before_cache(tmp_path, cache, monkeypatch):
    paths = [place(tmp_path / "given"), place(tmp_path / "set"), place(cache)]
    monkeypatch.setenv("SIAN_WEIGHTS", str(tmp_path / "set"))
    known(monkeypatch, "vgg19", sha256(paths[0]))
    for path in paths:
        assert weights.find_weights("vgg19", tmp_path / "given") == path
        path.unlink()
    with pytest.raises(MissingResource):
        weights.find_weights("vgg19", tmp_path / "given")


def test_missing_names_file_places_and_both_ways(tmp_path, cache):
    with pytest.raises(MissingResource) as caught:
        weights.find_weights("inception_fid", tmp_path)
    words = ["inception_fid.safetensors", str(tmp_path), "SIAN_WEIGHTS", str(cache)]
    words += ["sian weights get inception_fid", "sian weights import"]
    assert all(word in str(caught.value) for word in words)


def test_a_folder_that_does_not_exist_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="nowhere: found no folder"):
        weights.find_weights("vgg19", tmp_path / "nowhere")


def test_unknown_file_is_refused_unless_trusted(tmp_path):
    path = place(tmp_path)
    with pytest.raises(BadInput, match="--trust-weights"):
        weights.find_weights("vgg19", tmp_path)
    assert weights.find_weights("vgg19", tmp_path, trust=True) == path


def test_a_hash_is_known_for_its_own_name_only(tmp_path, monkeypatch):
    path = place(tmp_path, "inception_fid")
    known(monkeypatch, "vgg19", sha256(path))
    with pytest.raises(BadInput):
        weights.find_weights("inception_fid", tmp_path)


@pytest.mark.parametrize(
    ("words", "scale"),
    [("NORMALISED (Gatys et al. 2016)", "normalised"), ("torchvision", "torchvision")],
)
def test_activation_scale_is_read_from_the_metadata(tmp_path, words, scale):
    assert weights.activation_scale(place(tmp_path, metadata={"activation_scale": words})) == scale


def test_activation_scale_must_be_there_and_the_file_a_safetensors(tmp_path):
    with pytest.raises(BadInput, match="found none"):
        weights.activation_scale(place(tmp_path))
    (tmp_path / "vgg19.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(BadInput, match="expected a safetensors file"):
        weights.activation_scale(tmp_path / "vgg19.safetensors")


def test_vgg19_is_renamed_and_cut_after_conv5_1(tmp_path):
    state = torchvision_vgg19()
    state["features.28.bias"] = torch.arange(512.0)  # the thirteenth convolution, conv5_1
    state["features.0.bias"] = torch.arange(64.0)
    name, tensors = originals.convert(state, tmp_path)
    assert name == "vgg19"
    convolutions = [f"conv{stage}_{i}" for stage, n in enumerate([2, 2, 4, 4, 1], 1) for i in range(1, n + 1)]
    assert set(tensors) == {f"{name}.{kind}" for name in convolutions for kind in ("weight", "bias")}
    assert tensors["conv4_4.weight"].shape == (512, 512, 3, 3)
    assert torch.equal(tensors["conv5_1.bias"], torch.arange(512.0))
    assert torch.equal(tensors["conv1_1.bias"], torch.arange(64.0))


def test_inception_loses_its_classifier_and_counters(tmp_path):
    name, tensors = originals.convert(inception(), tmp_path)
    assert name == "inception_fid"
    assert len(tensors) == 470
    assert not any("fc." in key or "num_batches" in key for key in tensors)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (lambda: torchvision_vgg19(batch_norm=True), "without batch norm"),
        (
            lambda: inception(extra={"AuxLogits.conv0.conv.weight": torch.zeros(1)}),
            "torchvision's own Inception",
        ),
        (lambda: {"layer1.0.conv1.weight": torch.zeros(1)}, "layer1.0.conv1.weight"),
        (dict, "found tensors such as none"),
    ],
)
def test_other_networks_are_refused(tmp_path, state, sentence):
    with pytest.raises(BadInput, match=sentence):
        originals.convert(state(), tmp_path / "x.pth")


def small_vgg19(monkeypatch):
    """VGG19 with one channel a stage: the real file would be 52 MB."""
    monkeypatch.setattr(originals, "VGG19_STAGES", ((1, 2), (1, 2), (1, 4), (1, 4), (1, 1)))
    places = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]
    state = {f"features.{i}.weight": torch.full((1, 3 if i == 0 else 1, 3, 3), float(i)) for i in places}
    return state | {f"features.{i}.bias": torch.full((1,), -float(i)) for i in places}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_an_imported_original_is_found_and_says_its_scale(tmp_path, cache, monkeypatch, zipped):
    file = tmp_path / "vgg19-dcbb9e9d.pth"
    torch.save(small_vgg19(monkeypatch), file, _use_new_zipfile_serialization=zipped)
    prefix = originals.Original("https://example.org/vgg19.pth", sha256(file)[:8], 1)
    monkeypatch.setitem(originals.ORIGINALS, "vgg19", prefix)
    path = originals.import_weights(file)
    assert path == cache / "vgg19.safetensors" == weights.find_weights("vgg19")
    assert weights.activation_scale(path) == "torchvision"
    assert weights.read_metadata(path)["source_sha256"] == sha256(file)
    assert load_file(path)["conv2_1.bias"].tolist() == [-5.0]
    with safe_open(path, framework="numpy") as tensors:
        assert tensors.get_tensor("conv1_1.weight").shape == (1, 3, 3, 3)


def test_an_original_with_another_hash_needs_trust(tmp_path, cache, monkeypatch):
    file = tmp_path / "mine.pth"
    torch.save(small_vgg19(monkeypatch), file)
    with pytest.raises(BadInput, match="not the public original's"):
        originals.import_weights(file)
    assert not cache.exists()
    path = originals.import_weights(file, tmp_path / "there", trust=True)
    assert weights.find_weights("vgg19", tmp_path / "there") == path


def test_a_converted_file_is_copied(tmp_path, cache, monkeypatch):
    file = place(tmp_path)
    file = file.rename(tmp_path / "anything.safetensors")
    with pytest.raises(BadInput, match="--trust-weights"):
        originals.import_weights(file)
    known(monkeypatch, "vgg19", sha256(file))
    assert sha256(originals.import_weights(file)) == sha256(file)
    assert originals.import_weights(cache / "vgg19.safetensors") == cache / "vgg19.safetensors"


def test_a_broken_list_of_receipts_is_an_empty_one(cache):
    cache.mkdir()
    for text in ("{", "[1]", "\xff"):
        (cache / "receipts.json").write_bytes(text.encode("latin-1"))
        assert weights.receipts() == {}


class Attack:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Attack()),
        pickle.dumps({"features.0.weight": Attack()}),
        b"",
        b"not a pickle",
        b"PK\x03\x04" + bytes(40),
    ],
    ids=["code", "code in a dict", "empty", "text", "half a zip"],
)
def test_hostile_and_broken_originals_run_no_code(tmp_path, cache, capfd, content):
    file = tmp_path / "x.pth"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"x\.pth: expected torchvision's VGG19"):
        originals.import_weights(file, trust=True)
    assert "code ran" not in capfd.readouterr().out
    assert not cache.exists()


def test_a_zip_whose_parts_are_packed_is_not_unpacked(tmp_path):
    """A megabyte that would become a gigabyte; PyTorch stores parts as they are."""
    torch.save({"features.0.weight": torch.zeros(1 << 18)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as good, zipfile.ZipFile(tmp_path / "x.pth", "w") as bomb:
        for part in good.infolist():
            bomb.writestr(part.filename, good.read(part), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "x.pth").stat().st_size < 10_000
    with pytest.raises(BadInput, match="an archive whose parts are packed"):
        originals.import_weights(tmp_path / "x.pth", trust=True)


def test_a_tensor_that_claims_more_than_is_stored(tmp_path):
    torch.save({"features.0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"features\.0\.weight of \(1048576, 1048576\), which is not stored"):
        originals.import_weights(tmp_path / "x.pth", trust=True)


@pytest.mark.parametrize("saved", [torch.zeros(3), [1], {"state_dict": {"a": torch.zeros(1)}}])
def test_a_file_that_is_no_dictionary_of_tensors_is_refused(tmp_path, saved):
    torch.save(saved, tmp_path / "x.pth")
    with pytest.raises(BadInput, match="no dictionary of tensors"):
        originals.import_weights(tmp_path / "x.pth")


def test_download_verifies_converts_and_keeps_no_original(tmp_path, cache, monkeypatch):
    buffer = io.BytesIO()
    torch.save(small_vgg19(monkeypatch), buffer)
    content = buffer.getvalue()
    original = originals.Original("https://example.org/a/vgg19.pth", hashlib.sha256(content).hexdigest()[:8], 1)
    monkeypatch.setitem(originals.ORIGINALS, "vgg19", original)
    asked, reports = [], []

    def opener(url, timeout):
        asked.append((url, timeout > 0))
        return io.BytesIO(content)

    path = originals.download("vgg19", report=lambda *numbers: reports.append(numbers), opener=opener)
    assert asked == [("https://example.org/a/vgg19.pth", True)]
    assert reports == [(0, 1)]
    assert weights.find_weights("vgg19") == path
    assert sorted(file.name for file in cache.iterdir()) == ["receipts.json", "vgg19.safetensors"]


def test_a_download_of_something_else_is_refused_and_removed(cache, monkeypatch):
    buffer = io.BytesIO()
    torch.save(small_vgg19(monkeypatch), buffer)
    with pytest.raises(BadInput, match="not the public original's"):
        originals.download("vgg19", opener=lambda *_, **__: io.BytesIO(buffer.getvalue()))
    assert list(cache.iterdir()) == []


def test_what_cannot_be_reached_is_said_plainly(cache):
    def opener(url, timeout):
        raise urllib.error.URLError("no route to host")

    with pytest.raises(MissingResource, match=r"could not be downloaded .*no route to host.*sian weights import FILE"):
        originals.download("inception_fid", opener=opener)
    assert list(cache.iterdir()) == []


class Broken(io.BytesIO):
    """An answer whose connection breaks after some bytes; it says how many were to come."""

    def __init__(self, content, start, sent, status):
        super().__init__(content[start : start + sent])
        self.headers, self.status = {"Content-Length": str(len(content) - start)}, status


def served(content, ranges, sent):
    """An opener of a server that breaks off every `sent` bytes; what was asked for goes into the list it returns."""
    asked = []

    def opener(request, timeout):
        wanted = getattr(request, "headers", {}).get("Range", "bytes=0-")
        asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if ranges else 0
        return Broken(content, start, sent, 206 if start else 200)

    return opener, asked


def test_a_broken_download_is_taken_up_where_it_broke(tmp_path):
    content = bytes(range(256)) * 10
    opener, asked = served(content, ranges=True, sent=1000)
    done = []
    fetch("https://example.org/a", tmp_path / "a", opener, done.append)
    assert (tmp_path / "a").read_bytes() == content
    assert asked == ["bytes=0-", "bytes=1000-", "bytes=2000-"]
    assert done == [1000, 2000, 2560]


def test_a_server_that_always_begins_anew_is_given_up(tmp_path):
    opener, asked = served(bytes(100), ranges=False, sent=60)
    with pytest.raises(ConnectionError, match="ended after 60 of 100 bytes"):
        fetch("https://example.org/a", tmp_path / "a", opener)
    assert len(asked) == 6


def test_originals_are_fetched_over_https_and_named_after_their_hash():
    for original in originals.ORIGINALS.values():
        assert original.url.startswith("https://")
        assert original.sha256_prefix in original.url


def test_the_verb_lists_imports_and_refuses(tmp_path, cache, monkeypatch, capfd):
    file = place(tmp_path)
    assert cli.main(["weights", "import", str(file)]) == 3
    assert cli.main(["weights", "import", str(file), "--trust-weights"]) == 0
    assert capfd.readouterr().out.strip() == str(cache / "vgg19.safetensors")
    assert cli.main(["weights", "list", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)
    assert listed["vgg19"] == {
        "path": str(cache / "vgg19.safetensors"),
        "sha256": sha256(file),
        "known": True,
    }
    assert listed["inception_fid"] == {"path": None, "sha256": None, "known": False}
    assert cli.main(["weights", "list"]) == 0
    out = capfd.readouterr().out
    assert "known" in out
    assert "inception_fid: not found" in out
    assert cli.main(["weights", "get", "vgg16"]) == 3
    assert "did you mean 'vgg19'" in capfd.readouterr().err


@pytest.mark.shared
def test_the_shared_files_are_known_and_of_the_normalised_scale(shared):
    for name in weights.NAMES:
        assert weights.find_weights(name, shared / "weights").parent == shared / "weights"
    assert weights.activation_scale(shared / "weights" / "vgg19.safetensors") == "normalised"


@pytest.mark.shared
def test_conversion_gives_the_names_and_shapes_of_the_shared_files(shared, tmp_path):
    _, tensors = originals.convert(torchvision_vgg19(), tmp_path)
    with safe_open(shared / "weights" / "vgg19.safetensors", framework="numpy") as file:
        expected = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    assert {key: list(value.shape) for key, value in tensors.items()} == expected
    with safe_open(shared / "weights" / "inception_fid.safetensors", framework="numpy") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    state = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
    assert set(originals.convert(state, tmp_path)[1]) == set(shapes)

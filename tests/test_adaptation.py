"""`sian adapt`, at toy size: what is compared, what is kept, and what is written."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sian import segmentation
from sian.adaptation import adapt
from sian.adaptation.adapting import _judged, _silent, check, verdict
from sian.adaptation.averaging import averaged
from sian.adaptation.going_on import begin, fingerprint
from sian.adaptation.painted import check_painter, painted_tiles
from sian.adaptation.result import Judged
from sian.adaptation.slide_cutting import cut_slides
from sian.adaptation.steadiness import Seen, look
from sian.cli.main import main
from sian.cli.verb_adapt import _asked
from sian.data import DatasetInfo, DatasetWriter, open_dataset
from sian.errors import BadInput, Interrupted
from sian.files import write_png
from sian.masks import nucleus_ids, read_mask
from sian.nuclei import scatter
from sian.segmentation.segmenter import load
from sian.segmentation.segmenter_export import training_passes
from sian.segmentation.self_training import self_taught
from sian.segmentation.training_windows import TrainingTiles
from sian.training.device import Hardware

CPU = Hardware("cpu")


@pytest.fixture(autouse=True)
def few_paintings(monkeypatch):
    monkeypatch.setattr("sian.adaptation.adapting.PAINTED", 2)


def stained(mask, seed=0):
    """Dark nuclei on a pink ground, slightly noisy: any segmenter's friend."""
    random = np.random.default_rng(seed)
    image = np.where(mask[..., None] > 0, (90, 50, 130), (230, 180, 210)) + random.normal(0, 4, (*mask.shape, 3))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def tissue():
    masks = [scatter(256, 256, seed=seed) for seed in range(2)]
    return [stained(mask, seed) for seed, mask in enumerate(masks)], masks


@pytest.fixture
def pictures(tissue, tmp_path):
    (tmp_path / "slides").mkdir()
    for number, image in enumerate(tissue[0]):
        write_png(tmp_path / "slides" / f"{number}.png", image)
    return tmp_path / "slides"


class FakePainter:
    """Remembers what it was asked for; a style is the number of its picture."""

    def __init__(self):
        self.asked, self.tissue, self.encoded, self.info = [], [], 0, SimpleNamespace(licence="CC0", name="fake")
        self.has_style = True

    def encode(self, _):
        self.encoded += 1
        return self.encoded - 1

    def synthesize(self, mask, style, seed, noise, tissue=None):
        assert noise == 1
        self.asked.append((mask, style))
        self.tissue.append(tissue)
        return stained(mask, seed)


def seen(steadiness=0.7, nuclei=100, area=250.0):
    return Seen(steadiness, 0.5, nuclei, area)


@pytest.mark.parametrize(
    ("now", "kept", "why"),
    [
        (seen(0.8), True, "learned from the slides"),
        (seen(0.69), True, "learned"),
        (seen(0.6), False, "steadiness went from 0.700 to 0.600"),
        (seen(0.8, nuclei=210), False, "from 100 to 210"),
        (seen(0.8, nuclei=0, area=float("nan")), False, "from 100 to 0"),
        (seen(0.8, area=400.0), False, "from 250 to 400 px"),
        (seen(float("nan")), False, "nan"),
    ],
)
def test_what_is_kept_without_labels(now, kept, why):
    better, sentence = verdict(Judged(seen(), None), Judged(now, None))
    assert better is kept
    assert why in sentence


def test_labels_decide_where_there_are_some():
    assert verdict(Judged(seen(), 0.50), Judged(seen(0.1), 0.51)) == (
        True,
        "kept the segmenter that learned from the slides: PQ on the labelled tiles went from 0.500 to 0.510",
    )
    assert not verdict(Judged(seen(), 0.51), Judged(seen(0.9), 0.50))[0]


def test_a_segmenter_that_says_the_same_is_wholly_steady(tissue):
    images, masks = tissue

    class Same:
        """Finds what is dark, in any colour and direction."""

        def predict(self, image):
            from scipy import ndimage

            return ndimage.label(ndimage.gaussian_filter(image.mean(-1), 1) < 150)[0].astype(np.int32)

    class Fickle(Same):
        def predict(self, image):
            found = super().predict(image)
            found[:, : int(image[0, 0, 0])] = 0  # another part is not looked at in every colour
            return found

    steady = look(Same(), images, masks, 0)
    assert steady.steadiness > 0.9
    assert steady.accord > 0.6  # nuclei that touch are one to it
    assert steady.nuclei > 20
    assert look(Fickle(), images, masks, 0).steadiness < 0.5


def test_a_painting_is_of_a_found_mask_in_the_style_of_another_window(tissue):
    images, masks = tissue
    painter = FakePainter()
    tiles = painted_tiles(painter, images, masks, 6, 2, 0)
    assert all(tile.synthetic for tile in tiles)
    for tile, (mask, style) in zip(tiles, painter.asked, strict=True):
        np.testing.assert_array_equal(tile.classes > 0, mask > 0)
        which = next(number for number, one in enumerate(masks) if np.array_equal(one, mask))
        assert style != which
    again = FakePainter()
    painted_tiles(again, images, masks, 6, 2, 0)
    assert [style for _, style in again.asked] == [style for _, style in painter.asked]
    assert {style for _, style in painter.asked} == {0, 1}
    assert painter.tissue == [None] * 6
    painted_tiles(kept := FakePainter(), images, masks, 6, 2, 0, keep_tissue=True)
    for (mask, _), between in zip(kept.asked, kept.tissue, strict=True):
        assert between is images[next(number for number, one in enumerate(masks) if np.array_equal(one, mask))]


def test_an_adaptation_writes_a_model_a_report_and_outlines(pictures, tmp_path, capsys, monkeypatch):
    out, kept = tmp_path / "out", []

    def painted(*given, keep_tissue):
        kept.append(keep_tissue)
        return painted_tiles(*given, keep_tissue=keep_tissue)

    monkeypatch.setattr("sian.adaptation.adapting.painted_tiles", painted)
    write_png(pictures / "2.png", np.full((300, 300, 3), 250, np.uint8))  # glass
    assert main(["adapt", str(pictures), "-o", str(out), "--images", "8", "--device", "cpu", "--json"]) == 0
    assert kept == [True]  # the bundled painter takes tissue maps
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["left_out"]) == [str(pictures / "2.png")]
    assert sorted(path.name for path in (out / "masks").glob("*.png")) == ["0.png", "1.png"]
    report = json.loads((out / "report.json").read_text())
    assert report["why"] == printed["why"]
    assert report["windows"] == 2
    assert report["images"] == 12  # three runs of a batch each
    model = load(out / "segmenter.safetensors")
    assert model.facts.get("adapted_from", load().sha256) == load().sha256
    assert model.mpp == load().mpp
    page = (out / "report.html").read_text()
    assert "Before and after" in page
    assert "1 left out" in page
    assert page.count("data:image/jpeg") == 4
    outlines = json.loads((out / "masks" / "1.geojson").read_text())
    assert len(outlines["features"]) == printed["written"][1]["nuclei"] > 0
    assert main(["adapt", str(pictures), "-o", str(out), "--images", "8"]) == 3
    assert "holds a finished adaptation already" in capsys.readouterr().err


def test_labelled_tiles_are_looked_at_and_a_start_that_is_better_is_kept(pictures, tissue, tmp_path, monkeypatch):
    writer = DatasetWriter(tmp_path / "labelled", DatasetInfo(name="mine"))
    for number, (image, mask) in enumerate(zip(*tissue, strict=True)):
        writer.add(f"tile-{number}", image, mask)
    spoilt = segmentation.untrained("segnet", 16)
    monkeypatch.setattr("sian.adaptation.adapting.learn_often", lambda *_, **__: spoilt)
    spoilt.facts["images"] = 8
    result = adapt(
        [pictures / "0.png"],
        tmp_path / "out",
        labelled=open_dataset(tmp_path / "labelled"),
        images=8,
        hardware=CPU,
    )
    assert not result.learned
    assert result.start.pq > 0.3 > result.taught.pq
    page = result.report.read_text()
    assert "PQ on the labelled tiles went" in page
    assert "after learning, which was not kept" in page
    kept, start = load(result.model), load()
    np.testing.assert_array_equal(kept.predict(tissue[0][0]), start.predict(tissue[0][0]))


def test_what_cannot_work_is_said_first(tmp_path):
    with pytest.raises(BadInput, match="found none"):
        check([], tmp_path / "new", 20)
    with pytest.raises(BadInput, match="expected a number above 0"):
        check([tmp_path], tmp_path / "new", 0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("")
    with pytest.raises(BadInput, match="holds other files"):
        check([tmp_path], tmp_path / "other", 20)
    write_png(tmp_path / "white.png", np.full((300, 300, 3), 250, np.uint8))
    with pytest.raises(BadInput, match="no tissue"):
        adapt([tmp_path / "white.png"], tmp_path / "new", images=8, hardware=CPU)
    write_png(tmp_path / "pink.png", np.full((300, 300, 3), (230, 180, 210), np.uint8))
    with pytest.raises(BadInput, match="found 0 nuclei in 1 windows"):
        adapt([tmp_path / "pink.png"], tmp_path / "new", images=8, hardware=CPU)


def test_a_slide_that_cannot_be_used_is_left_out_and_said(pictures):
    write_png(pictures / "white.png", np.full((300, 300, 3), 250, np.uint8))
    (pictures / "empty.png").write_bytes(b"")
    said, counts = [], []
    slides = sorted(pictures.iterdir())
    cut = cut_slides(slides, 0.25, lambda *numbers: counts.append(numbers), said.append)
    assert len(cut.windows) == 2
    assert [path.name for path in cut.left_out] == ["empty.png", "white.png"]
    assert counts[-1] == (4, 4)
    assert "2 of 4 slides were left out" in said[-1]
    with pytest.raises(BadInput, match="none of the 2 slides can be used"):
        cut_slides(slides[2:], 0.25, lambda *_: None, said.append)


@pytest.mark.parametrize("part", ["affordable", "learn_often"])
def test_a_stopped_adaptation_goes_on_with_the_same_things_only(part, pictures, tmp_path, monkeypatch):
    slides, out = sorted(pictures.iterdir()), tmp_path / "out"

    def stopped(_start, _tiles, run, *_):
        folder = run / "0" if part == "learn_often" else run.with_name("run.timing")
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text("")
        raise Interrupted("go on with --resume")

    with monkeypatch.context() as patch:
        patch.setattr(f"sian.adaptation.adapting.{part}", stopped)
        with pytest.raises(Interrupted, match="go on with the same command"):
            adapt(slides, out, images=None if part == "affordable" else 4, hardware=CPU)
    check(slides, out, 20)
    made_of = json.loads((out / "begun.json").read_text())
    begin(out, made_of, learning=True)
    if part == "learn_often":
        with pytest.raises(BadInput, match="holds a stopped adaptation with other slides and seed"):
            adapt(slides[:1], out, images=4, seed=1, hardware=CPU)


def test_what_was_begun_may_be_another_until_something_was_learned(tmp_path):
    begin(tmp_path, {"slides": "a", "seed": 0}, learning=False)
    begin(tmp_path, {"slides": "b", "seed": 0}, learning=False)
    begin(tmp_path, {"slides": "b", "seed": 0}, learning=True)
    with pytest.raises(BadInput, match="with other seed; give what it was begun with"):
        begin(tmp_path, {"slides": "b", "seed": 1}, learning=True)
    one, other = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)
    assert fingerprint([one, other]) != fingerprint([other, one])
    assert fingerprint([one]) == fingerprint([one.copy()])


def test_a_painter_without_styles_is_refused_before_the_work(tissue):
    painter = FakePainter()
    check_painter(painter, tissue[0][0])
    painter.has_style = False
    with pytest.raises(BadInput, match="fake: has no style"):
        check_painter(painter, tissue[0][0])


def test_labels_without_a_nucleus_decide_nothing(tissue, tmp_path):
    writer = DatasetWriter(tmp_path / "blank", DatasetInfo(name="blank"))
    writer.add("tile", np.full((64, 64, 3), 230, np.uint8), np.zeros((64, 64), np.int32))
    blank = open_dataset(tmp_path / "blank")
    start = load()
    judged = _judged(start, tissue[0][:1], tissue[1][:1], blank, 0, "judging", _silent)
    assert judged.pq is None  # and not nan, which JSON cannot say


def test_numbers_that_mean_nothing_are_refused(tmp_path):
    for wrong, sentence in (({"images": 0}, "found 0 windows"), ({"seed": -1}, "found the seed -1")):
        with pytest.raises(BadInput, match=sentence):
            check([tmp_path], tmp_path / "new", 20, **wrong)
    DatasetWriter(tmp_path / "none", DatasetInfo(name="none"))
    with pytest.raises(BadInput, match="holds no annotated tiles"):
        check([tmp_path], tmp_path / "new", 20, labelled=open_dataset(tmp_path / "none"))
    DatasetWriter(tmp_path / "lost", DatasetInfo(name="lost")).add(
        "tile", np.full((64, 64, 3), 230, np.uint8), np.zeros((64, 64), np.int32)
    )
    for mask in (tmp_path / "lost" / "masks").iterdir():
        mask.unlink()
    with pytest.raises(BadInput, match="expected a mask"):
        check([tmp_path], tmp_path / "new", 20, labelled=open_dataset(tmp_path / "lost"))


def test_a_picture_of_another_pixel_size_is_rescaled_for_its_mask(tissue, tmp_path):
    for name, mpp in (("near", 0.26), ("far", 0.5)):
        write_png(tmp_path / f"{name}.png", tissue[0][0], mpp=mpp)
    write_png(tmp_path / "silent.png", tissue[0][0])
    asked = [_asked(tmp_path / f"{name}.png", 0.25, None).mpp for name in ("near", "far", "silent")]
    assert asked == [None, "file", None]


def test_the_mean_of_several_segmenters(tissue):
    images, masks = tissue
    tiles = [self_taught(str(n), image, mask, 2, "") for n, (image, mask) in enumerate(zip(images, masks, strict=True))]
    one, other = segmentation.untrained("segnet", 2, seed=1), segmentation.untrained("segnet", 2, seed=2)
    one.recipe = one.recipe.model_copy(update={"data": one.recipe.data.model_copy(update={"size": 64, "batch": 2})})
    known = TrainingTiles(tiles, one.recipe)
    mean = averaged([one, other], known)
    states = [segmenter.network.state_dict() for segmenter in (one, other, mean)]
    for name, tensor in states[2].items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2)
    # Batch norm is that of the mean's own features: of the first convolution, on the same windows, by hand.
    first, norm = first_layers(mean.network)
    seen = []
    handle = first.register_forward_hook(lambda _, __, output: seen.append(output.mean((0, 2, 3))))
    with torch.inference_mode():
        for run in training_passes(mean.network, known, one.recipe):
            run()
    handle.remove()
    torch.testing.assert_close(norm.running_mean, torch.stack(seen).mean(0), atol=1e-4, rtol=1e-3)
    assert (mean.network.training, mean.sha256) == (False, "")


def first_layers(network):
    """The first convolution, and the batch norm after it."""
    parts = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.BatchNorm2d)]
    return parts[0], parts[1]


def test_a_given_pixel_size_counts_before_what_a_file_says(tmp_path):
    write_png(tmp_path / "far.png", np.zeros((300, 300, 3), np.uint8), mpp=0.5)
    assert [_asked(tmp_path / "far.png", 0.25, given).mpp for given in (None, 0.26, 1.0)] == ["file", None, "1"]


def test_a_given_pixel_size_is_that_of_windows_and_masks(tmp_path, capsys):
    """20x: windows are twice as large as what they show, and masks have the picture's own size."""
    mask = scatter(512, 512, seed=4)
    write_png(tmp_path / "half.png", np.ascontiguousarray(stained(mask)[::2, ::2]))
    (window,) = cut_slides([tmp_path / "half.png"], 0.25, lambda *_: None, print, given=0.5).windows
    assert window.shape == (512, 512, 3)
    out = tmp_path / "out"
    given = ["adapt", str(tmp_path / "half.png"), "-o", str(out), "--images", "4", "--mpp", "0.5", "--device", "cpu"]
    assert main(given) == 0
    found = read_mask(out / "masks" / "half.png")
    assert found.shape == (256, 256)
    assert 0.5 < len(nucleus_ids(found)) / len(nucleus_ids(mask)) < 2
    capsys.readouterr()
    assert main([*given[:2], "-o", str(tmp_path / "new"), "--mpp", "0"]) == 3
    assert "mpp" in capsys.readouterr().err

"""Invented masks: measured against scikit-image, against what was fitted, and by their properties."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from sian.cli.main import main
from sian.data import DatasetInfo, Item, open_dataset
from sian.errors import BadInput
from sian.files import sha256_array, sha256_pixels, write_png
from sian.masks import read_mask
from sian.nuclei import RealNuclei, compare, default_fit, fit, generate, glands, measure, read_fit, write_fit
from sian.nuclei.fields import smooth_field
from sian.nuclei.fit import correlation_matrix
from sian.nuclei.fitting import fit_tissue
from sian.nuclei.statistics import contacts, window_densities

ORGANS = ["bladder", "breast", "colon", "kidney", "liver", "prostate", "stomach"]


@pytest.fixture(scope="module")
def prostate():
    """A mask with some 400 nuclei, many of them touching."""
    return generate(900, 900, one_tissue("prostate", 1), 5)


def one_tissue(organ, which):
    known = default_fit().organ(organ)
    return known.model_copy(update={"tissues": (known.tissues[which],)})


def assert_instance_mask(mask, height, width):
    assert mask.shape == (height, width)
    assert mask.dtype == np.int32
    ids = np.unique(mask[mask > 0])
    assert ids.tolist() == list(range(1, len(ids) + 1))
    pieces = label(mask, connectivity=1)
    assert pieces.max() == len(ids)  # as many pieces as nuclei: each is one


# Statistics


def test_statistics_equal_those_of_scikit_image(prostate):
    nuclei, regions = measure(prostate), regionprops(prostate)
    assert nuclei.ids.tolist() == [region.label for region in regions]
    assert nuclei.area.tolist() == [region.area for region in regions]
    centres = np.array([region.centroid for region in regions])
    np.testing.assert_allclose(np.stack([nuclei.y, nuclei.x], 1), centres)
    large = (nuclei.area > 60) & nuclei.whole
    eccentricity = np.array([region.eccentricity for region in regions])
    np.testing.assert_allclose(nuclei.eccentricity[large], eccentricity[large], atol=0.01)
    solidity = np.array([region.solidity for region in regions])
    assert np.abs(nuclei.solidity - solidity)[large].mean() < 0.005
    assert np.abs(nuclei.solidity - solidity)[large].max() < 0.05
    # scikit-image measures the angle from +y towards +x
    theirs = np.pi / 2 - np.array([region.orientation for region in regions])
    elongated = large & (nuclei.aspect > 1.2)
    assert np.cos(2 * (nuclei.angle - theirs))[elongated].min() > 0.999


def test_neighbours_contacts_and_clusters_by_hand():
    mask = np.zeros((20, 30), np.int32)
    mask[2:6, 2:6], mask[6:9, 6:9], mask[2:6, 20:24], mask[15:20, 10:12] = 9, 4, 7, 2  # 9 and 4 meet at a corner
    nuclei = measure(mask)
    assert nuclei.ids.tolist() == [2, 4, 7, 9]
    assert nuclei.touching.tolist() == [False, True, False, True]
    assert sorted(nuclei.cluster_sizes.tolist()) == [1, 1, 2]
    assert nuclei.whole.tolist() == [False, True, True, True]
    assert contacts(mask).tolist() == [[4, 9]]
    assert nuclei.neighbour[3] == pytest.approx(np.hypot(7 - 3.5, 7 - 3.5))
    assert nuclei.density == pytest.approx(4e6 / 600)
    assert nuclei.covered == pytest.approx((16 + 9 + 16 + 10) / 600)


def test_an_ellipse_is_regular_and_a_cross_is_not():
    y, x = np.mgrid[-60:61, -60:61]
    ellipse = measure(((x / 50) ** 2 + (y / 25) ** 2 <= 1).astype(np.int32))
    assert ellipse.aspect[0] == pytest.approx(2, abs=0.01)
    assert ellipse.irregularity[0] < 0.01
    cross = measure(((abs(x) < 8) & (abs(y) < 40) | (abs(y) < 8) & (abs(x) < 40)).astype(np.int32))
    assert cross.irregularity[0] > 0.1
    assert cross.solidity[0] < 0.6


def test_empty_masks_and_lone_nuclei_have_statistics():
    empty = measure(np.zeros((8, 8), np.int32))
    assert (len(empty), empty.density, empty.covered, len(empty.cluster_sizes)) == (0, 0, 0, 0)
    lone = np.zeros((8, 8), np.int32)
    lone[3, 3] = 1
    assert measure(lone).neighbour.tolist() == [np.inf]
    assert measure(lone).solidity.tolist() == [1]


def test_window_densities_count_centres():
    mask = np.zeros((60, 90), np.int32)
    mask[5:8, 5:8], mask[28:40, 40:44] = 1, 2  # the second's centre lies in the lower row of windows
    assert window_densities(mask, 30).tolist() == pytest.approx([1e6 / 900, 0, 0, 0, 1e6 / 900, 0])


# Fields, fit


def test_fields_are_standard_normal_and_alike_nearby():
    field = smooth_field(np.random.default_rng(0), 500, 500, 80.0)
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.08)
    apart = (field[:, 10:] * field[:, :-10]).mean()  # 80 px
    assert apart == pytest.approx(np.exp(-1), abs=0.08)


def test_fits_survive_a_file_and_bad_files_are_refused(tmp_path):
    path = tmp_path / "fit.json"
    write_fit(path, default_fit())
    assert read_fit(path) == default_fit()
    content = json.loads(path.read_text())
    for change, found in [
        ({"format": "sian.nuclei/9"}, "sian.nuclei/9"),
        ({"organs": {}}, "organs"),
        ({"surprise": 1}, "surprise"),
    ]:
        path.write_text(json.dumps(content | change))
        with pytest.raises(BadInput, match=found):
            read_fit(path)
    content["organs"]["kidney"]["tissues"][0]["area"][3] = 1e9
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=r"kidney\.tissues\.0\.area"):
        read_fit(path)
    path.write_text("[" * 100_000)
    with pytest.raises(BadInput, match="JSON"):
        read_fit(path)
    with pytest.raises(BadInput, match="no such file"):
        read_fit(tmp_path / "none.json")


def test_the_bundled_fit_knows_seven_organs_their_source_and_licence():
    known = default_fit()
    assert sorted(known.organs) == ORGANS
    assert known.mpp == 0.25
    assert "MoNuSeg" in known.source
    assert known.licence == "CC BY-NC-SA 4.0"
    assert sum(len(organ.tissues) for organ in known.organs.values()) == 30


def test_fitting_finds_again_what_masks_were_made_with():
    organ = one_tissue("prostate", 4)
    tissue = organ.tissues[0]
    again = fit_tissue(generate(1000, 1000, organ, 11))
    assert again.density == pytest.approx(tissue.density, rel=0.25)
    assert again.attached == pytest.approx(tissue.attached, abs=0.1)
    for name, tolerance in [("area", 0.2), ("aspect", 0.1)]:
        middle, made = np.array(getattr(tissue, name))[4:13], np.array(getattr(again, name))[4:13]
        np.testing.assert_allclose(made, middle, rtol=tolerance)
    assert np.linalg.eigvalsh(correlation_matrix(again.correlations)).min() > 0


def test_masks_with_few_nuclei_teach_nothing():
    few = np.zeros((50, 50), np.int32)
    few[10:20, 10:20] = 1
    with pytest.raises(BadInput, match="20 whole nuclei"):
        fit({"skin": [few]})
    with pytest.raises(BadInput, match="20 whole nuclei"):
        RealNuclei([few])


# Generation


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 220),
    width=st.integers(1, 220),
    organ=st.sampled_from(ORGANS),
    seed=st.integers(0, 2**40),
    lumina=st.booleans(),
)
def test_every_mask_is_an_instance_mask(height, width, organ, seed, lumina):
    density = glands(height, width, seed) if lumina else None
    assert_instance_mask(generate(height, width, organ, seed, density_map=density), height, width)


def test_same_arguments_same_mask_and_other_seed_another():
    assert np.array_equal(generate(128, 128, "liver", 7), generate(128, 128, "liver", 7))
    assert not np.array_equal(generate(128, 128, "liver", 7), generate(128, 128, "liver", 8))


@pytest.mark.parametrize(("organ", "which"), [("prostate", 1), ("kidney", 4), ("colon", 0)])
def test_invented_nuclei_follow_their_tissue(organ, which):
    chosen = one_tissue(organ, which)
    tissue = chosen.tissues[0]
    several = [measure(generate(500, 500, chosen, seed)) for seed in range(4)]
    whole = {
        name: np.concatenate([getattr(nuclei, name)[nuclei.whole] for nuclei in several])
        for name in ("area", "aspect", "irregularity")
    }
    quantiles = [0.1, 0.5, 0.9]
    for name, tolerance in [("area", 0.2), ("aspect", 0.1), ("irregularity", 0.35)]:
        fitted = np.array(getattr(tissue, name))[[4, 8, 12]]
        np.testing.assert_allclose(np.quantile(whole[name], quantiles), fitted, rtol=tolerance, atol=0.01)
    attached = 1 - sum(len(nuclei.cluster_sizes) for nuclei in several) / sum(map(len, several))
    assert attached == pytest.approx(tissue.attached, abs=0.08)
    assert np.mean([nuclei.density for nuclei in several]) == pytest.approx(tissue.density, rel=0.3)


def test_directions_agree_nearby_in_colon_more_than_in_kidney():
    def agreement(organ):
        nuclei = measure(generate(700, 700, one_tissue(organ, 0), 2))
        near = np.hypot(nuclei.y[:, None] - nuclei.y, nuclei.x[:, None] - nuclei.x) < 50
        near &= ~np.eye(len(nuclei), dtype=bool)
        return np.cos(2 * (nuclei.angle[:, None] - nuclei.angle))[near].mean()

    assert agreement("colon") > agreement("kidney") + 0.15


def test_no_nucleus_has_its_centre_where_the_density_map_is_zero():
    density = np.ones((300, 300), np.float32)
    density[:, 144:] = 0
    mask = generate(300, 300, "stomach", 1, density_map=density)
    nuclei = measure(mask)
    assert len(nuclei) > 30
    assert nuclei.x.max() < 150  # pixels of the outline may reach over
    assert generate(100, 100, "stomach", 1, density_map=np.zeros((100, 100))).max() == 0


def test_glands_have_empty_lumina_and_crowded_rims():
    density = glands(512, 512, 4)
    assert set(np.unique(density)) == {0, np.float32(0.55), np.float32(2.2)}
    assert np.array_equal(density, glands(512, 512, 4))
    nuclei = measure(generate(512, 512, "prostate", 1, density_map=density))
    level = density[nuclei.y.astype(int), nuclei.x.astype(int)]
    per_pixel = {value: (level == value).sum() / (density == value).sum() for value in np.unique(density)}
    assert per_pixel[np.float32(2.2)] > 1.5 * per_pixel[np.float32(0.55)]
    assert per_pixel[0] < per_pixel[np.float32(0.55)] / 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"height": 0}, "0 x 64"),
        ({"height": 20_000}, "20000 x 64"),
        ({"organ": "kidny"}, "did you mean 'kidney'"),
        ({"density_map": np.ones((3, 3))}, r"\(3, 3\)"),
        ({"density_map": np.full((64, 64), -1.0)}, "negative"),
        ({"density_map": np.full((64, 64), 1e9)}, "1,000,000"),
    ],
)
def test_bad_arguments_are_refused(arguments, found):
    with pytest.raises(BadInput, match=found):
        generate(**({"height": 64, "width": 64, "organ": "kidney"} | arguments))
    with pytest.raises(BadInput, match="40 to 4,000"):
        glands(64, 64, spacing=3)


# Resampling, comparison


def test_undeformed_outlines_are_the_real_ones_turned():
    y, x = np.mgrid[:400, :400]
    real = np.zeros((400, 400), np.int32)
    for number in range(100):  # one shape: a box with a corner cut off
        dy, dx = y - 20 - 38 * (number // 10), x - 20 - 38 * (number % 10)
        real[(abs(dy) <= 5) & (abs(dx) <= 10) & (dy + dx < 11)] = number + 1
    source = measure(real)
    made = RealNuclei([real]).resample(300, 300, 3, deformation=0.0)
    assert_instance_mask(made, 300, 300)
    nuclei = measure(made)
    whole = nuclei.whole & ~nuclei.touching
    assert whole.sum() > 20
    for name, tolerance in [("area", 0.06), ("aspect", 0.06), ("solidity", 0.08)]:
        np.testing.assert_allclose(np.median(getattr(nuclei, name)[whole]), getattr(source, name)[0], rtol=tolerance)
    assert abs(np.exp(2j * nuclei.angle[whole]).mean()) > 0.5  # they point one way, as the real ones do
    with pytest.raises(BadInput, match="deformation"):
        RealNuclei([real]).resample(64, 64, deformation=2.0)


@settings(max_examples=10, deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200), seed=st.integers(0, 2**40), deformation=st.floats(0, 0.3))
def test_every_resampled_mask_is_an_instance_mask(prostate_outlines, height, width, seed, deformation):
    mask = prostate_outlines.resample(height, width, seed, deformation=deformation)
    assert_instance_mask(mask, height, width)
    assert np.array_equal(mask, prostate_outlines.resample(height, width, seed, deformation=deformation))


@pytest.fixture(scope="module")
def prostate_outlines(prostate):
    return RealNuclei([prostate])


def test_comparison_is_near_the_floor_for_alike_and_far_for_unlike(prostate):
    organ = one_tissue("prostate", 1)
    alike = compare("prostate", [prostate], [generate(225, 225, organ, seed) for seed in range(12)])
    unlike = compare("prostate", [prostate], [generate(225, 225, one_tissue("kidney", 4), s) for s in range(12)])
    assert alike.real_windows == 16
    assert alike.distance < 2 * alike.floor
    assert unlike.distance > 3 * alike.distance
    assert unlike.rows["area"].distance > 1
    same = compare("prostate", [prostate], [prostate[y : y + 225, x : x + 225] for y in range(0, 900, 225)
                                            for x in range(0, 900, 225)])  # fmt: skip
    assert same.distance == 0
    assert json.loads(json.dumps(same.summary()))["statistics"]["area"]["distance"] == 0
    with pytest.raises(BadInput, match="1 real windows"):
        compare("prostate", [prostate], [prostate])
    with pytest.raises(BadInput, match="0 sizes"):
        compare("prostate", [prostate], [])


@pytest.mark.shared
def test_bundled_organs_are_near_their_real_masks(shared):
    from PIL import Image

    folder = shared / "data" / "monuseg"
    labels = sorted((folder / "train").glob("*_labels.png"))
    kidneys = [path for path in labels if path.name.startswith("TCGA-HE-")]
    real = [np.array(Image.open(path)).astype(np.int32) for path in kidneys]
    known = default_fit().organ("kidney")
    like = known.model_copy(
        update={"tissues": tuple(t for t in known.tissues if any(p.name.startswith(t.name) for p in kidneys))}
    )
    found = compare("kidney", real, [generate(250, 250, like, seed) for seed in range(40)])
    assert found.distance < max(2 * found.floor, 0.25)


# The command line


def run(*arguments):
    return main(["masks", *map(str, arguments)])


def test_masks_come_from_the_command_line_and_do_not_depend_on_the_workers(tmp_path, capsys):
    assert run("--organ", "kidney", "--organ", "colon", "-n", 64, "--size", "64x48", "-o", tmp_path / "one",
               "--workers", 1, "--seed", 3, "--sheet") == 0  # fmt: skip
    assert "128 masks" in capsys.readouterr().out
    assert run("--organ", "colon", "--organ", "kidney", "-n", 64, "--size", "64x48", "-o", tmp_path / "two",
               "--workers", 2, "--seed", 3) == 0  # fmt: skip
    for path in sorted((tmp_path / "two").glob("*.png")):
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()
    assert len(list((tmp_path / "two").glob("*.png"))) == 128
    assert_instance_mask(read_mask(tmp_path / "one" / "kidney_00063.png"), 48, 64)
    manifest = json.loads((tmp_path / "one" / "masks.json").read_text())
    assert (manifest["format"], manifest["organs"], manifest["seed"]) == ("sian.masks/1", ["kidney", "colon"], 3)
    assert "CC BY-NC-SA" in manifest["licence_of_fitted"]


@pytest.fixture
def dataset(tmp_path, prostate):
    image = np.zeros((*prostate.shape, 3), np.uint8)
    return write_dataset(tmp_path / "data", image, prostate)


def write_dataset(folder, image, mask):
    from sian.masks import write_mask

    write_png(folder / "images" / "a.png", image)
    write_mask(folder / "masks" / "a.png", mask)
    item = Item(id="a", image="images/a.png", mask="masks/a.png", organ="skin", width=mask.shape[1],
                height=mask.shape[0], nuclei=int(mask.max()), sha256_image=sha256_pixels(image),
                sha256_mask=sha256_array(mask))  # fmt: skip
    (folder / "dataset.json").write_text(DatasetInfo(name="skin", mpp=0.5, licence="CC0").model_dump_json())
    (folder / "items.jsonl").write_text(item.model_dump_json() + "\n")
    assert len(open_dataset(folder)) == 1
    return folder


def test_masks_like_a_data_set_compared_and_resampled(tmp_path, dataset, capsys):
    out = tmp_path / "like"
    assert run("--like", dataset, "-n", 6, "--size", 225, "-o", out, "--compare", dataset, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["masks"]) == 6
    assert printed["comparison"]["skin"]["distance"] < 1
    assert (out / "comparison.png").is_file()
    assert read_fit(out / "fit.json").mpp == 0.5
    assert json.loads((out / "comparison.json").read_text())["organs"]["skin"]["real_windows"] == 16
    assert run("--fit", out / "fit.json", "-n", 6, "--size", 225, "-o", tmp_path / "again") == 0
    first = [(folder / "skin_00003.png").read_bytes() for folder in (out, tmp_path / "again")]
    assert first[0] == first[1]
    assert run("--like", dataset, "--resample", "--glands", "-n", 2, "--size", 128, "-o", tmp_path / "real") == 0
    assert_instance_mask(read_mask(tmp_path / "real" / "skin_00001.png"), 128, 128)


def test_a_picture_can_be_the_density_map(tmp_path):
    picture = np.full((128, 128, 3), 255, np.uint8)
    picture[:, 64:] = 0
    write_png(tmp_path / "map.png", picture)
    assert run("--organ", "stomach", "-n", 1, "--size", 128, "--map", tmp_path / "map.png", "-o", tmp_path / "o") == 0
    assert (read_mask(tmp_path / "o" / "stomach_00000.png")[:, 84:] == 0).all()


def test_a_density_map_of_another_size_is_told_which_size_would_fit(tmp_path, capsys):
    write_png(tmp_path / "map.png", np.full((64, 96, 3), 255, np.uint8))
    given = ("--organ", "stomach", "-n", 1, "--map", tmp_path / "map.png", "-o", tmp_path / "o")
    assert run(*given, "--size", "64x96") == 3
    error = capsys.readouterr().err
    assert "found 96 x 64 px (width x height), expected the masks' 64 x 96" in error
    assert run(*given, "--size", error.split("give --size ")[1].split()[0]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--organ", "kidny"], 3, "did you mean 'kidney'"),
        ([], 3, "--organ is missing"),
        (["--organ", "kidney", "--size", "big"], 3, "--size big"),
        (["--organ", "kidney", "--size", "1x2x3"], 3, "width x height, e.g. 768x512"),
        (["--organ", "kidney", "--size", "0"], 3, "0 x 0"),
        (["--organ", "kidney", "--size", "9" * 30], 3, "16,384"),
        (["--organ", "kidney", "--fit", "none.json"], 3, "none.json: no such file"),
        (["--like", "nowhere"], 3, "nowhere: no such folder"),
        (["--organ", "kidney", "--map", "none.png"], 3, "none.png"),
        (["--organ", "kidney", "--compare", "nowhere"], 3, "nowhere: no such folder"),
        (["--organ", "kidney", "-n", "0"], 2, "--count"),
        (["--organ", "kidney", "--resample"], 2, "--like"),
        (["--like", "a", "--fit", "b"], 2, "not both"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    assert run("-o", tmp_path / "out", *arguments) == code
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()

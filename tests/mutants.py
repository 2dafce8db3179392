"""Break one line at a time and see whether a test notices: `make mutants`.

Every break of `BREAKS` is made in a temporary copy of the sources, never in the checkout; the tests named with it run
there until the first failure. A break that no test notices survives. Libraries are loaded once, and each break is a
forked process: this needs Linux or macOS.

    python tests/mutants.py [WORD ...] [--seconds 300]     # only the breaks whose file or line holds one of the words
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MOST_SURVIVORS = 3
HEAVY = ("torch", "numpy", "scipy.linalg", "skimage.measure", "lightning_fabric", "pydantic", "tensorboardX", "pytest")

GOLDEN = "tests/training/test_golden_run.py"
LOSSES = "tests/training/test_losses.py"
SAMPLES = "tests/test_sampling.py"
AVERAGE = "tests/training/test_average.py"
PROTOCOL = "tests/evaluation/test_reconstruction.py"
DISTANCES = "tests/evaluation/test_distances.py"
SSIM = "tests/evaluation/test_ssim.py"
MASKS = "tests/evaluation/test_mask_metrics.py"
EVALUATE = "tests/evaluation/test_evaluate.py"
TILES = "tests/slides/test_supertiles.py"
PAINTED = "tests/slides/test_slide_painting.py"
FOUND = "tests/slides/test_slide_segmenting.py"
READ = "tests/slides/test_reading_slides.py"
STOPPING = "tests/training/test_stopping_early.py"
CANDIDATES = "tests/training/test_candidates.py"
QUARTERS = "tests/training/test_quarters.py"
SLIDES = "tests/production/test_slide_tiles.py"
TISSUE_MAP = "tests/test_tissue_map.py"
TISSUE = "tests/training/test_tissue_training.py"
STUDIO = "tests/studio/test_classes_and_tissue.py"
OWN_STYLE = "tests/studio/test_own_style.py"


class Break(NamedTuple):
    """One line of a file below ``src/sian``, what it becomes, and the tests that should notice."""

    file: str
    old: str
    new: str
    tests: str

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()} -> {self.new.strip()}"


BREAKS = [
    Break("layout/tissue_map.py", "turned[..., 4] *= -1", "pass", TISSUE_MAP),
    Break("layout/tissue_map.py", "if quarter_turns % 2:", "if not quarter_turns % 2:", TISSUE_MAP),
    Break("layout/tissue_of_image.py", "tissue = seen * (1 - empty)", "tissue = 0 * near + (1 - empty)", TISSUE_MAP),
    Break("layout/tissue_of_image.py", "NEAR_SEEN = CELL", "NEAR_SEEN = 0", TISSUE_MAP),
    Break("layout/tissue_of_image.py", "FAR_SEEN = 9 * CELL", "FAR_SEEN = 8 * CELL", TISSUE_MAP),
    Break("training/batch_making.py", "< recipe.data.tissue", "> recipe.data.tissue + 1", TISSUE),
    Break("training/losses.py", "wanted - wanted.flip(3)", "wanted - 0", TISSUE),
    Break("training/losses.py", "torch.where(told, local, whole)", "torch.where(told, whole, local)", TISSUE),
    Break(
        "synthesis/widening.py",
        "torch.cat([before, zeros, of_classes], 1)",
        "torch.cat([before, of_classes, zeros], 1)",
        TISSUE,
    ),
    Break(
        "networks/layouts.py",
        "maps[..., before : before + TISSUE_CHANNELS] =",
        "maps[..., -TISSUE_CHANNELS:] =",
        TISSUE,
    ),
    # The loop.
    Break("training/loop.py", "average.update(averaged, painter, factor)", "pass", GOLDEN),
    Break("training/loop.py", "lost = 1 - recipe.optimiser.last_rate", "lost = 1", GOLDEN),
    Break("training/loop.py", 'group["lr"] = rate * factor', 'group["lr"] = rate', GOLDEN),
    Break("training/loop.py", "factor = 1.0 if done < start else 1 -", "factor = 1.0 if done > start else 1 -", GOLDEN),
    Break(
        "training/loop.py",
        "rates = (recipe.optimiser.generator_rate, recipe.optimiser.discriminator_rate)",
        "rates = (recipe.optimiser.discriminator_rate, recipe.optimiser.generator_rate)",
        GOLDEN,
    ),
    Break(
        "training/loop.py",
        'seeds.derive(recipe.seed, "step", state.step, fabric.global_rank)',
        'seeds.derive(recipe.seed, "step", fabric.global_rank)',
        GOLDEN,
    ),
    Break("training/loop.py", "betas=recipe.optimiser.betas", "betas=(0.9, 0.999)", GOLDEN),
    Break("training/loop.py", "optimiser.step()", "pass", GOLDEN),
    Break("training/loop.py", "(loss, inputs=parameters, retain_graph", "(loss, retain_graph", GOLDEN),
    Break("training/loop.py", "optimiser.zero_grad(set_to_none=True)", "pass", GOLDEN),
    Break("training/losses.py", "F.l1_loss(f, r.detach())", "F.l1_loss(f, r)", LOSSES),
    Break("training/loop.py", "state.images / total", "state.images / stretch.end", GOLDEN),
    Break(
        "training/loop.py",
        "first = (state.images - stretch.begin) // batch_size",
        "first = state.images // batch_size",
        GOLDEN,
    ),
    Break("training/stretches.py", 'seeds.derive(recipe.seed, "stage", index)', "recipe.seed", GOLDEN),
    Break("networks/signed_images.py", "pixels.float() / 127.5 - 1", "pixels.float() / 255 - 1", GOLDEN),
    Break(
        "training/batch_making.py",
        "recipe.augment.translation, recipe.augment.cutout, cpu)",
        "recipe.augment.cutout, recipe.augment.translation, cpu)",
        GOLDEN,
    ),
    Break(
        "training/stretches.py",
        "images // stage.batch) * stage.batch",
        "images // stage.batch + 1) * stage.batch",
        GOLDEN,
    ),
    Break(
        "training/loop.py",
        "averaged.load_state_dict(average.folded(painter))\n    averaged.requires_grad_(False)",
        "averaged.requires_grad_(False)",
        GOLDEN,
    ),
    Break("training/loop.py", '"generator" not in stage.frozen', '"generator" in stage.frozen', STOPPING),
    Break("training/loop.py", '"encoder" not in stage.frozen', "True", STOPPING),
    Break(
        "training/stretches.py",
        "self.sampler.sample((batch * self.processes + self.rank) * self.local + place)",
        "self.sampler.sample((batch + self.rank) * self.local + place)",
        "tests/training/test_loop.py::test_all_processes_see_the_same_samples_together",
    ),
    # The step.
    Break(
        "training/step.py",
        "discriminator(pair(fake, batch.layout, bare, batch.augmentation), of_fake)",
        "discriminator(torch.cat([fake, select(batch.layout, bare.condition, bare.classes)], 1), of_fake)",
        GOLDEN,
    ),
    Break("training/step.py", "LECAM_DECAY = 0.99", "LECAM_DECAY = 0.9", LOSSES),
    Break("training/step.py", "averages.update(float(real_score), float(fake_score))", "pass", GOLDEN),
    Break("training/step.py", "averages.real, averages.fake)", "averages.fake, averages.real)", LOSSES),
    Break("training/step.py", "step % weights.perceptual_every == 0", "step % weights.perceptual_every == 1", GOLDEN),
    Break(
        "training/step.py",
        "weights.perceptual * weights.perceptual_every * distance",
        "weights.perceptual * distance",
        GOLDEN,
    ),
    Break(
        "training/step.py",
        "weights.feature_matching * losses.feature_matching(judgement.reals, judgement.fakes)",
        "losses.feature_matching(judgement.reals, judgement.fakes)",
        GOLDEN,
    ),
    Break("training/step.py", "weights.kld * losses.kld(", "losses.kld(", GOLDEN),
    Break(
        "training/step.py",
        "weights.regularisation * regularisation",
        "-weights.regularisation * regularisation",
        GOLDEN,
    ),
    Break(
        "training/step.py",
        "weights.lecam * torch.stack(per_scale).mean()",
        "weights.lecam * torch.stack(per_scale).sum()",
        GOLDEN,
    ),
    Break("training/step.py", "weights.segmenting * (told + caught)", "weights.segmenting * (told - caught)", LOSSES),
    # Networks and losses that the loop puts together.
    Break("networks/painter.py", "torch.exp(0.5 * log_variance)", "torch.exp(log_variance)", GOLDEN),
    Break("training/losses.py", "F.relu(1 + f[-1].float()).mean()", "F.relu(1 - f[-1].float()).mean()", LOSSES),
    Break("training/losses.py", "-outputs[-1].float().mean()", "outputs[-1].float().mean()", LOSSES),
    Break("training/losses.py", "zip(reals[:-1], fakes[:-1], strict=True)", "zip(reals, fakes, strict=True)", LOSSES),
    Break(
        "training/losses.py",
        "0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)",
        "mean.square() + log_variance.exp() - 1 - log_variance",
        LOSSES,
    ),
    Break("training/losses.py", "nats.sum(1).mean()", "nats.mean()", LOSSES),
    Break("training/losses.py", "F.relu(average_real - fake_score)", "F.relu(fake_score - average_real)", LOSSES),
    Break("training/average.py", "min(half_life, ramp * images)", "max(half_life, ramp * images)", AVERAGE),
    Break("training/average.py", "to(parameter.dtype), 1 - factor)", "to(parameter.dtype), factor)", AVERAGE),
    Break("training/average.py", "buffer.copy_(state[name])", "pass", AVERAGE),
    Break("training/augmentation.py", "[x, -x, y, -y]", "[y, -y, x, -x]", "tests/training/test_augmentation.py"),
    Break("training/stopping.py", ">= self.section.patience", "> self.section.patience", STOPPING),
    # Which candidate a fine-tuning ends in.
    Break("training/candidates.py", "one.influence < INFLUENCE_KEPT * start.influence", "False", CANDIDATES),
    Break("training/candidates.py", "one.kid - other.kid, 2)", "one.kid - other.kid, 1)", CANDIDATES),
    Break("training/candidates.py", "if kid > min(DEVIATIONS", "if kid > max(DEVIATIONS", CANDIDATES),
    Break("training/candidates.py", "self.chosen == len(self.looks) - 1", "True", CANDIDATES),
    Break("training/candidates.py", "choose(known) < len(kept)", "True", CANDIDATES),
    Break(
        "training/loop.py",
        "candidates.look(averaged, state.images)",
        "candidates.look(painter, state.images)",
        CANDIDATES,
    ),
    Break("training/step.py", "torch.where(self.ignored, self.image", "torch.where(~self.ignored, self.image", SLIDES),
    Break(
        "training/quarters.py",
        "(bottom, top) if lower else (top, bottom)",
        "(top, bottom) if lower else (bottom, top)",
        QUARTERS,
    ),
    Break(
        "synthesis/adjusting.py", "turn @ last.bias + shift", "last.bias + shift", "tests/synthesis/test_adjusting.py"
    ),
    # Which windows are seen.
    Break("data/sampling.py", "random.random() < self.sibling", "random.random() > self.sibling", SAMPLES),
    Break("data/sampling.py", 'turn = self._turn(index, "sibling turn")', "pass", SAMPLES),
    Break("data/sampling.py", "top, left = self._around(index, tile, y, x)", "top, left = y, x", SAMPLES),
    Break("data/sampling.py", "start + size // 2 - outer // 2", "start + size // 2", SAMPLES),
    Break("data/sampling.py", "shape[0] - size + 1", "shape[0] - size", SAMPLES),
    Break("data/sampling.py", 'seeds.generator(seed, "epoch", epoch)', 'seeds.generator(seed, "epoch", 0)', SAMPLES),
    Break("data/sampling.py", "bool(random.integers(2))", "False", SAMPLES),
    Break("data/sampling.py", ".turned(*turn)", "", SAMPLES),
    Break("data/loading.py", "_From(start_batch * batch_size)", "_From(start_batch)", SAMPLES),
    Break("seeds.py", "[str(int(seed)), purpose,", "[purpose,", "tests/test_seeds.py tests/test_sampling.py"),
    # The protocol.
    Break(
        "evaluation/reconstruction.py",
        "painter(layouts[index], sources[index],",
        "painter(layouts[index], sources[index - 1],",
        PROTOCOL,
    ),
    Break(
        "evaluation/reconstruction.py",
        "painter(layouts[index], sources[index],",
        "painter(layouts[index - 1], sources[index],",
        PROTOCOL,
    ),
    Break(
        "evaluation/reconstruction.py",
        'seeds.derive(seed, "reconstruction", index)',
        'seeds.derive(seed, "reconstruction")',
        PROTOCOL,
    ),
    Break("evaluation/reconstruction.py", "and other.name != window.name", "", PROTOCOL),
    Break("evaluation/reconstruction.py", "if other.organ == organ]", "]", PROTOCOL),
    Break("evaluation/reconstruction.py", "source.mask > 0))", "source.mask > 1))", PROTOCOL),
    Break("evaluation/scenes.py", "whole.window(y, x, size, size)", "whole.window(x, y, size, size)", PROTOCOL),
    Break("evaluation/scenes.py", "mask[y : y + size, x : x + size]", "mask[x : x + size, y : y + size]", PROTOCOL),
    Break(
        "evaluation/memorisation.py",
        "known).distances, quantile)",
        "known).distances, 1 - quantile)",
        "tests/evaluation/test_memorisation.py",
    ),
    Break("evaluation/memorisation.py", "QUANTILE = 0.01", "QUANTILE = 0.1", "tests/evaluation/test_memorisation.py"),
    # The metrics.
    Break("evaluation/measured.py", "[2.5, 97.5]", "[5, 95]", EVALUATE),
    Break("evaluation/measured.py", "- np.mean(draws)", "- np.median(draws)", EVALUATE),
    Break("evaluation/measured.py", ".choice(groups, len(groups))", ".permutation(groups)", EVALUATE),
    Break("evaluation/kid.py", "replace=False", "replace=True", DISTANCES),
    Break("evaluation/kid.py", "(m * (m - 1))", "(m * m)", DISTANCES),
    Break("evaluation/kid.py", "x.shape[1] + 1) ** 3", "x.shape[1] + 1) ** 2", DISTANCES),
    Break("evaluation/fid.py", "np.sqrt(len(features) - 1)", "np.sqrt(len(features))", DISTANCES),
    Break("evaluation/fid.py", "- 2 * shared", "- shared", DISTANCES),
    Break("evaluation/ssim.py", '"use_sample_covariance": False', '"use_sample_covariance": True', SSIM),
    Break("evaluation/ssim.py", '"sigma": 1.5', '"sigma": 1.4', SSIM),
    Break("evaluation/dice.py", "2 * shared / total", "shared / total", MASKS),
    Break("evaluation/overlaps.py", "self.ious > iou", "self.ious >= iou", MASKS),
    Break("evaluation/panoptic.py", "dq = tp / (tp + fp / 2 + fn / 2)", "dq = tp / (tp + fp + fn)", MASKS),
    Break(
        "evaluation/panoptic.py",
        "len(table.pred_ids) - tp, len(table.true_ids) - tp",
        "len(table.pred_ids), len(table.true_ids)",
        MASKS,
    ),
    Break("evaluation/aji.py", "+ table.pred_areas[~taken].sum()", "", MASKS),
    Break("evaluation/aji.py", "-table.ious, table.true_index", "table.ious, table.true_index", MASKS),
    Break(
        "data/formats/omezarr.py",
        "(item.mpp or 1.0) * 2**level",
        "(item.mpp or 1.0)",
        "tests/formats/test_by_libraries.py",
    ),
    # Slides.
    Break("synthesis/supertiles.py", "noise.origin[1] + tile.cut.left", "noise.origin[1]", TILES),
    Break("networks/folded.py", '"nearest": (1 << 20, 128, 96, 40)', '"nearest": (1 << 20, 128, 96, 24)', TILES),
    Break("slides/nucleus_index.py", "return grown.joined(", "return (lambda _: grown)(", TILES),
    Break("slides/nucleus_index.py", "(np.minimum, 2)", "(np.maximum, 2)", TILES),
    Break("slides/pyramids.py", "blocks.sum(axis=(1, 3)) + 2", "blocks.sum(axis=(1, 3))", PAINTED),
    Break("slides/tiff_writing.py", "y % across // self.tile * columns", "y % across // self.tile", PAINTED),
    Break("production/slide_painting.py", '"seed": seed,', "", PAINTED),
    Break("production/slide_painting.py", '"backend": model.backend,', "", PAINTED),
    Break(
        "files/tile_jobs.py",
        "if len(waiting) >= ahead:",
        "if len(waiting) > ahead:",
        "tests/slides/test_slide_workers.py",
    ),
    Break("slides/outline_levels.py", "ORDER BY id", "ORDER BY id DESC", "tests/slides/test_outline_masks.py"),
    Break(
        "slides/outline_levels.py",
        "- (area.left, area.top)",
        "- (area.top, area.left)",
        "tests/slides/test_outline_masks.py",
    ),
    Break("evaluation/collection.py", "[str(cut)] * bool(slides)", "[]", "tests/slides/test_slides_elsewhere.py"),
    Break("segmentation/stored_maps.py", "weight[into_y, into_x] += share", "weight[into_y, into_x] += 1", FOUND),
    Break("segmentation/slide_segmenting.py", "(columns + seen.left)", "columns", FOUND),
    Break("slides/slide.py", "self.mpp and self.mpp * step", "self.mpp", READ),
    Break("slides/tiff_levels.py", "plane * down + y", "y", READ),
    # Classes and tissue maps in the studio; OpenVINO's one entry.
    Break("studio_app/gestures.py", "if not isinstance(gesture, messages.Split):", "if True:", STUDIO),
    Break("studio_app/document.py", "names[0 if back else 1]", "names[1]", STUDIO),
    Break("studio_app/document.py", "self._class_again(held)", "pass", STUDIO),
    Break("studio_app/tissue_brush.py", "min(rows, box[2] + 1)", "min(rows, box[2])", STUDIO),
    Break("studio_app/tissue_brush.py", "whole[..., 0] = FULL", "pass", STUDIO),
    Break("studio_app/tissue_brush.py", "np.arctan2(end[1] - start[1], ", "np.arctan2(start[1] - end[1], ", STUDIO),
    Break("studio_app/autosave.py", 'document.told() if head["whole"]', 'None if head["whole"]', STUDIO),
    Break("studio_app/saving.py", ", classes=classes", "", STUDIO),
    Break(
        "studio_app/document.py",
        "self.settings = patch.before if back else patch.after",
        "self.settings = patch.after",
        "tests/studio/test_undoing_settings.py",
    ),
    Break("studio_app/segmenter_tuning.py", "studio.segmenter = made", "pass", "tests/studio/test_adapting.py"),
    Break(
        "studio_app/all_styles.py",
        "sheet.wanted.seed, sheet.wanted.noise",
        "0, 1.0",
        "tests/studio/test_all_styles.py",
    ),
    Break(
        "studio_app/studio.py",
        "bring_back(self.autosave, self.shelf, model)",
        "pass",
        "tests/studio/test_kept_styles.py",
    ),
    Break("studio_app/own_style.py", "style, note, passing=True", "style, note", OWN_STYLE),
    Break(
        "studio_app/own_style.py",
        "encoded(own_model(studio), below.picture",
        "encoded(own_model(studio), 255 - below.picture",
        OWN_STYLE,
    ),
    Break("synthesis/openvino_brush.py", "@cache\n", "", "tests/synthesis/test_backends.py"),
]


def main() -> None:
    """Make every break, print what became of it, leave with 1 when too many survive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only breaks whose file or line holds one of these")
    parser.add_argument("--fast", action="store_true", help="do not see first whether the tests pass without a break")
    parser.add_argument("--seconds", type=float, default=300.0, help="a test run that takes longer counts as failed")
    arguments = parser.parse_args()
    words = arguments.words
    chosen = [each for each in BREAKS if not words or any(word in str(each) for word in words)]
    _check_lines(chosen)
    for name in HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = _copy(Path(folder))
        for tests in [] if arguments.fast else dict.fromkeys(each.tests for each in chosen):
            if not _tests_pass(copy, tests.split(), arguments.seconds):
                sys.exit(f"{tests}: fails or takes too long without any break; mend that first")
        survivors = [
            each
            for number, each in enumerate(chosen, 1)
            if _survives(each, copy, arguments.seconds, f"{number}/{len(chosen)}")
        ]
    print(f"{len(chosen)} breaks, {len(survivors)} survive")
    sys.exit(len(survivors) > MOST_SURVIVORS)


def _check_lines(breaks: list[Break]) -> None:
    """Each break has to be one place of its file, or the list is out of date."""
    for each in breaks:
        count = (ROOT / "src" / "sian" / each.file).read_text(encoding="utf-8").count(each.old)
        if count != 1:
            sys.exit(f"tests/mutants.py: found {each.old!r} {count} times in {each.file}, expected once; mend the list")


def _copy(folder: Path) -> Path:
    """What the tests need, without git and without what is large and not tested here."""
    for name in ("src", "tests", "pyproject.toml"):
        source, skip = ROOT / name, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / name, ignore=skip) if source.is_dir() else shutil.copy(source, folder / name)
    return folder


def _survives(broken: Break, copy: Path, seconds: float, place: str) -> bool:
    """Whether all of its tests pass although the line is broken."""
    path = copy / "src" / "sian" / broken.file
    whole = path.read_text(encoding="utf-8")
    began = time.perf_counter()
    path.write_text(whole.replace(broken.old, broken.new), encoding="utf-8")
    try:
        survives = _tests_pass(copy, broken.tests.split(), seconds)
    finally:
        path.write_text(whole, encoding="utf-8")
    said = "SURVIVES" if survives else "caught  "
    print(f"{place:>6} {said} {time.perf_counter() - began:5.1f} s  {broken}", flush=True)
    return survives


def _tests_pass(copy: Path, tests: list[str], seconds: float) -> bool:
    """In a process of its own, which has the libraries already."""
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(copy, tests))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def _run_tests(copy: Path, tests: list[str]) -> None:
    import pytest

    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy / "src")
    sys.path[:0] = [str(copy / "src"), str(copy)]
    sys.dont_write_bytecode = True
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not shared", *tests])))


if __name__ == "__main__":
    main()

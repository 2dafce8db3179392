"""The loop's promises: what stops it, what it leaves, precision, frozen batch norm, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.networks.vgg_state import small_vgg_state, vgg19_state
from tests.training import toys

from sian.errors import BadInput, Interrupted, MissingResource, SianWarning
from sian.networks import build_discriminator, build_painter
from sian.training import Hardware, batch_making, checkpoint, train
from sian.training import loop as loop_module
from sian.training.checks import check_finite, check_weights
from sian.training.device import flushed_denormals, launch
from sian.training.perceptual import vgg_layers
from sian.training.stretches import RankView, schedule_of

CPU = Hardware("cpu")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tiles():
    return toys.tiles()


@pytest.fixture(autouse=True)
def _without_samples(monkeypatch):
    """Painting the grid takes most of a toy run's time, and test_resume.py has it."""
    picture = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr(loop_module, "paint_grid", lambda *_: (picture, {"style_change": 0.0, "style_spread": 0.0}))


def test_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tiles, tmp_path):
    poisoned = toys.recipe(
        optimiser={"generator_rate": 1e30}, stages=[toys.stage(40)], every={"checkpoint": 2, "journal": 1000}
    )
    with pytest.raises(BadInput) as caught:
        train(poisoned, tiles, tmp_path / "run", hardware=CPU)
    sentence = str(caught.value)
    assert str(tmp_path / "run") in sentence
    assert "optimiser.generator_rate" in sentence
    assert "\n" not in sentence
    for kept in checkpoint.found(tmp_path / "run" / "checkpoints"):
        assert all(bool(tensor.isfinite().all()) for tensor in toys.tensors(kept).values())


def test_terms_are_named_and_weights_checked(tmp_path):
    terms = {"gan": torch.tensor(1.0), "kld": torch.tensor(float("nan"), requires_grad=True)}
    with pytest.raises(BadInput, match="'kld' is nan after 12 images"):
        check_finite(terms, sum(terms.values()), tmp_path, 12, "rate")
    check_finite(terms, terms["gan"], tmp_path, 12, "rate")
    layer = torch.nn.Linear(2, 2)
    check_weights({"painter": layer}, tmp_path, 8, "rate")
    layer.bias.data[1] = float("inf")
    with pytest.raises(BadInput, match="painter's bias is no longer finite after 8 images"):
        check_weights({"painter": layer}, tmp_path, 8, "rate")


def test_bf16_mixed_on_the_cpu(tiles, tmp_path):
    recipe = toys.recipe(stages=[toys.stage(2)], losses={"perceptual": 1})
    save_file(small_vgg_state(), tmp_path / "vgg19.safetensors", {"activation_scale": "normalised"})
    hardware = Hardware("cpu", precision="bf16-mixed")
    last = train(recipe, tiles, tmp_path / "run", hardware=hardware, weights=tmp_path, trust_weights=True)
    found = toys.tensors(last)
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in found.values())
    assert all(bool(tensor.isfinite().all()) for tensor in found.values())


def test_a_resumed_run_keeps_its_precision(tiles, tmp_path):
    def go(run: str, images: int, precision: str | None, resume: bool = False) -> Path:
        hardware = Hardware("cpu", precision=precision)
        recipe = toys.recipe(stages=[toys.stage(images)])
        return train(recipe, tiles, tmp_path / run, resume=resume, hardware=hardware)

    whole = go("whole", 4, "bf16-mixed")
    go("parts", 2, "bf16-mixed")
    parts = go("parts", 4, None, resume=True)
    assert toys.differing(whole, parts) == []
    with pytest.warns(SianWarning, match="goes on in precision 32-true, began in bf16-mixed"):
        go("parts", 6, "32-true", resume=True)


def test_a_run_ends_when_it_is_told_to(tiles, tmp_path):
    """The question is asked after each step; the checkpoint is that of the step, and the run can go on."""
    asked = []
    with pytest.raises(Interrupted, match="stopped after 4 of 8 images; go on with --resume"):
        train(toys.recipe(), tiles, tmp_path / "run", hardware=CPU, stop=lambda: asked.append(0) or len(asked) == 2)
    assert [path.name for path in checkpoint.found(tmp_path / "run" / "checkpoints")] == ["000000004"]


def test_precisions_by_name():
    for name in ("bf16-true", "16-mixed", "bananas"):
        with pytest.raises(BadInput, match=f"precision '{name}': no precision has that name"):
            launch(Hardware("cpu", precision=name))


def test_feature_heads_learn_and_vgg19_is_in_no_checkpoint(tiles, tmp_path):
    recipe = toys.recipe(
        stages=[toys.stage(2)],
        losses={"texture": 0.1, "stain": 1, "perceptual_layers": ["relu1_1", "relu3_1"]},
        discriminator={"features": 4},
        data={"stain": 0.3},
    )
    assert vgg_layers(recipe) == ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    alone = recipe.model_copy(update={"losses": toys.recipe().losses})
    assert vgg_layers(alone) == ("relu2_1", "relu3_1", "relu4_1")
    save_file(vgg19_state(), tmp_path / "vgg19.safetensors", {"activation_scale": "normalised"})
    last = train(recipe, tiles, tmp_path / "run", hardware=CPU, weights=tmp_path, trust_weights=True)
    saved = toys.tensors(last)
    assert not any("convs.conv" in name for name in saved)
    start = build_discriminator(recipe.discriminator.model_dump(), seed=recipe.seed).state_dict()
    heads = [name for name in start if name.startswith("heads.score") and name.endswith("weight")]
    assert len(heads) == 4
    for name in heads:
        assert not torch.equal(saved[f"networks/discriminator.{name}"], start[name])


@pytest.mark.parametrize("data", [{"stain": 0.5}, {"hue": 0.1}])
def test_stain_jitter_changes_window_and_reference_alike(tiles, data):
    recipe = toys.recipe(data=data)
    painter = build_painter(recipe.generator.model_dump(), recipe.encoder.model_dump())
    pixels = torch.randint(40, 220, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    raw = {
        "image": pixels,
        "reference": pixels.clone(),
        "direction": torch.zeros(2, 64, 64, dtype=torch.uint8),
        "distance": torch.zeros(2, 64, 64),
        "tile": torch.zeros(2),
        "place": torch.zeros(2, 2),
    }
    given = [raw, painter, recipe, 64, torch.Generator().manual_seed(1), torch.device("cpu")]
    batch = batch_making.make_batch(*given)
    assert torch.equal(batch.image, batch.reference)
    before = pixels.float() / 127.5 - 1
    changes = (batch.image - before).abs().mean((1, 2, 3))
    assert (changes > 0.01).all()
    assert changes[0] != changes[1]  # each sample has its own
    plain = batch_making.make_batch(raw, painter, toys.recipe(), *given[3:])
    torch.testing.assert_close(plain.image, before)


def test_weights_that_are_not_vgg19_are_one_sentence(tiles, tmp_path):
    state = small_vgg_state()
    del state["conv4_1.weight"]
    save_file(state, tmp_path / "vgg19.safetensors", {"activation_scale": "normalised"})
    recipe = toys.recipe(losses={"perceptual": 1})
    with pytest.raises(BadInput, match=r"vgg19\.safetensors: .*conv4_1\.weight"):
        train(recipe, tiles, tmp_path / "run", hardware=CPU, weights=tmp_path, trust_weights=True)
    assert not (tmp_path / "run").exists()


def test_frozen_batch_norm_keeps_its_statistics(tiles, tmp_path):
    run, stages = tmp_path / "run", [toys.stage(4)]
    first = toys.tensors(train(toys.recipe(stages=stages), tiles, run, hardware=CPU))
    stages.append(toys.stage(4, size=96, frozen_batch_norm=True))
    last = toys.tensors(train(toys.recipe(stages=stages), tiles, run, resume=True, hardware=CPU))
    statistics = [name for name in first if "running_" in name or "num_batches" in name]
    assert len(statistics) > 40
    assert [name for name in statistics if not torch.equal(first[name], last[name])] == []
    assert not torch.equal(
        first["networks/painter.generator.to_rgb.weight"], last["networks/painter.generator.to_rgb.weight"]
    )


def test_nothing_is_written_when_the_schedule_is_impossible(tmp_path):
    with pytest.raises(BadInput, match="at least 512 x 512 px"):
        train(toys.recipe(stages=[toys.stage(4, size=512)]), toys.tiles(1), tmp_path / "run", hardware=CPU)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("hardware", "kind"),
    [(Hardware("gpu9"), BadInput), (Hardware("tpu"), MissingResource)],
)
def test_devices_that_are_not_there(hardware, kind):
    with pytest.raises(kind, match="--device cpu") as caught:
        launch(hardware)
    assert "\n" not in str(caught.value)


def test_all_processes_see_the_same_samples_together(tiles):
    """Two ranks' halves make one process' batches."""
    recipe = toys.recipe(stages=[toys.stage(8, batch=4)])
    (one,), (two,) = (schedule_of(recipe, tiles, n) for n in (1, 2))
    whole = RankView(one.sampler, 4, 0, 1)
    halves = [RankView(two.sampler, 2, rank, 2) for rank in (0, 1)]
    for batch in range(3):
        expected = [whole.sample(batch * 4 + k).image for k in range(4)]
        found = [half.sample(batch * 2 + k).image for half in halves for k in range(2)]
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    with pytest.raises(BadInput, match="multiple of 3"):
        schedule_of(recipe, tiles, 3)


DISTRIBUTED = """
import sys, torch
from pathlib import Path
from sian.networks import build_painter
from sian.training import Hardware, train
from sian.training import loop
from tests.training import toys

folder, rank = Path(sys.argv[1]), []
setup = loop.launch
def launch(hardware):
    fabric = setup(hardware)
    rank.append(fabric.global_rank)
    return fabric
loop.launch = launch
built = []
build_painter, build_discriminator = loop.build_painter, loop.build_discriminator
def keep(build):
    def wrapped(*arguments, **keywords):
        built.append(build(*arguments, **keywords))
        return built[-1]
    return wrapped
loop.build_painter, loop.build_discriminator = keep(build_painter), keep(build_discriminator)
train(toys.recipe(stages=[toys.stage(8, batch=4)]), toys.tiles(), folder / "run", hardware=Hardware("cpu", devices=2))
from safetensors.torch import save_file
names = ("painter", "discriminator", "average")  # in the order of building
tensors = {f"{name}.{k}": p.detach().contiguous() for name, net in zip(names, built) for k, p in net.named_parameters()}
save_file(tensors, folder / f"rank{rank[0]}.safetensors")
"""


def test_two_processes_keep_equal_weights(tmp_path):
    """DDP on two CPU processes: finite weights, the same on both, also in a job that a scheduler counts as one task."""
    from safetensors.torch import load_file

    script = tmp_path / "distributed.py"
    script.write_text(DISTRIBUTED, encoding="utf-8")
    job = {f"SLURM_{key}": "0" for key in ("PROCID", "LOCALID", "NODEID")}
    job |= {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **job}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1)]
    assert ranks[0].keys() == ranks[1].keys()
    assert [name for name in ranks[0] if not torch.equal(ranks[0][name], ranks[1][name])] == []
    assert all(bool(tensor.isfinite().all()) for tensor in ranks[0].values())
    saved = toys.tensors(tmp_path / "run" / "checkpoints" / "000000008")
    assert torch.equal(
        saved["networks/discriminator.scales.0.score.weight"], ranks[0]["discriminator.scales.0.score.weight"]
    )
    assert json.loads((tmp_path / "run" / "checkpoints" / "000000008" / "state.json").read_text())["step"] == 2


def test_arithmetic_is_left_as_it_was() -> None:
    """Training flushes denormals; whoever called it gets them back."""
    with flushed_denormals():
        assert float(torch.tensor(1e-40) * 1) == 0
    assert float(torch.tensor(1e-40) * 1) > 0

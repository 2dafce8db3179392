"""A run of three steps against the same run written out here in plain torch: losses, rates, weights, averages.

Nothing of `sian.training` is used on this side. Networks and windows come from their own modules, which have tests of
their own; what is compared is how the loop puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tests.networks.vgg_state import small_vgg_state
from tests.training import toys

from sian import seeds
from sian.data.sampling import WindowSampler
from sian.networks import VggFeatures, build_discriminator, build_painter
from sian.training import Hardware, train
from sian.training import loop as loop_module
from sian.training.journal import read_journal

SEED, TOTAL, BATCH = 5, 6, 2
STEPS = ((0, 0, 64), (0, 1, 64), (1, 0, 96))  # stage, batch of the stage, side of the windows in px
RATES, DECAY_FROM = {"painter": 2e-3, "discriminator": 6e-3}, 0.25
HALF_LIFE, RAMP = 3.0, 1.0
TRANSLATION, CUTOUT = 0.125, 0.3
LAYERS = ("relu1_1", "relu2_1")
CHANGES: dict[str, Any] = {
    "seed": SEED,
    "losses": {"perceptual": 0.5, "perceptual_layers": list(LAYERS), "perceptual_every": 2, "l1": 0.7, "kld": 0.05},
    "optimiser": {
        "generator_rate": RATES["painter"],
        "discriminator_rate": RATES["discriminator"],
        "decay_from": DECAY_FROM,
    },
    "stages": [toys.stage(4), toys.stage(2, size=96)],
    "average": {"half_life": HALF_LIFE, "ramp": RAMP},
    "every": {"journal": 2, "checkpoint": 4},
}


class Plain:
    """The run by hand; `losses` and `rates` hold those of each step."""

    def __init__(self, tiles: list[Any]) -> None:
        recipe = toys.recipe(**CHANGES)
        parts = recipe.generator.model_dump(), recipe.encoder.model_dump()
        self.painter = build_painter(*parts, seed=SEED).to(memory_format=torch.channels_last)
        self.judge = build_discriminator(recipe.discriminator.model_dump(), seed=SEED).to(
            memory_format=torch.channels_last
        )
        self.vgg = VggFeatures(small_vgg_state(), "normalised", LAYERS)
        self.names = list(build_painter(*parts, spectral=False).state_dict())
        self.average = self.folded()
        self.adam = {
            name: torch.optim.Adam(network.parameters(), lr=1.0, betas=(0.0, 0.999))
            for name, network in (("painter", self.painter), ("discriminator", self.judge))
        }
        self.scores, self.losses, self.rates = [0.0, 0.0], [], []
        self.samplers = [
            WindowSampler(tiles, side, 256, "random", seeds.derive(SEED, "stage", index), True, 0.5)
            for index, side in enumerate((64, 96))
        ]
        for number, (stage, batch, side) in enumerate(STEPS):
            self.step(number, self.samplers[stage], batch, side)
            if number == 1:
                self.encoder = {name: value.clone() for name, value in self.painter.encoder.state_dict().items()}

    def folded(self) -> dict[str, torch.Tensor]:
        """The painter's weights as they are used, by their plain names."""
        self.painter.eval()
        found = {name: reduce(getattr, name.split("."), self.painter).detach().clone() for name in self.names}
        self.painter.train()
        return found

    def step(self, number: int, sampler: WindowSampler, batch: int, side: int) -> None:
        samples = [sampler.sample(batch * BATCH + place) for place in range(BATCH)]
        image, reference = (
            torch.from_numpy(np.stack([getattr(s, part) for s in samples])).permute(0, 3, 1, 2).float() / 255 * 2 - 1
            for part in ("image", "reference")
        )
        direction = torch.from_numpy(np.stack([s.layout.direction for s in samples]))
        distance = torch.from_numpy(np.stack([s.layout.distance for s in samples])).float()
        one_hot = F.one_hot(direction.long(), 17).permute(0, 3, 1, 2).float()
        layout = torch.cat([(direction > 0)[:, None].float(), one_hot, distance[:, None]], 1)

        # What is drawn.
        seed = seeds.derive(SEED, "step", number, 0)
        random = torch.Generator().manual_seed(seed)
        epsilon = torch.randn((BATCH, 3), generator=random)
        noise = self.painter.generator.draw_noise(BATCH, side, side, random)
        other = torch.Generator().manual_seed(seeds.derive(seed, "augmentation"))
        reach, cut = round(TRANSLATION * side), round(CUTOUT * side)
        shifts = torch.randint(-reach, reach + 1, (BATCH, 2), generator=other)
        corners = torch.randint(-(cut // 2), side - cut // 2, (BATCH, 2), generator=other)

        def seen(picture: torch.Tensor) -> list[list[torch.Tensor]]:
            """What the discriminator says of a picture with its layout, both shifted and cut."""
            both = torch.cat([picture, layout], 1)
            rows = torch.arange(side)
            moved = []
            for sample, (dy, dx), (top, left) in zip(both, shifts.tolist(), corners.tolist(), strict=True):
                kept_y, kept_x = ((rows >= d) & (rows < side + d) for d in (dy, dx))
                inside_y, inside_x = ((rows >= first) & (rows < first + cut) for first in (top, left))
                keep = (kept_y[:, None] & kept_x) & ~(inside_y[:, None] & inside_x)
                moved.append(sample.roll((dy, dx), (1, 2)) * keep)
            return self.judge(torch.stack(moved))

        # Eq. 1 for the painter.
        mean, log_variance = self.painter.encoder(reference)
        fake = self.painter.generator(layout, mean + epsilon * log_variance.exp().sqrt(), noise)
        of_real, of_fake = seen(image), seen(fake)
        maps = [
            (f, r.detach()) for a, b in zip(of_fake, of_real, strict=True) for f, r in zip(a[:-1], b[:-1], strict=True)
        ]
        terms = {
            "gan": -sum(scale[-1].mean() for scale in of_fake) / 2,
            "feature_matching": 10 * sum((f - r).abs().mean() for f, r in maps) / 2,
            "kld": 0.05 * (0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)).sum(1).mean(),
            "regularisation": 0.5 * (mean - mean.mean(0)).abs().mean(),
            "colour": (blocks(fake) - blocks(image)).abs().mean(),
            "l1": 0.7 * (fake - image).abs().mean(),
        }
        if number % 2 == 0:
            wanted, found, weights = self.vgg(image), self.vgg(fake), self.vgg.layer_weights
            terms["perceptual"] = 0.5 * 2 * sum(weights[k] * (found[k] - wanted[k]).abs().mean() for k in LAYERS)
        of_painter = torch.autograd.grad(
            sum(terms.values()), list(self.painter.parameters()), retain_graph=True, allow_unused=True
        )

        # The discriminator's, of the same judgement.
        hinge = [F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(of_real, of_fake, strict=True)]
        terms["discriminator"] = sum(hinge) / 2
        for index, (side_name, outputs) in enumerate((("real", of_real), ("fake", of_fake))):
            score = float(sum(scale[-1].detach().mean() for scale in outputs) / 2)
            terms[f"score_{side_name}"] = torch.tensor(score)
            self.scores[index] = 0.99 * self.scores[index] + 0.01 * score
        kept = [
            (F.relu(r[-1] - self.scores[1]) ** 2).mean() + (F.relu(self.scores[0] - f[-1]) ** 2).mean()
            for r, f in zip(of_real, of_fake, strict=True)
        ]
        terms["lecam"] = 0.1 * sum(kept) / 2
        of_judge = torch.autograd.grad(terms["discriminator"] + terms["lecam"], list(self.judge.parameters()))
        self.move("painter", of_painter, number)
        self.move("discriminator", of_judge, number)

        # The average.
        keep = 0.5 ** (BATCH / min(HALF_LIFE, RAMP * BATCH * (number + 1)))
        now, weighed = self.folded(), {name for name, _ in self.painter.named_buffers()}
        for name, old in self.average.items():
            self.average[name] = now[name] if name in weighed else keep * old + (1 - keep) * now[name]
        self.losses.append({name: float(term.detach()) for name, term in terms.items()})

    def move(self, name: str, gradients: Sequence[torch.Tensor | None], number: int) -> None:
        """One step of Adam at the rate that is due: whole at first, falling to 2 % at the end of the run."""
        done = number * BATCH / TOTAL
        fallen = max(0.0, (done - DECAY_FROM) / (1 - DECAY_FROM))
        (group,) = self.adam[name].param_groups
        group["lr"] = RATES[name] * (1 - 0.98 * fallen)
        self.rates.append(group["lr"])
        network = {"painter": self.painter, "discriminator": self.judge}[name]
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.grad = gradient
        self.adam[name].step()


def blocks(picture: torch.Tensor) -> torch.Tensor:
    """Means of blocks of 16 x 16 pixels."""
    n, c, h, w = picture.shape
    return picture.reshape(n, c, h // 16, 16, w // 16, 16).mean((3, 5))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Plain]:
    """The folder of the product's run, its last checkpoint, and the run by hand."""
    tiles, folder = toys.tiles(), tmp_path_factory.mktemp("golden")
    save_file(small_vgg_state(), folder / "vgg19.safetensors", {"activation_scale": "normalised"})
    with pytest.MonkeyPatch.context() as patch:
        picture = np.zeros((8, 8, 3), np.uint8)
        patch.setattr(loop_module, "paint_grid", lambda *_: (picture, {}))
        last = train(
            toys.recipe(**CHANGES),
            tiles,
            folder / "run",
            hardware=Hardware("cpu"),
            weights=folder,
            trust_weights=True,
        )
    return folder / "run", last, Plain(tiles)


def test_every_loss_of_every_step(runs):
    run, _, plain = runs
    lines = read_journal(run / "stats.jsonl")
    assert len(lines) == len(plain.losses) == 3
    for line, expected in zip(lines, plain.losses, strict=True):
        assert {name: line.get(name) for name in expected} == pytest.approx(expected, rel=2e-3, abs=1e-5)
    assert "perceptual" not in lines[1]


def test_both_rates_fall(runs):
    run, _, plain = runs
    assert [line["rate"] for line in read_journal(run / "stats.jsonl")] == pytest.approx(plain.rates[::2], rel=1e-5)


def test_the_encoder_after_two_steps(runs):
    """Its third gradient is made of rounding: two plain runs that multiply by other kernels differ by half of it."""
    run, last, plain = runs
    (early,) = [path for path in (run / "checkpoints").iterdir() if path.name.isdigit() and int(path.name) == 4]
    assert early != last
    weights = load_file(early / "networks.safetensors")
    for name, expected in plain.encoder.items():
        if expected.is_floating_point() and expected.ndim > 1:
            alike(weights[f"painter.encoder.{name}"], expected, 0.1 * RATES["painter"], name)


def test_weights_and_their_average(runs):
    _, last, plain = runs
    weights, average = load_file(last / "networks.safetensors"), load_file(last / "average.safetensors")
    assert average.keys() == plain.average.keys()
    for prefix, network in (("painter", plain.painter), ("discriminator", plain.judge)):
        for name, parameter in network.named_parameters():
            if not name.startswith("encoder."):  # see above
                alike(weights[f"{prefix}.{name}"], parameter.detach(), RATES[prefix], name)
    for name, expected in plain.average.items():
        if not name.startswith("encoder."):
            alike(average[name], expected, RATES["painter"], name)


def alike(found: torch.Tensor, expected: torch.Tensor, rate: float, name: str) -> None:
    """Equal but for a quarter of a step, since Adam makes steps of rounding; biases before a norm have nothing else."""
    if expected.ndim > 1:
        assert float((found - expected).abs().mean()) < 0.25 * rate, name

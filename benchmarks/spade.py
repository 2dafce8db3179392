"""A training step of SPADE by this package beside the published structure in plain torch, at equal width.

    python benchmarks/spade.py [--width 16] [--size 256] [--batch 4] [--rounds 5] [--threads 1] [--also monuseg]

The plain one is written here from the paper (Park et al. 2019, sections 3 and A; figures 11 to 15) as its authors'
training goes: SPADE with two convolutions for gamma and beta and a batch norm of its own each time, spectral norm on
generator, encoder and discriminator, real and painted pairs in one batch through two scales, and a second painting,
without gradients, for the discriminator's step. Both have the same parameters, which is checked, and the same input,
hinge loss, feature matching and KLD; the VGG19 loss, the same network on both sides, is left out. Steps take turns;
seconds are the process' CPU seconds. `--also` measures another recipe of this package, scaled to the same width.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from sian.data.loading import batches
from sian.data.sampling import WindowSampler
from sian.networks import REFERENCE_SIZE, build_discriminator, build_painter, select
from sian.training import Recipe
from sian.training.batch_making import make_batch
from training import bare_step, made_up_tiles

HIDDEN, STYLE = 128, 256  # whatever the width, as in the paper


class Spade(nn.Module):
    def __init__(self, channels: int, seen: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(seen, HIDDEN, 3, padding=1)
        self.gamma, self.beta = (nn.Conv2d(HIDDEN, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        active = F.relu(self.shared(F.interpolate(seen, x.shape[2:], mode="nearest")))
        return self.norm(x) * (1 + self.gamma(active)) + self.beta(active)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, seen: int) -> None:
        super().__init__()
        middle, self.learned = min(inputs, outputs), inputs != outputs
        self.conv_0 = spectral_norm(nn.Conv2d(inputs, middle, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(middle, outputs, 3, padding=1))
        self.norm_0, self.norm_1 = Spade(inputs, seen), Spade(middle, seen)
        if self.learned:
            self.conv_s = spectral_norm(nn.Conv2d(inputs, outputs, 1, bias=False))
            self.norm_s = Spade(inputs, seen)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        skip = self.conv_s(self.norm_s(x, seen)) if self.learned else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, seen), 0.2))
        return skip + self.conv_1(F.leaky_relu(self.norm_1(y, seen), 0.2))


class Generator(nn.Module):
    def __init__(self, width: int, seen: int) -> None:
        super().__init__()
        channels = [width * multiple for multiple in (16, 16, 16, 16, 8, 4, 2, 1)]
        self.start = nn.Linear(STYLE, channels[0] * 64)
        self.blocks = nn.ModuleList(Block(a, b, seen) for a, b in pairwise(channels))
        self.to_rgb = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, style: Tensor, seen: Tensor) -> Tensor:
        side = seen.shape[-1] // 32
        x = self.start(style).view(len(style), -1, 8, 8)[:, :, :side, :side]
        for number, block in enumerate(self.blocks):
            x = block(x if number in (0, 2) else F.interpolate(x, scale_factor=2, mode="nearest"), seen)
        return torch.tanh(self.to_rgb(F.leaky_relu(x, 0.2)))


class Encoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 8 * width, 8 * width, 8 * width]
        self.convs = nn.ModuleList(
            nn.Sequential(spectral_norm(nn.Conv2d(a, b, 3, 2, 1, bias=False)), nn.InstanceNorm2d(b))
            for a, b in pairwise(channels)
        )
        self.mean, self.log_variance = (nn.Linear(8 * width * 16, STYLE) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for number, conv in enumerate(self.convs):
            x = conv(F.leaky_relu(x, 0.2) if number else x)
        x = F.leaky_relu(x, 0.2).flatten(1)
        return self.mean(x), self.log_variance(x)


class Patches(nn.Module):
    def __init__(self, width: int, inputs: int) -> None:
        super().__init__()
        layers, before = [nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 2))], width
        for number in range(1, 4):
            after = width * 2**number
            conv = spectral_norm(nn.Conv2d(before, after, 4, 1 if number == 3 else 2, 2, bias=False))
            layers.append(nn.Sequential(conv, nn.InstanceNorm2d(after)))
            before = after
        self.layers, self.score = nn.ModuleList(layers), nn.Conv2d(before, 1, 4, 1, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        return [*found, self.score(x)]


class Published:
    """The authors' training step."""

    def __init__(self, width: int, seen: Tensor, image: Tensor, reference: Tensor) -> None:
        channels = seen.shape[1]
        self.seen, self.image, self.reference = seen.contiguous(), image.contiguous(), reference.contiguous()
        self.generator, self.encoder = Generator(width, channels), Encoder(width)
        self.scales = nn.ModuleList(Patches(width, 3 + channels) for _ in range(2))
        ours = [*self.generator.parameters(), *self.encoder.parameters()]
        self.adams = (
            torch.optim.Adam(ours, 1e-4, (0.0, 0.9)),
            torch.optim.Adam(self.scales.parameters(), 4e-4, (0.0, 0.9)),
        )

    def paint(self) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encoder(self.reference)
        style = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        kld = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
        return self.generator(style, self.seen), kld

    def judge(self, fake: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        pairs = torch.cat([torch.cat([self.seen, one], 1) for one in (fake, self.image)])
        found = []
        for scale in self.scales:
            found.append(scale(pairs))
            pairs = F.avg_pool2d(pairs, 3, 2, 1, count_include_pad=False)
        half = len(fake)
        return [[x[:half] for x in scale] for scale in found], [[x[half:] for x in scale] for scale in found]

    def step(self, number: int) -> None:
        del number
        fake, kld = self.paint()
        fakes, reals = self.judge(fake)
        loss = 0.05 * kld - sum(scale[-1].mean() for scale in fakes) / len(fakes)
        for one, other in zip(fakes, reals, strict=True):
            loss = loss + sum(F.l1_loss(x, y.detach()) for x, y in zip(one[:-1], other[:-1], strict=True)) * 10 / 2
        self.adams[0].zero_grad()
        loss.backward()
        self.adams[0].step()
        with torch.no_grad():
            fake, _ = self.paint()
        fakes, reals = self.judge(fake.detach())
        loss = sum(F.relu(1 + f[-1]).mean() + F.relu(1 - r[-1]).mean() for f, r in zip(fakes, reals, strict=True)) / 2
        self.adams[1].zero_grad()
        loss.backward()
        self.adams[1].step()


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    tiles, recipe = made_up_tiles(), cut(Recipe.load("spade"), arguments)
    generator = recipe.generator.model_copy(update={"hidden": HIDDEN})
    recipe = recipe.model_copy(update={"generator": generator})
    some = {"network": recipe.network, "seed": 0}
    painter = build_painter(recipe.generator.model_dump(), recipe.encoder.model_dump(), **some)
    sampler = WindowSampler(tiles, arguments.size, REFERENCE_SIZE, "random", 0)
    raw, random = next(batches(sampler, arguments.batch)), torch.Generator().manual_seed(0)
    batch = make_batch(raw, painter, recipe, arguments.size, random, torch.device("cpu"))
    seen = select(batch.layout, recipe.generator.condition)
    published = Published(arguments.width, seen, batch.image, batch.reference)
    discriminator = build_discriminator(recipe.discriminator.model_dump(), **some)
    counts = [size(painter), size(discriminator)]
    theirs = [size(published.generator) + size(published.encoder), size(published.scales)]
    assert counts == theirs, (counts, theirs)
    print(f"width {arguments.width}: {counts[0] / 1e6:.2f} M and {counts[1] / 1e6:.2f} M parameters on both sides")

    steps = {"the published structure": published.step, "recipe spade": bare_step(recipe, tiles, None)}
    for name in arguments.also:
        steps[f"recipe {name}"] = bare_step(cut(Recipe.load(name), arguments), tiles, None)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(arguments.rounds + 1):  # the first warms up
        for name, step in steps.items():
            start = time.process_time()
            step(number)
            seconds[name].append(time.process_time() - start)
    print(f"CPU s a step of {arguments.batch} x {arguments.size} px, median of {arguments.rounds}:")
    for name, (_, *found) in seconds.items():
        ratios = [a / b for a, b in zip(seconds["the published structure"][1:], found, strict=True)]
        print(f"{name}: {statistics.median(found):.2f}, {statistics.median(ratios):.2f} x as fast as the published")


def cut(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    """At the width, with one stage of the size and batch, and without VGG19."""
    recipe = recipe.scaled(arguments.width)
    stage = recipe.stages[0].model_copy(update={"size": arguments.size, "batch": arguments.batch})
    losses = recipe.losses.model_copy(update={"perceptual": 0.0})
    return recipe.model_copy(update={"stages": (stage,), "losses": losses})


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--also", nargs="*", default=[], help="more recipes, e.g. monuseg")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""The baselines' networks: the shared contract, published sizes, receptive fields, what each is given and ignores."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.networks.contract import NetworkContract, random
from torch.utils.flop_counter import FlopCounterMode

from sian.errors import BadInput
from sian.networks import NETWORKS, Discriminator, Generator, build_discriminator, build_painter, stack
from sian.networks.layouts import CONDITIONS, channels_of, select
from sian.networks.pix2pix import PatchGan, UnetGenerator
from sian.networks.pix2pixhd import CoarseToFineGenerator, PlainDiscriminator
from sian.networks.sharpgan import SharpGenerator
from sian.networks.spade import SpadeGenerator, SpadeNorm, _mirrored
from sian.reproduce.rows import ROWS
from sian.reproduce.scales import SCALES
from sian.training import Recipe


def layout(n: int, height: int, width: int) -> torch.Tensor:
    """A random layout with everything: (n, 21, h, w)."""
    direction = (random(n, height, width) * 8).clamp(0, 16).to(torch.uint8)
    inside = direction > 0
    distance, depth = (random(n, height, width, seed=seed).sigmoid() * inside for seed in (1, 2))
    return stack(direction, distance, random(n, height, width, seed=3) > 0.5, depth)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class Baseline(NetworkContract):
    style_dim = 0

    def inputs(self, n, height, width):
        return layout(n, height, width), random(n, self.style_dim)

    def check_shapes(self, outputs, size):
        n, height, width = size
        assert [tuple(t.shape) for t in outputs] == [(n, 3, height, width)]
        assert float(outputs[0].detach().abs().max()) <= 1


class TestSpade(Baseline):
    style_dim = 3

    def network(self):
        return SpadeGenerator(2, 4, 3, condition="boundary")


class TestSpadeWithoutStyle(Baseline):
    def network(self):
        return SpadeGenerator(2, 16, 0, condition="layout", padding="reflect", downsampling="area")


class TestPix2Pix(Baseline):
    sizes = ((64, 64), (64, 128))

    def network(self):
        return UnetGenerator(4, 6)


class TestSharpGan(Baseline):
    def network(self):
        return SharpGenerator(4, 5)


class TestPix2PixHD(Baseline):
    @pytest.fixture(autouse=True, params=[False, True], ids=["global", "enhanced"])
    def _enhancer(self, request):
        self.enhancer = request.param

    def network(self):
        return CoarseToFineGenerator(4, 3, 2, enhancer=self.enhancer, enhancer_blocks=1)


class TestPatchGan(NetworkContract):
    kind = PatchGan

    def network(self):
        return self.kind(4, 1, 4, condition="boundary")

    def inputs(self, n, height, width):
        return (random(n, 6, height, width).tanh(),)

    def check_shapes(self, outputs, size):
        assert len(outputs) == 5
        assert outputs[-1].shape[:2] == (size[0], 1)


class TestPlainDiscriminator(TestPatchGan):
    kind = PlainDiscriminator


@pytest.mark.parametrize(
    ("recipe", "style_dim", "millions"),
    [
        ("spade", 256, 108.85),
        ("spade", 0, 92.03),
        ("spade-boundary", 256, 108.87),  # as in SPADE's code with two classes and the boundary
        ("spade-boundary", 0, 92.06),
        ("spade-layout", 256, 109.21),
    ],
)
def test_spade_has_its_published_size(recipe, style_dim, millions):
    arguments = {**Recipe.load(recipe).generator.model_dump(), "style_dim": style_dim}
    with torch.device("meta"):
        assert count(SpadeGenerator(**arguments, spectral=False)) / 1e6 == pytest.approx(millions, abs=0.005)
        assert count(Discriminator(64, 2, 4, "boundary")) / 1e6 == pytest.approx(5.53, abs=0.005)


def test_other_baselines_have_their_published_sizes():
    sizes = {}
    for name in ("pix2pix", "pix2pixhd", "sharpgan"):
        recipe = Recipe.load(name)
        with torch.device("meta"):
            painter = build_painter(recipe.generator.model_dump(), recipe.encoder.model_dump(), network=name)
            judge = build_discriminator(recipe.discriminator.model_dump(), network=name)
        assert count(painter.encoder) == painter.generator.style_dim == 0
        sizes[name] = round(count(painter.generator) / 1e6, 1), round(count(judge) / 1e6, 1)
    assert sizes == {"pix2pix": (54.4, 2.8), "pix2pixhd": (182.4, 5.5), "sharpgan": (54.4, 2.8)}


def flops(network: torch.nn.Module, style_dim: int) -> float:
    """GFLOP of one image of 256 px; nothing is computed, a multiplication and an addition count as two."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.empty(1, 21, 256, 256, device="meta"), torch.empty(1, style_dim, device="meta"))
    return counter.get_total_flops() / 1e9


def test_spade_costs_what_it_is_said_to_cost():
    with torch.device("meta"):
        assert flops(SpadeGenerator(spectral=False), 256) == pytest.approx(272, abs=0.5)


ABLATIONS = {  # row of Table 3: (direction, distance, style), the layout's channels at the start, L_reg's weight
    "baseline": ((False, False, False), 1, 0),
    "style-loss": ((False, False, False), 1, 0.5),
    "inst": ((True, True, False), 19, 0),
    "style": ((False, False, True), 1, 0),
    "inst-style": ((True, True, True), 19, 0),
    "direction": ((True, False, True), 18, 0.5),
    "distance": ((False, True, True), 2, 0.5),
    "sian": ((True, True, True), 19, 0.5),
}


def block_parameters(channels: int, direction: bool, distance: bool, style: bool, hidden: int = 128) -> int:
    """A SIAN block by hand: each branch's convolutions, the factors that are there, gamma and beta."""
    branches = max(1, direction + distance)
    factors = branches * style * 257 * hidden + direction * 18 * hidden + distance * 2 * hidden
    compensation = branches * (9 * hidden + 1) * hidden * (style or direction or distance)
    modulation = (9 * branches * hidden + 1) * 2 * channels
    return branches * 10 * hidden + factors + compensation + modulation


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_count_by_hand(name):
    switches, seen, regularisation = ABLATIONS[name]
    recipe = ROWS[name].load(SCALES["paper"])
    with torch.device("meta"):
        generator = Generator(**recipe.generator.model_dump(), spectral=False)
    widths = [1024, 1024, 1024, 1024, 512, 256, 128, 64]
    expected = (9 * seen + 1) * 1024 + 257 * 1024 + (9 * 64 + 1) * 3
    for inputs, outputs in pairwise(widths):
        expected += (9 * inputs + 1) * outputs + (9 * outputs + 1) * outputs
        expected += block_parameters(inputs, *switches) + block_parameters(outputs, *switches)
        if inputs != outputs:
            expected += (9 * inputs + 1) * outputs + block_parameters(inputs, *switches)
    assert count(generator) == expected
    assert len(CONDITIONS[recipe.discriminator.condition]) == seen  # it sees what the generator sees
    assert recipe.losses.regularisation == regularisation


def test_ablation_blocks_without_factors_are_spades():
    torch.manual_seed(0)
    from sian.networks import SianBlock

    ours = SianBlock(6, 8, 3, direction=False, distance=False, style=False)
    spade = SpadeNorm(6, 8, 1, "zeros")
    spade.shared.load_state_dict(ours.semantics.state_dict())
    spade.modulation.load_state_dict(ours.modulation.state_dict())
    x, maps = random(2, 6, 9, 12), layout(2, 9, 12)[:, :19]
    torch.testing.assert_close(ours(x, maps, random(2, 3)), spade(x, maps[:, :1]))


@pytest.mark.parametrize(
    ("direction", "distance", "changes"), [(1, 1, "PQ"), (1, 0, "P"), (0, 1, "Q"), (0, 0, "")], ids=str
)
@torch.no_grad()
def test_a_branch_that_is_not_there_is_nowhere(direction, distance, changes):
    """Not in the start either: another P (or Q) paints the same image."""
    torch.manual_seed(0)
    channels = (8, 8, 8, 8, 6, 4, 4)
    generator = Generator(channels, (4,) * 7, 3, direction=bool(direction), distance=bool(distance)).eval()
    maps, style = layout(1, 64, 64)[:, :19], random(1, 3)
    other_p, other_q = maps.clone(), maps.clone()
    other_p[:, 2:18] = maps[:, 2:18].roll(1, 1)
    other_q[:, 18] = 1 - maps[:, 18]
    image = generator(maps, style)
    found = "".join(
        name for name, other in (("P", other_p), ("Q", other_q)) if not generator(other, style).equal(image)
    )
    assert found == changes


def test_conditions_are_the_channels_they_name():
    maps = layout(1, 8, 8)
    for name, channels in CONDITIONS.items():
        assert torch.equal(select(maps, name), maps[:, list(channels)])
    background, nuclei = select(maps, "classes")[0]
    assert torch.equal(background + nuclei, torch.ones(8, 8))
    assert torch.equal(nuclei, maps[0, 0])
    assert channels_of(["layout", "classes"]) == 19
    assert channels_of(["semantic", "boundary"]) == channels_of(["depth"]) == 21


@pytest.mark.parametrize("padding", [1, 2])
def test_a_patchgan_score_sees_70_pixels(padding):
    torch.manual_seed(0)
    network = (PatchGan if padding == 1 else PlainDiscriminator)(4, 1, 4, condition="semantic").eval()
    for part in network.modules():
        if isinstance(part, torch.nn.InstanceNorm2d):
            part.forward = lambda x: x  # it sees the whole image
    image = random(1, 4, 160, 160).requires_grad_()
    scores = network(image)[0][-1]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows, columns = np.nonzero(image.grad[0].abs().sum(0).numpy())
    assert (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) == (70, 70)


@torch.no_grad()
def test_pix2pix_shows_its_discriminator_the_mask_in_minus_one_to_one():
    torch.manual_seed(0)
    network, image, mask = PatchGan(2, 1, 4, condition="semantic"), random(1, 3, 64, 64), random(1, 1, 64, 64) > 0
    plain = network.scales[0](torch.cat([image, torch.where(mask, 1.0, -1.0)], 1))
    assert torch.equal(network(torch.cat([image, mask.float()], 1))[0][-1], plain[-1])


@torch.no_grad()
def test_dropout_is_half_of_the_features_and_a_function_of_the_seed():
    torch.manual_seed(0)
    network, maps, style = UnetGenerator(4, 7), layout(1, 128, 128), torch.zeros(1, 0)
    assert UnetGenerator(1, 8).dropout_levels == [6, 5, 4]  # three of the eight, next to the innermost
    noise = network.noise_of(3, 128, 128)
    assert [tuple(drop.shape) for drop in noise] == [(1, 32, 4, 4), (1, 32, 8, 8)]
    assert all(set(drop.unique().tolist()) == {-1.0, 1.0} for drop in noise)
    assert abs(float(noise[1].mean())) < 0.1
    same, other = network.noise_of(3, 128, 128), network.noise_of(4, 128, 128)
    assert all(torch.equal(a, b) for a, b in zip(noise, same, strict=True))
    image = network(maps, style, noise)
    assert torch.equal(image, network(maps, style, same))
    assert not torch.equal(image, network(maps, style, other))
    assert torch.equal(network(maps, style, [0 * drop for drop in noise]), network(maps, style, None))


def test_spades_start_from_a_style_is_continued_by_mirrors():
    assert _mirrored(torch.arange(19)).tolist() == [*range(8), *reversed(range(8)), 0, 1, 2]
    network, style = SpadeGenerator(1, 2, 3, condition="classes"), random(1, 3)
    start = network.begin(torch.zeros(1, 2, 8, 8), style)
    assert torch.equal(start, network.start_style(style).reshape(1, 16, 8, 8))
    wide = network.begin(torch.zeros(1, 2, 4, 16), style)
    assert torch.equal(wide[..., :8], start[:, :, :4])
    assert torch.equal(wide[..., 8:], start[:, :, :4].flip(3))


def test_a_crop_starts_from_its_place_in_the_style():
    network, styles = SpadeGenerator(1, 2, 3, condition="classes"), random(2, 3)
    whole = network.begin(torch.zeros(2, 2, 8, 8), styles)
    part = network.begin(torch.zeros(2, 2, 3, 4), styles, torch.tensor([[0, 64], [160, 32]]))
    assert torch.equal(part[0], whole[0, :, 0:3, 2:6])
    assert torch.equal(part[1], whole[1, :, 5:8, 1:5])


def test_every_quarter_of_spades_style_map_learns_from_crops():
    """Shown crops of flat colours at their places, whole maps follow the style in all quarters alike."""
    torch.manual_seed(0)
    network, draw = SpadeGenerator(1, 2, 3, condition="classes"), torch.Generator().manual_seed(0)
    adam = torch.optim.Adam(network.start_style.parameters(), lr=0.05)

    def colours() -> torch.Tensor:
        return torch.rand(16, 3, generator=draw) * 1.6 - 0.8

    touched = torch.zeros(8, 8)
    for _ in range(80):
        styles, places = colours(), 32 * torch.randint(0, 5, (16, 2), generator=draw)
        adam.zero_grad()
        started = network.begin(torch.zeros(16, 2, 4, 4), styles, places)[:, :3]
        (started - styles[:, :, None, None]).square().mean().backward()
        touched += network.start_style.weight.grad.abs().sum(1).reshape(-1, 8, 8).sum(0) > 0
        adam.step()
    assert bool((touched > 0).all())
    with torch.no_grad():
        whole = network.begin(torch.zeros(16, 2, 8, 8), colours())[:, :3]
    spread = torch.stack([q.mean((2, 3)).std(0).mean() for half in whole.chunk(2, 2) for q in half.chunk(2, 3)])
    assert float(spread.min()) > 0.3  # it learned
    assert float(spread.min() / spread.max()) > 0.75


def test_xavier_weights_are_those_of_spades_code():
    """Against torch's own function on layers of the same sizes, in deviation; factors stay near 1, biases are 0."""
    arguments = Recipe.load("monuseg").scaled(8)
    painter = build_painter(
        arguments.generator.model_dump(), arguments.encoder.model_dump(), initialisation="xavier", seed=1
    )
    judge = build_discriminator(arguments.discriminator.model_dump(), initialisation="xavier")
    spectral = painter.encoder.convs[2].parametrizations.weight.original
    for weight in (painter.encoder.mean.weight, spectral, painter.generator.blocks[0].sian_0.modulation.weight):
        expected = torch.nn.init.xavier_normal_(torch.empty_like(weight), 0.02)
        assert float(weight.detach().std()) == pytest.approx(float(expected.std()), rel=0.05)
    largest = torch.linalg.matrix_norm(painter.encoder.convs[2].weight.detach().flatten(1), 2)
    assert float(largest) == pytest.approx(1, abs=0.05)
    assert not painter.generator.to_rgb.bias.any()
    assert not judge.scales[0].score.bias.any()
    assert float(judge.scales[0].score.weight.detach().std()) < 0.01
    style = painter.generator.blocks[0].sian_0.style
    assert torch.equal(style.bias, torch.ones_like(style.bias))
    mean, log_variance = painter.encoder(random(2, 3, 256, 256))
    nats = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    assert float(nats.mean().detach()) < 0.5


def test_a_table_of_networks():
    assert list(NETWORKS) == ["sian", "spade", "pix2pix", "pix2pixhd", "sharpgan"]
    with pytest.raises(BadInput, match="did you mean 'pix2pix'"):
        build_painter({}, {}, network="pix2pi")
    with pytest.raises(BadInput, match="did you mean 'spade'"):
        build_discriminator({}, network="spad")

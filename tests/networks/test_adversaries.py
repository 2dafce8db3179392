"""Discriminator, style encoder and VGG19 against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tests.networks.contract import random
from tests.networks.vgg_state import small_vgg_state

from sian.files.weights import activation_scale
from sian.networks import Discriminator, StyleEncoder, VggFeatures, build_discriminator, stain_statistics
from sian.networks.discriminator import PatchDiscriminator
from sian.networks.vgg import LAYERS, MEAN


def millions(module: torch.nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 2)


def test_sizes_are_spades():
    assert millions(StyleEncoder(64, 256, spectral=False)) == 10.46
    assert millions(Discriminator(64, 2, 4, condition="boundary")) == 5.53


def test_condition_by_name():
    assert build_discriminator({"width": 2}).scales[0].layers[0].in_channels == 3 + 19
    assert build_discriminator({"width": 2, "condition": "semantic"}).scales[0].layers[0].in_channels == 3 + 1


def test_a_score_sees_70_pixels():
    torch.manual_seed(0)
    network = PatchDiscriminator(3, 4, 4).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.InstanceNorm2d):
            part.forward = lambda x: x  # it sees the whole image
    image = random(1, 3, 160, 160).requires_grad_()
    scores = network(image)[-1]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows, columns = np.nonzero(image.grad[0].abs().sum(0).numpy())
    assert (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) == (70, 70)


def test_second_scale_sees_the_average_without_the_padding():
    network = Discriminator(2, 2, 2, condition="semantic")
    pair, seen = random(1, 4, 32, 32), []
    network.scales[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(pair)
    expected = [
        [pair[0, :, max(0, 2 * y - 1) : 2 * y + 2, max(0, 2 * x - 1) : 2 * x + 2].mean((1, 2)) for x in range(16)]
        for y in range(16)
    ]
    torch.testing.assert_close(seen[0][0], torch.stack([torch.stack(row, 1) for row in expected], 1))


def test_stain_statistics_against_numpy():
    image = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3))
    image[..., 1] = image[..., 0] // 2 + image[..., 1] // 2
    tensor = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 127.5 - 1
    for pixels, found in zip(image.reshape(2, -1, 3), stain_statistics(tensor).numpy(), strict=True):
        density = -np.log10((pixels + 1) / 256)
        correlation = np.corrcoef(density.T)
        expected = [*density.mean(0), *density.std(0), correlation[0, 1], correlation[0, 2], correlation[1, 2]]
        np.testing.assert_allclose(found, expected, atol=2e-4)
    assert bool(stain_statistics(torch.ones(1, 3, 8, 8)).isfinite().all())  # a white image has no deviation


def plain_vgg(state: dict[str, torch.Tensor], x: torch.Tensor) -> dict[str, torch.Tensor]:
    """VGG19 as its paper's table E, to conv5_1."""
    features = {}
    for block, convolutions in enumerate((2, 2, 4, 4, 1), 1):
        if block > 1:
            x = F.max_pool2d(x, 2, 2)
        for number in range(1, convolutions + 1):
            name = f"conv{block}_{number}"
            x = F.conv2d(x, state[f"{name}.weight"].float(), state[f"{name}.bias"].float(), padding=1).clamp(min=0)
            features[name.replace("conv", "relu")] = x
    return {name: features[name] for name in LAYERS}


@torch.no_grad()
@pytest.mark.parametrize("scale", ["torchvision", "normalised"])
def test_vgg_against_a_plain_one(scale):
    state, image = small_vgg_state(), random(2, 3, 32, 48).tanh()
    given = image if scale == "torchvision" else (image + 1) / 2 - torch.tensor(MEAN)[:, None, None]
    found = VggFeatures(state, scale)(image)
    assert tuple(found) == LAYERS
    for name, expected in plain_vgg(state, given).items():
        torch.testing.assert_close(found[name], expected)


@torch.no_grad()
def test_vgg_stops_at_the_deepest_layer_asked_for():
    network = VggFeatures(small_vgg_state(), "normalised", ("relu3_1", "relu1_1"))
    assert network.steps[-1] == "conv3_1"
    image = random(1, 3, 32, 32)
    everything = VggFeatures(small_vgg_state(), "normalised")(image)
    for name, features in network(image).items():
        assert torch.equal(features, everything[name])
    assert network.layer_weights == {"relu3_1": 0.11, "relu1_1": 0.004}


def test_layer_weights_know_the_scales_apart():
    given, normalised = (VggFeatures(small_vgg_state(), scale).layer_weights for scale in ("torchvision", "normalised"))
    assert tuple(given.values()) == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    raw, same = (VggFeatures(small_vgg_state(), scale).size for scale in ("torchvision", "normalised"))
    measured = (0.13, 0.73, 0.88, 0.84, 0.48)  # distances of torchvision's network over the normalised one's
    for name, ratio in zip(LAYERS, measured, strict=True):
        assert normalised[name] == pytest.approx(given[name] * ratio, abs=0.0005)
        assert raw(name) == raw(f"half.{name}") == pytest.approx(ratio, abs=0.01)
        assert same(name) == 1


@pytest.mark.shared
@torch.no_grad()
def test_real_weights_are_normalised(shared):
    path = shared / "weights" / "vgg19.safetensors"
    state = load_file(path)
    assert activation_scale(path) == "normalised"
    assert set(state) >= {f"conv{name}.{kind}" for name in ("1_1", "3_4", "5_1") for kind in ("weight", "bias")}
    assert state["conv5_1.weight"].shape == (512, 512, 3, 3)
    from PIL import Image

    with Image.open(next((shared / "data" / "monuseg" / "train").glob("*.webp"))) as opened:
        image = torch.from_numpy(np.asarray(opened.convert("RGB"))[300:556, 300:556].copy())
    features = VggFeatures(state, "normalised")(image.permute(2, 0, 1)[None].float() / 127.5 - 1)
    means = {name: float(maps.mean()) for name, maps in features.items()}
    assert all(0.2 < mean < 3 for mean in means.values()), means  # 1 on photographs; tissue is not far
    np.testing.assert_allclose(
        features["relu5_1"],
        plain_vgg(state, image.permute(2, 0, 1)[None] / 255 - torch.tensor(MEAN)[:, None, None])["relu5_1"],
        atol=1e-3,
    )

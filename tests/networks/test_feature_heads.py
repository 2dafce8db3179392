"""Heads on frozen features: what they are given, what they see, and that VGG19 is not a part of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.networks.contract import random
from tests.networks.vgg_state import small_vgg_state

from sian.networks import VggFeatures, build_discriminator
from sian.networks.feature_heads import CHANNELS, FULL, HALF, FeatureHeads, feature_pyramid

LAYERS = tuple(sorted({*FULL, *HALF}))


@pytest.fixture(scope="module")
def vgg():
    return VggFeatures(small_vgg_state(), "normalised", LAYERS)


def test_fewer_layers_are_the_same_features_and_nothing_deeper_is_computed(vgg):
    image, seen = random(1, 3, 32, 32), []
    whole = vgg(image)
    handles = [conv.register_forward_hook(lambda *_, name=name: seen.append(name)) for name, conv in vgg.convs.items()]
    part = vgg(image, ["relu2_1"])
    for handle in handles:
        handle.remove()
    assert list(part) == ["relu2_1"]
    torch.testing.assert_close(part["relu2_1"], whole["relu2_1"])
    assert seen == ["conv1_1", "conv1_2", "conv2_1"]


def test_the_pyramid_is_of_the_image_and_of_its_half(vgg):
    image = random(2, 3, 64, 32)
    found = feature_pyramid(vgg, image)
    assert set(found) == {"relu2_1", "relu3_1", "half.relu3_1", "half.relu4_1"}
    half = image.reshape(2, 3, 32, 2, 16, 2).mean((3, 5))
    torch.testing.assert_close(found["half.relu4_1"], vgg(half)["relu4_1"])
    torch.testing.assert_close(found["relu3_1"], vgg(image)["relu3_1"])
    assert found["half.relu4_1"].shape[2:] == (4, 2)


def features(n: int = 1, size: int = 32) -> dict[str, torch.Tensor]:
    """Of the sizes that VGG19's have for an image of `size`."""
    sizes = {"relu2_1": size // 2, "relu3_1": size // 4, "half.relu3_1": size // 8, "half.relu4_1": size // 16}
    return {name: random(n, CHANNELS[name.split(".")[-1]], side, side) for name, side in sizes.items()}


def test_scores_of_each_map_see_the_layout_of_their_own_size():
    heads = FeatureHeads(4, 2).eval()
    given, layout = features(2), random(2, 2, 32, 32).requires_grad_()
    outputs = heads(given, layout)
    assert [[tuple(scores.shape) for scores in scale] for scale in outputs] == [
        [(2, 1, side, side)] for side in (16, 8, 4, 2)
    ]
    outputs[1][0][0, 0, 0, 0].backward()  # a 3x3 convolution at 1/4: 8 px of the layout from the corner
    rows, columns = torch.nonzero(layout.grad[0].abs().sum(0), as_tuple=True)
    assert (int(rows.max()), int(columns.max())) == (7, 7)
    assert layout.grad[1].abs().sum() == 0


def test_a_head_is_what_it_says():
    """Squeeze, layout beside it, look, score: one head by torch's functions, its spectral norm by singular values."""
    heads = FeatureHeads(4, 2).eval()
    name, given, layout = "relu3_1", features(), random(1, 2, 32, 32)
    index = heads.names.index(name)
    state = heads.state_dict()

    def weight(part: str) -> torch.Tensor:
        prefix = f"{part}.{index}.parametrizations.weight"
        original, u, v = (state[f"{prefix}.{key}"] for key in ("original", "0._u", "0._v"))
        return original / (u @ original.flatten(1) @ v)

    x = F.leaky_relu(F.conv2d(given[name], weight("squeeze"), state[f"squeeze.{index}.bias"]), 0.2)
    seen = layout.reshape(1, 2, 8, 4, 8, 4).mean((3, 5))
    x = F.leaky_relu(F.conv2d(torch.cat([x, seen], 1), weight("look"), state[f"look.{index}.bias"], padding=1), 0.2)
    expected = F.conv2d(x, state[f"score.{index}.weight"], state[f"score.{index}.bias"])
    torch.testing.assert_close(heads(given, layout)[index][0], expected)


def test_a_discriminator_puts_them_between_scales_and_segmentation():
    network = build_discriminator({"width": 2, "layers": 2, "features": 4, "segmenting": 2}).eval()
    pair = torch.cat([random(1, 3, 32, 32), random(1, 19, 32, 32)], 1)
    outputs = network(pair, features())
    assert [len(scale) for scale in outputs] == [3, 3, 1, 1, 1, 1, 1]
    torch.testing.assert_close(outputs[2:6], network.heads(features(), pair[:, 3:]))
    assert outputs[-1][0].shape == (1, 4, 32, 32)
    assert not any("vgg" in name or "convs" in name for name in network.state_dict())

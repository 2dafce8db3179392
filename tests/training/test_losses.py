"""Each loss worked out by hand or by NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.networks.vgg_state import vgg19_state
from tests.training import toys

from sian.networks import VggFeatures, build_discriminator
from sian.networks.feature_heads import feature_pyramid
from sian.networks.segmenting import BACKGROUND, CONTOUR, INTERIOR, PAINTED, pixel_classes
from sian.training import augmentation, losses
from sian.training.step import Batch, Judgement, ScoreAverages, discriminator_loss, features_of, generator_loss, judge


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def scales(*scores: torch.Tensor) -> list[list[torch.Tensor]]:
    """Discriminator outputs of two feature maps that do not matter, and the scores."""
    return [[t(0.0), t(0.0), score] for score in scores]


def test_hinge():
    real, fake = scales(t(2.0, 0.5), t(-1.0, 1.0, 4.0)), scales(t(-2.0, 0.0), t(1.0, -0.5, -3.0))
    # Scale 1: mean(0, .5) + mean(0, 1) = .75; scale 2: mean(2, 0, 0) + mean(2, .5, 0) = 2/3 + 2.5/3 = 1.5
    assert float(losses.discriminator_hinge(real, fake)) == pytest.approx((0.75 + 1.5) / 2)
    assert float(losses.generator_hinge(fake)) == pytest.approx(-(-1.0 + -2.5 / 3) / 2)


def test_feature_matching_sums_layers_averages_scales_and_leaves_the_scores_out():
    real = [[t(0, 0), t(1, 1, 1, 1), t(9)], [t(0, 2), t(3), t(9)]]
    fake = [[t(1, 3), t(0, 0, 0, 2), t(-9)], [t(0, 0), t(7), t(-9)]]
    # Scale 1: 2 + 1; scale 2: 1 + 4; averaged over two scales.
    assert float(losses.feature_matching(real, fake)) == pytest.approx((3 + 5) / 2)


def test_feature_matching_has_no_gradient_for_the_real():
    real, fake = t(1.0, 2.0).requires_grad_(), t(0.0, 0.0).requires_grad_()
    losses.feature_matching([[real, t(0)]], [[fake, t(0)]]).backward()
    assert real.grad is None
    assert fake.grad.tolist() == [-0.5, -0.5]


def test_perceptual_weighs_layers():
    real, fake = {"a": t(0, 0), "b": t(1)}, {"a": t(1, 3), "b": t(4)}
    assert float(losses.perceptual(real, fake, {"a": 0.5, "b": 10})) == pytest.approx(0.5 * 2 + 10 * 3)


def test_texture_is_the_distance_of_gram_matrices():
    random = np.random.default_rng(0)
    real, fake = ({"a": random.normal(size=(2, 3, 4, 5)), "b": random.normal(size=(2, 2, 3, 3))} for _ in range(2))
    expected = 0.0
    for name, maps in real.items():
        grams = [np.einsum("ncij,ndij->ncd", x, x) / x[0, 0].size for x in (maps, fake[name])]
        expected += np.abs(grams[0] - grams[1]).mean()
    tensors = ({name: torch.from_numpy(maps).float() for name, maps in x.items()} for x in (real, fake))
    assert float(losses.texture(*tensors)) == pytest.approx(expected, rel=1e-5)


def test_texture_weighs_networks_of_other_sizes_alike():
    random = torch.Generator().manual_seed(1)
    real, fake = ({"a": torch.rand(1, 3, 8, 8, generator=random)} for _ in range(2))
    third = [{"a": maps["a"] / 3} for maps in (real, fake)]
    assert float(losses.texture(*third, lambda _: 1 / 3)) == pytest.approx(float(losses.texture(real, fake)), rel=1e-5)


def test_texture_does_not_care_where_it_lies():
    maps = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(losses.texture({"a": maps}, {"a": maps.roll((3, 2), (2, 3))})) == pytest.approx(0, abs=1e-6)


def test_feature_heads_have_nothing_to_match():
    real, fake = [[t(0, 0), t(9)], [t(5)]], [[t(1, 3), t(-9)], [t(7)]]
    assert float(losses.feature_matching(real, fake)) == pytest.approx(2)


def test_kld():
    mean, log_variance = torch.tensor([[1.0, 0.0], [2.0, -1.0]]), torch.tensor([[0.0, 0.0], [math.log(4), 0.0]])
    # KL(N(m, v) | N(0, 1)) = (m^2 + v - 1 - log v) / 2
    by_hand = [[0.5, 0.0], [(4 + 4 - 1 - math.log(4)) / 2, 0.5]]
    np.testing.assert_allclose(losses.kld_per_dimension(mean, log_variance), by_hand, rtol=1e-6)
    total = sum(map(sum, by_hand))
    assert float(losses.kld(mean, log_variance, "sum")) == pytest.approx(total)
    assert float(losses.kld(mean, log_variance, "mean")) == pytest.approx(total / 2)
    monte_carlo = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * log_variance).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(losses.kld_per_dimension(mean, log_variance), monte_carlo)


def test_kld_free_nats_are_counted_a_dimension():
    mean, log_variance = torch.tensor([[2.0, 0.2], [0.0, 0.0]]), torch.zeros(2, 2)
    # Means over the batch: 1 and 0.01 nats; 0.1 of each is free.
    assert float(losses.kld(mean, log_variance, "mean", 0.1)) == pytest.approx(0.9)
    assert float(losses.kld(mean, log_variance, "sum", 0.1)) == pytest.approx(1.8)


def test_style_regularisation_is_equation_2():
    mean = torch.tensor([[1.0, 4.0], [3.0, 0.0]])  # batch mean (2, 2)
    loss = losses.style_regularisation(mean, "sum")
    assert float(loss) == pytest.approx(((1 + 2) + (1 + 2)) / 2)
    assert float(losses.style_regularisation(mean, "mean")) == pytest.approx((1 + 2 + 1 + 2) / 4)
    three = torch.tensor([[0.0], [0.0], [3.0]], requires_grad=True)  # batch mean 1; signs - - +
    losses.style_regularisation(three, "sum").backward()
    assert three.grad[:, 0].tolist() == pytest.approx([-1 / 3 + 1 / 9, -1 / 3 + 1 / 9, 1 / 3 + 1 / 9])


def test_colour_compares_block_means():
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(2, 2, 3, 32, 48)).astype(np.float32)
    means = [x.reshape(2, 3, 2, 16, 3, 16).mean((3, 5)) for x in (real, fake)]
    expected = np.abs(means[0] - means[1]).mean()
    assert float(losses.colour(torch.from_numpy(real), torch.from_numpy(fake))) == pytest.approx(expected, abs=1e-6)


def test_stain_compares_optical_densities():
    """Means by hand: 63 and 127 of 255 are log10(256 / 64) and log10(2); the deviations and correlations are alike."""
    real, fake = torch.full((1, 3, 8, 8), 63 / 127.5 - 1), torch.full((1, 3, 8, 8), 127 / 127.5 - 1)
    assert float(losses.stain(real, fake)) == pytest.approx((math.log10(4) - math.log10(2)) * 3 / 9, abs=1e-5)
    turned = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(losses.stain(turned, turned.flip(2))) == pytest.approx(0, abs=1e-6)


def test_regions_compare_mean_colours_of_nuclei_and_of_the_rest():
    """By hand: nuclei differ by 3 in one channel of three, the rest by 6; where there is no nucleus nothing differs."""
    nuclei = torch.zeros(2, 1, 4, 4)
    nuclei[0, :, :, 0] = 1
    real = torch.zeros(2, 3, 4, 4)
    fake = torch.zeros(2, 3, 4, 4)
    fake[0, 1, :, 0] = torch.tensor([1.0, 2.0, 4.0, 5.0])
    fake[0, 2, :, 1:] = -6
    # nuclei: 3 / (2 images x 3 channels), the rest: 6 / 6
    assert float(losses.regions(real, fake, nuclei)) == pytest.approx((0.5 + 1.0) / 2)


def test_lecam_is_equation_3_one_sided():
    # relu(real - fake's average)^2 + relu(real's average - fake)^2
    loss = losses.lecam(t(1.0, -2.0), t(0.5, -1.0), average_real=1.5, average_fake=-1.0)
    assert float(loss) == pytest.approx((2.0**2 + 0) / 2 + (1.0**2 + 2.5**2) / 2)


def test_running_scores_move_by_a_hundredth():
    scores = ScoreAverages(1.0, -1.0)
    scores.update(2.0, 0.0)
    assert (scores.real, scores.fake) == pytest.approx((1.01, -0.99))


@pytest.fixture(scope="module")
def batch():
    random = torch.Generator().manual_seed(0)
    image, layout = torch.rand(2, 3, 64, 64, generator=random), torch.rand(2, 19, 64, 64, generator=random)
    return Batch(image, layout, image, image, [], augmentation.draw(2, 64, 0, 0, random))


@pytest.mark.parametrize("condition", ["layout", "semantic"])
def test_totals_are_the_sums_of_the_weighted_terms(batch, condition):
    bare = build_discriminator({"width": 2, "layers": 2, "condition": condition}).eval().requires_grad_(False)
    fake, style = batch.image.flip(0), (t(1.0, 2.0)[:, None], t(0.0, 0.5)[:, None])
    weights = toys.recipe(
        losses={"feature_matching": 3, "kld": 0.2, "regularisation": 0.7, "colour": 5, "lecam": 0.3}
    ).losses
    found = generator_loss(batch, fake, style, judge(batch, fake, bare, bare), None, weights, 0)
    seen = batch.layout[:, : 19 if condition == "layout" else 1]
    real_out, fake_out = (bare(torch.cat([image, seen], 1)) for image in (batch.image, fake))
    expected = {
        "gan": losses.generator_hinge(fake_out),
        "feature_matching": 3 * losses.feature_matching(real_out, fake_out),
        "kld": 0.2 * losses.kld(*style, "mean"),
        "regularisation": 0.7 * losses.style_regularisation(style[0], "sum"),
        "colour": 5 * losses.colour(batch.image, fake),
    }
    assert {key: float(value) for key, value in found.terms.items()} == pytest.approx(
        {key: float(value) for key, value in expected.items()}
    )
    assert float(found.total) == pytest.approx(sum(map(float, expected.values())))
    averages = ScoreAverages(0.5, -0.5)
    of_discriminator = discriminator_loss(
        batch, judge(batch, fake, bare, bare), weights.model_copy(update={"lecam": 0.3}), averages
    )
    hinge = losses.discriminator_hinge(real_out, fake_out)
    lecam = sum(
        losses.lecam(r[-1], f[-1], averages.real, averages.fake) for r, f in zip(real_out, fake_out, strict=True)
    )
    assert float(of_discriminator.total) == pytest.approx(float(hinge + 0.3 * lecam / 2), rel=1e-5)


def test_the_painter_learns_from_its_paintings_alone(batch):
    """Of the generator's loss no gradient goes back through what the discriminator says of real images."""
    real, painted = (t(0.3, -0.2).requires_grad_() for _ in range(2))
    judgement = Judgement([[1.0 * real, 1.0 * real]], [[2.0 * painted, 2.0 * painted]])
    weights = toys.recipe(losses={"feature_matching": 3}).losses
    style = (torch.zeros(2, 1), torch.zeros(2, 1))
    generator_loss(batch, batch.image.flip(0), style, judgement, None, weights, 0).total.backward()
    assert real.grad is None
    assert painted.grad is not None


def test_without_a_discriminator_its_terms_are_left_out(batch):
    style = (torch.zeros(2, 1), torch.zeros(2, 1))
    alone = toys.stage(2, frozen=["discriminator"])
    recipe = toys.recipe(losses={"gan_weight": 0, "feature_matching": 0, "regions": 2}, stages=[alone])
    weights = recipe.losses
    assert not recipe.judged  # the discriminator has no part that segments
    fake = batch.image.flip(0)
    found = generator_loss(batch, fake, style, None, None, weights, 0)
    assert set(found.terms) == {"kld", "regularisation", "colour", "regions"}
    nuclei = batch.layout[:, :1]
    assert float(found.terms["regions"]) == pytest.approx(2 * float(losses.regions(batch.image, fake, nuclei)))


class Halves(torch.nn.Module):
    """Stands in for VGG19: one layer that is half of the image."""

    layer_weights = {"relu1_1": 2.0}  # noqa: RUF012 - as on the real one

    def forward(self, image):
        return {"relu1_1": image / 2}


def test_perceptual_term_every_other_step_counts_twice(batch):
    bare = build_discriminator({"width": 2, "layers": 2}).requires_grad_(False)
    style = (torch.zeros(2, 1), torch.zeros(2, 1))
    weights = toys.recipe(losses={"perceptual": 6, "perceptual_every": 2}).losses
    fake = batch.image.flip(0)
    judgement = judge(batch, fake, bare, bare)
    terms = [generator_loss(batch, fake, style, judgement, Halves(), weights, k).terms for k in range(3)]
    expected = 6 * 2 * 2 * float((batch.image - batch.image.flip(0)).abs().mean()) / 2
    assert float(terms[0]["perceptual"]) == float(terms[2]["perceptual"]) == pytest.approx(expected)
    assert "perceptual" not in terms[1]


def test_both_sides_are_given_features_of_what_the_discriminator_sees(batch):
    """VGG19 looks at the augmented images once a step; the perceptual and the texture loss compare the same maps."""
    vgg = VggFeatures(vgg19_state(), "normalised", ("relu2_1", "relu3_1", "relu4_1"))
    bare = build_discriminator({"width": 2, "layers": 2, "features": 4}).eval().requires_grad_(False)
    cut = augmentation.draw(2, 64, 0.2, 0.3, torch.Generator().manual_seed(1))
    one = Batch(batch.image, batch.layout, batch.image, batch.image, [], cut)
    fake, style = batch.image.flip(0).requires_grad_(), (t(1.0, 2.0)[:, None], t(0.0, 0.5)[:, None])
    features = features_of(one, fake, bare, vgg)
    real, painted = (feature_pyramid(vgg, cut(image)) for image in (batch.image, fake.detach()))
    chosen = {"perceptual": 2, "perceptual_layers": ["relu3_1"], "texture": 0.5}
    weights = toys.recipe(losses=chosen).losses
    bare.requires_grad_(True)
    judgement = judge(one, fake, bare, bare, features)
    found = generator_loss(one, fake, style, judgement, vgg, weights, 0, features).terms
    weight = vgg.layer_weights["relu3_1"]
    assert found["perceptual"].item() == pytest.approx(
        2 * weight * float((real["relu3_1"] - painted["relu3_1"]).abs().mean()), rel=1e-5
    )
    assert found["texture"].item() == pytest.approx(0.5 * float(losses.texture(real, painted)), rel=1e-5)
    with torch.no_grad():
        outputs = bare(cut(torch.cat([fake.detach(), batch.layout], 1)), painted)
    assert len(outputs) == 2 + 4
    assert found["gan"].item() == pytest.approx(float(losses.generator_hinge(outputs)), rel=1e-5)
    of_discriminator = discriminator_loss(one, judgement, weights, ScoreAverages()).total
    of_discriminator.backward(inputs=list(bare.parameters()))
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in bare.heads.parameters())


def test_pixel_classes_weigh_alike_and_leave_out_what_is_cut():
    logits = torch.zeros(1, 4, 1, 4)
    logits[0, 2, 0, 3] = 10  # the last pixel is taken for a contour
    classes, seen = torch.tensor([[[0, 0, 0, 2]]]), torch.tensor([[[1.0, 1.0, 0.0, 1.0]]])
    sure = -np.log(np.exp(10) / (np.exp(10) + 3))
    assert float(losses.pixel_classes(logits, classes, seen)) == pytest.approx((np.log(4) + sure) / 2, rel=1e-5)
    nothing = losses.pixel_classes(logits, classes, torch.zeros_like(seen))
    assert float(nothing) == 0


def test_segmenting_terms(batch):
    """By hand: background, contour and interior pixels in thirds, a network that knows nothing."""
    layout = torch.zeros(1, 19, 64, 64)
    layout[:, 0, :, 32:], layout[:, -1, :, 32:48], layout[:, -1, :, 48:] = 1, 0.1, 0.9
    assert pixel_classes(layout)[0, 0].tolist() == [BACKGROUND] * 32 + [CONTOUR] * 16 + [INTERIOR] * 16
    bare = build_discriminator({"width": 2, "layers": 2, "segmenting": 2})
    torch.nn.init.zeros_(bare.segmenting.classes.weight)
    bare.segmenting.classes.bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat_interleave(4)  # pixel shuffle's order
    one = Batch(batch.image[:1], layout, batch.image[:1], batch.image[:1], [], batch.augmentation)
    style = (torch.zeros(1, 1), torch.zeros(1, 1))
    weights = toys.recipe(losses={"segmenting": 2}).losses
    logs = np.log(np.exp([0, 1, 2, 3]).sum()) - np.arange(4)
    found = generator_loss(one, one.image, style, judge(one, one.image, bare, bare), None, weights, 0).terms[
        "segmenting"
    ]
    assert found.item() == pytest.approx(2 * logs[[BACKGROUND, INTERIOR, CONTOUR]].mean(), rel=1e-5)
    terms = discriminator_loss(one, judge(one, one.image, bare, bare), weights, ScoreAverages()).terms
    expected = 2 * (logs[[BACKGROUND, INTERIOR, CONTOUR]].mean() + logs[PAINTED])
    assert terms["segmenting_discriminator"].item() == pytest.approx(expected, rel=1e-5)


def test_the_segmenting_part_does_not_see_the_layout():
    bare = build_discriminator({"width": 2, "layers": 2, "segmenting": 4})
    image = torch.rand(1, 3, 64, 64)
    given = [torch.cat([image, torch.full((1, 19, 64, 64), value)], 1) for value in (0.0, 1.0)]
    bare.eval()
    logits = [bare(pair)[-1][0] for pair in given]
    assert logits[0].shape == (1, 4, 64, 64)
    assert torch.equal(*logits)

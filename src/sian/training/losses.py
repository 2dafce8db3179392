"""The losses of Eq. 1 and the few that the plus recipes add, each a plain function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sian.networks.encoder import stain_statistics
from sian.networks.layouts import LAYOUT_CHANNELS, select

Reduction = Literal["sum", "mean"]
Gan = Literal["hinge", "lsgan", "bce"]
Scales = Sequence[Sequence[Tensor]]  # the discriminator's outputs: for each scale its features and, last, its scores


def generator_gan(fake: Scales, kind: Gan) -> Tensor:
    """The generator's side of the GAN, averaged over the scales.

    Args:
        fake: the discriminator's outputs.
        kind: "hinge", "lsgan" (mean of (score - 1)^2) or "bce" (cross entropy of the score against "real").
    """
    if kind == "hinge":
        return generator_hinge(fake)
    return torch.stack([_distance(outputs[-1], 1.0, kind) for outputs in fake]).mean()


def discriminator_gan(real: Scales, fake: Scales, kind: Gan) -> Tensor:
    """The discriminator's side, averaged over the scales.

    The hinge sums real and fake, as in SPADE's code; "lsgan" and "bce" take the mean of both, as in pix2pix' and
    pix2pixHD's.
    """
    if kind == "hinge":
        return discriminator_hinge(real, fake)
    terms = [(_distance(r[-1], 1.0, kind) + _distance(f[-1], 0.0, kind)) / 2 for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def _distance(scores: Tensor, target: float, kind: Gan) -> Tensor:
    wanted = torch.full_like(scores, target, dtype=torch.float32)
    if kind == "lsgan":
        return F.mse_loss(scores.float(), wanted)
    return F.binary_cross_entropy_with_logits(scores.float(), wanted)


def generator_hinge(fake: Scales) -> Tensor:
    """-mean of the fake's scores, averaged over the scales (L_GAN, generator's side)."""
    return torch.stack([-outputs[-1].float().mean() for outputs in fake]).mean()


def discriminator_hinge(real: Scales, fake: Scales) -> Tensor:
    """The hinge: mean max(0, 1 - real) + mean max(0, 1 + fake), averaged over the scales (L_GAN)."""
    terms = [
        F.relu(1 - r[-1].float()).mean() + F.relu(1 + f[-1].float()).mean() for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def feature_matching(real: Scales, fake: Scales) -> Tensor:
    """L1 between the discriminator's features, summed over its layers, averaged over the scales (L_F).

    0 for a discriminator of feature heads alone, which have scores and no features.
    """
    terms = [
        F.l1_loss(f, r.detach())
        for reals, fakes in zip(real, fake, strict=True)
        for r, f in zip(reals[:-1], fakes[:-1], strict=True)
    ]
    if not terms:
        return fake[0][-1].new_zeros(())
    return torch.stack(terms).sum() / sum(len(fakes) > 1 for fakes in fake)  # feature heads have scores alone


def texture(
    real: Mapping[str, Tensor], fake: Mapping[str, Tensor], size: Callable[[str], float] = lambda _: 1.0
) -> Tensor:
    """L1 between the features' Gram matrices, summed over the layers (Gatys et al. 2016): texture wherever it lies.

    Args:
        real: feature maps (n, c, h, w) by name.
        fake: the same of the paintings.
        size: of a layer's activations; what it is squared, Gram matrices are, so that one weight fits all networks.
    """
    distances = [F.l1_loss(_gram(fake[name]), _gram(real[name]).detach()) / size(name) ** 2 for name in real]
    return torch.stack(distances).sum()


def _gram(features: Tensor) -> Tensor:
    """Mean products of channels over space, (n, c, c)."""
    flat = features.flatten(2)  # (n, c, h * w); under autocast the product is bf16, which moves the loss by 0.3 %
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def perceptual(real: Mapping[str, Tensor], fake: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted L1 between VGG19's features (L_P)."""
    return torch.stack([weights[name] * F.l1_loss(fake[name], real[name].detach()) for name in weights]).sum()


def kld_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1): (n, D) nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def kld(mean: Tensor, log_variance: Tensor, reduction: Reduction, free: float = 0.0) -> Tensor:
    """L_KLD: summed over D; over the batch summed (as SPADE does) or averaged; `free` nats a dimension cost 0."""
    nats = kld_per_dimension(mean.float(), log_variance.float())
    if free:
        nats = F.relu(nats.mean(0, keepdim=True) - free).expand_as(nats)
    return nats.sum() if reduction == "sum" else nats.sum(1).mean()


def style_regularisation(mean: Tensor, reduction: Reduction) -> Tensor:
    """L_reg, Eq. 2: |mu_i - batch mean of mu_i|, summed (or averaged) over D, averaged over the batch."""
    difference = (mean.float() - mean.float().mean(0)).abs()  # (n, D); the mean is not detached
    return difference.sum(1).mean() if reduction == "sum" else difference.mean()


def colour(real: Tensor, fake: Tensor, told: Tensor | None = None) -> Tensor:
    """L1 of 16-fold averaged images: the tissue's colour, not its texture.

    Args:
        real: (n, 3, h, w).
        fake: the same of the paintings.
        told: (n,) bool, of which windows a tissue map says what lies where; of others the means are compared. None
            compares 16-fold averages of all, as for networks that know no such maps.
    """
    if told is None:
        return F.l1_loss(F.avg_pool2d(fake, 16), F.avg_pool2d(real, 16))
    difference = F.avg_pool2d(fake, 16) - F.avg_pool2d(real, 16)
    local, whole = difference.abs().mean((1, 2, 3)), difference.mean((2, 3)).abs().mean(1)  # (n,)
    return torch.where(told, local, whole).mean()


COARSE = 8  # px; paintings are to differ in what is larger
LEAST_DIFFERENCE = 0.02  # in [-1, 1]; of windows that are one even sheet


def diversity(real: Tensor, fake: Tensor, other: Tensor, told: Tensor | None = None) -> Tensor:
    """How much less two paintings of a layout differ than two places of its tissue: 0 (no less) to 1 (not at all).

    After mode seeking (Mao et al. 2019), with a bound: what is larger than 8 px should differ as the real window does
    from its mirror image.

    Args:
        real: (n, 3, h, w).
        fake: a painting.
        other: a painting with other noise, without a graph.
        told: (n,) bool, windows whose tissue map leaves nothing to chance: they do not count.
    """
    small, again, wanted = (F.avg_pool2d(image.float(), COARSE) for image in (fake, other, real))
    found = (small - again).abs().mean((1, 2, 3))
    expected = (wanted - wanted.flip(3)).abs().mean((1, 2, 3)) + LEAST_DIFFERENCE
    lack = F.relu(1 - found / expected)  # (n,)
    return lack.mean() if told is None else (lack * ~told).mean()


def stain(real: Tensor, fake: Tensor) -> Tensor:
    """L1 of the stain statistics of whole windows: the stain that the style has to carry, wherever it lies."""
    return F.l1_loss(stain_statistics(fake), stain_statistics(real))


def regions(real: Tensor, fake: Tensor, nuclei: Tensor) -> Tensor:
    """L1 of the mean colours of nuclei and of all else, averaged over the two: whose stain it is, not only how much.

    Args:
        real: (n, 3, h, w).
        fake: the same of the paintings.
        nuclei: (n, 1, h, w), 1 on nuclei; an image without any counts as equal there.
    """
    return torch.stack([F.l1_loss(_mean_where(fake, w), _mean_where(real, w)) for w in (nuclei, 1 - nuclei)]).mean()


def _mean_where(image: Tensor, where: Tensor) -> Tensor:
    """(n, 3); 0 where there is nothing."""
    return (image * where).sum((2, 3)) / where.sum((2, 3)).clamp(min=1)


LUMINANCE = (0.299, 0.587, 0.114)  # of R, G, B (ITU-R BT.601)
CONTOUR_REACH = 7  # px; side of the square that a contour pixel is compared with
FULL_CONTRAST = 0.5  # of luminance in [-1, 1]; a contour that stands out by more costs nothing


def sharpness(fake: Tensor, layout: Tensor) -> Tensor:
    """How little the nuclei's contour pixels stand out from what surrounds them: 0 (sharp) to 1 (not at all).

    Sharp-GAN (Butte et al., ISBI 2022) regularises a GAN so that the contrast of contour pixels rises; the weight
    and the form are our reading of that sentence, since its abstract gives no formula. A contour pixel is a nuclear
    one at the instance boundary. Its contrast is the absolute difference between its luminance and the mean luminance
    of the pixels around it (7 x 7) off the contour. The loss is the mean over contour pixels of
    max(0, 1 - contrast / 0.5).

    Args:
        fake: (n, 3, h, w) in [-1, 1].
        layout: (n, 21, h, w).
    """
    red, green, blue = fake.float().unbind(1)
    grey = (LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue)[:, None]  # (n, 1, h, w)
    contour = select(layout, "semantic").float() * layout[:, LAYOUT_CHANNELS : LAYOUT_CHANNELS + 1].float()
    around = 1 - contour
    count = F.avg_pool2d(around, CONTOUR_REACH, 1, CONTOUR_REACH // 2)
    mean = F.avg_pool2d(grey * around, CONTOUR_REACH, 1, CONTOUR_REACH // 2) / count.clamp(min=1e-6)
    lack = F.relu(1 - (grey - mean).abs() / FULL_CONTRAST) * contour * (count > 0)
    return lack.sum() / contour.sum().clamp(min=1)


def lecam(real_score: Tensor, fake_score: Tensor, average_real: float, average_fake: float) -> Tensor:
    """LeCam regularisation (Tseng et al. 2021, Eq. 3): keeps scores near the other side's running mean."""
    return F.relu(real_score - average_fake).square().mean() + F.relu(average_real - fake_score).square().mean()


def pixel_classes(logits: Tensor, classes: Tensor, seen: Tensor) -> Tensor:
    """Cross-entropy of a segmenting discriminator; every class that is there weighs alike (OASIS, Eq. 1 and 2).

    Args:
        logits: (n, 4, h, w).
        classes: (n, h, w) int64, what each pixel is to be taken for.
        seen: (n, h, w) 1 where the pixel is judged, 0 where augmentation has cut it out.
    """
    each = F.cross_entropy(logits.float(), classes, reduction="none") * seen  # (n, h, w)
    masks = torch.stack([(classes == number) * seen for number in range(logits.shape[1])])  # (4, n, h, w)
    counts, sums = masks.sum((1, 2, 3)), (masks * each).sum((1, 2, 3))
    return (sums / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)

"""One training step: the generator's loss, then the discriminator's on the same fakes (paper, Eq. 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sian.networks import Discriminator, VggFeatures
from sian.training import losses
from sian.training.augmentation import Augmentation
from sian.training.recipe import LossSection

LECAM_DECAY = 0.99  # of the running mean scores (Tseng et al. 2021)


@dataclass(frozen=True)
class Batch:
    """What a step works on, on the device, images in [-1, 1]."""

    image: Tensor  # (n, 3, h, w)
    layout: Tensor  # (n, 19, h, w)
    reference: Tensor  # (n, 3, 256, 256)
    epsilon: Tensor  # (n, D)
    noise: list[Tensor | None]
    augmentation: Augmentation


@dataclass
class ScoreAverages:
    """Running means of the discriminator's scores, for LeCam; part of a checkpoint."""

    real: float = 0.0
    fake: float = 0.0

    def update(self, real: float, fake: float) -> None:
        """Move towards this batch's mean scores."""
        self.real = LECAM_DECAY * self.real + (1 - LECAM_DECAY) * real
        self.fake = LECAM_DECAY * self.fake + (1 - LECAM_DECAY) * fake


@dataclass
class Terms:
    """A loss and the terms it is made of, for the journal."""

    total: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


def pair(image: Tensor, layout: Tensor, discriminator: Discriminator, augmentation: Augmentation) -> Tensor:
    """Image and as much of the layout as the discriminator sees, augmented: (n, 3 + condition, h, w)."""
    return augmentation(torch.cat([image, layout[:, : discriminator.condition]], 1))


def generator_loss(
    batch: Batch,
    fake: Tensor,
    style: tuple[Tensor, Tensor],
    discriminator: Discriminator,
    vgg: VggFeatures | None,
    weights: LossSection,
    step: int,
) -> Terms:
    """Eq. 1 for generator and encoder.

    Args:
        batch: the step's tensors.
        fake: the painting (n, 3, h, w), with its graph.
        style: mean and log-variance of the style vectors.
        discriminator: with its parameters frozen.
        vgg: features for the perceptual loss, or None when its weight is 0.
        weights: the recipe's.
        step: for terms that are not applied every step.
    """
    fakes = discriminator(pair(fake, batch.layout, discriminator, batch.augmentation))
    with torch.no_grad():
        reals = discriminator(pair(batch.image, batch.layout, discriminator, batch.augmentation))
    terms = {
        "gan": losses.generator_hinge(fakes),
        "feature_matching": weights.feature_matching * losses.feature_matching(reals, fakes),
        "kld": weights.kld * losses.kld(*style, weights.kld_reduction, weights.kld_free),
        "regularisation": weights.regularisation
        * losses.style_regularisation(style[0], weights.regularisation_reduction),
    }
    if vgg is not None and step % weights.perceptual_every == 0:
        with torch.no_grad():
            real_features = vgg(batch.image)
        distance = losses.perceptual(real_features, vgg(fake), vgg.layer_weights)
        terms["perceptual"] = weights.perceptual * weights.perceptual_every * distance
    if weights.colour:
        terms["colour"] = weights.colour * losses.colour(batch.image, fake)
    return Terms(torch.stack([term.float() for term in terms.values()]).sum(), terms)


def discriminator_loss(
    batch: Batch, fake: Tensor, discriminator: Any, bare: Discriminator, lecam: float, averages: ScoreAverages
) -> Terms:
    """The discriminator's hinge loss, and LeCam's term when its weight is above 0.

    Args:
        batch: the step's tensors.
        fake: the painting without its graph.
        discriminator: as Fabric wraps it.
        bare: the same, unwrapped.
        lecam: weight of the regularisation.
        averages: running mean scores; updated here.
    """
    reals = discriminator(pair(batch.image, batch.layout, bare, batch.augmentation))
    fakes = discriminator(pair(fake, batch.layout, bare, batch.augmentation))
    hinge = losses.discriminator_hinge(reals, fakes)
    terms = {"discriminator": hinge}
    real_score = torch.stack([scale[-1].detach().float().mean() for scale in reals]).mean()
    fake_score = torch.stack([scale[-1].detach().float().mean() for scale in fakes]).mean()
    if lecam:
        averages.update(float(real_score), float(fake_score))
        per_scale = [
            losses.lecam(r[-1].float(), f[-1].float(), averages.real, averages.fake)
            for r, f in zip(reals, fakes, strict=True)
        ]
        terms["lecam"] = lecam * torch.stack(per_scale).mean()
    total = torch.stack(list(terms.values())).sum()
    return Terms(total, {**terms, "score_real": real_score, "score_fake": fake_score})

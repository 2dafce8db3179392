"""One training step: the generator's loss, then the discriminator's on the same fakes (paper, Eq. 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sian.networks import Discriminator, Painter, VggFeatures, select
from sian.networks.feature_heads import Features, feature_pyramid
from sian.networks.segmenting import PAINTED, pixel_classes
from sian.training import losses
from sian.training.augmentation import Augmentation
from sian.training.recipe_sections import LossSection

LECAM_DECAY = 0.99  # of the running mean scores (Tseng et al. 2021)


@dataclass(frozen=True)
class Batch:
    """What a step works on, on the device, images in [-1, 1]."""

    image: Tensor  # (n, 3, h, w)
    layout: Tensor  # (n, 19 or 21, h, w)
    reference: Tensor  # (n, 3, 256, 256)
    epsilon: Tensor  # (n, D)
    noise: list[Tensor | None]
    augmentation: Augmentation
    place: Tensor | None = None  # (n, 2) px, where each image lies in its reference
    told: Tensor | None = None  # (n,) bool, which layouts come with a tissue map; None for networks that take none
    ignored: Tensor | None = None  # (n, 1, h, w) bool, pixels that are not compared

    def compared(self, fake: Tensor) -> Tensor:
        """A painting with the real pixels where nothing is compared: no loss sees a difference there."""
        return fake if self.ignored is None else torch.where(self.ignored, self.image.to(fake.dtype), fake)


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
    """Image and what the discriminator sees of the layout, augmented: (n, 3 + c, h, w)."""
    return augmentation(torch.cat([image, select(layout, discriminator.condition, discriminator.classes)], 1))


@dataclass(frozen=True)
class Pair:
    """VGG19's features of a batch's real images and of its paintings, both as the discriminator sees them."""

    real: Features
    fake: Features


@dataclass(frozen=True)
class Judgement:
    """What the discriminator says of a batch's real images and of its paintings; both sides' losses are made of it.

    Attributes:
        reals, fakes: one list a scale: features of the layers and, last, the scores.
        real_classes, fake_classes: logits (n, 4, h, w) of a segmenting part, or None.
    """

    reals: list[list[Tensor]]
    fakes: list[list[Tensor]]
    real_classes: Tensor | None = None
    fake_classes: Tensor | None = None


def features_of(batch: Batch, fake: Tensor, discriminator: Discriminator, vgg: VggFeatures | None) -> Pair | None:
    """What both sides' losses need of VGG19, computed once; None for a discriminator without feature heads.

    Args:
        batch: the step's tensors.
        fake: the painting (n, 3, h, w), with its graph where the generator learns.
        discriminator: bare.
        vgg: with the heads' layers.
    """
    if vgg is None or discriminator.heads is None:
        return None
    with torch.no_grad():
        real = feature_pyramid(vgg, batch.augmentation(batch.image))
    return Pair(real, feature_pyramid(vgg, batch.augmentation(fake)))


def judge(
    batch: Batch, fake: Tensor, discriminator: Any, bare: Discriminator, features: Pair | None = None
) -> Judgement:
    """One pass of the discriminator over the real images and one over the paintings, which serve both sides.

    SPADE's code and ours until 0.1 made two of each, one a side. The losses are the same; spectral norm iterates
    twice a step instead of four times.

    Args:
        batch: the step's tensors.
        fake: the painting (n, 3, h, w), with its graph where the generator learns.
        discriminator: as Fabric wraps it.
        bare: the same, unwrapped.
        features: see `features_of`.
    """
    of_real, of_fake = (features.real, features.fake) if features else (None, None)
    reals, real_classes = _parted(
        discriminator(pair(batch.image, batch.layout, bare, batch.augmentation), of_real), bare
    )
    fakes, fake_classes = _parted(discriminator(pair(fake, batch.layout, bare, batch.augmentation), of_fake), bare)
    return Judgement(reals, fakes, real_classes, fake_classes)


def _parted(outputs: list[list[Tensor]], discriminator: Discriminator) -> tuple[list[list[Tensor]], Tensor | None]:
    """The discriminator's scales and, if it has a segmenting part, the logits (n, 4, h, w) of that."""
    return (outputs, None) if discriminator.segmenting is None else (outputs[:-1], outputs[-1][0])


def segmenting_loss(logits: Tensor, layout: Tensor, augmentation: Augmentation, painted: bool) -> Tensor:
    """Cross-entropy towards the layout's classes, or towards PAINTED everywhere; pixels that are cut out don't count.

    Args:
        logits: (n, 4, h, w).
        layout: (n, 19, h, w), not augmented.
        augmentation: what the image was changed by.
        painted: whether the pixels are to be taken for painted ones.
    """
    moved = augmentation(torch.cat([layout, torch.ones_like(layout[:, :1])], 1))
    classes, seen = pixel_classes(moved[:, :-1]), moved[:, -1]
    return losses.pixel_classes(logits, torch.full_like(classes, PAINTED) if painted else classes, seen)


def generator_loss(
    batch: Batch,
    fake: Tensor,
    style: tuple[Tensor, Tensor],
    judgement: Judgement | None,
    vgg: VggFeatures | None,
    weights: LossSection,
    step: int,
    features: Pair | None = None,
    other: Tensor | None = None,
) -> Terms:
    """Eq. 1 for generator and encoder.

    Args:
        batch: the step's tensors.
        fake: the painting (n, 3, h, w), with its graph.
        style: mean and log-variance of the style vectors.
        judgement: the discriminator's; None for losses that need none.
        vgg: features for the perceptual loss, or None when nothing needs them.
        weights: the recipe's.
        step: for terms that are not applied every step.
        features: see `features_of`; the perceptual loss compares these where they are given.
        other: see `painted_again`.
    """
    of_real, of_fake = (features.real, features.fake) if features else (None, None)
    terms = _adversarial(batch, judgement, weights) if judgement is not None else {}
    if style[0].shape[1]:  # a network without styles has no such terms
        regularisation = losses.style_regularisation(style[0], weights.regularisation_reduction)
        terms["kld"] = weights.kld * losses.kld(*style, weights.kld_reduction, weights.kld_free)
        terms["regularisation"] = weights.regularisation * regularisation
    if vgg is not None and step % weights.perceptual_every == 0:
        if of_real is None or of_fake is None:
            with torch.no_grad():
                of_real = vgg(batch.image)
            of_fake = vgg(fake)
        if weights.perceptual:
            layer_weights = {name: vgg.layer_weights[name] for name in of_fake if name in weights.perceptual_layers}
            distance = losses.perceptual(of_real, of_fake, layer_weights)
            terms["perceptual"] = weights.perceptual * weights.perceptual_every * distance
        if weights.texture:
            distance = losses.texture(of_real, of_fake, vgg.size)
            terms["texture"] = weights.texture * weights.perceptual_every * distance
    if weights.colour:
        terms["colour"] = weights.colour * losses.colour(batch.image, fake, batch.told)
    if other is not None:
        terms["diversity"] = weights.diversity * losses.diversity(batch.image, fake, other, batch.told)
    if weights.stain:
        terms["stain"] = weights.stain * losses.stain(batch.image, fake)
    if weights.regions:
        terms["regions"] = weights.regions * losses.regions(batch.image, fake.float(), batch.layout[:, :1])
    if weights.l1:
        terms["l1"] = weights.l1 * F.l1_loss(fake.float(), batch.image)
    if weights.sharpness:
        terms["sharpness"] = weights.sharpness * losses.sharpness(fake, batch.layout)
    return Terms(torch.stack([term.float() for term in terms.values()]).sum(), terms)


@torch.no_grad()
def painted_again(batch: Batch, painter: Painter, style: tuple[Tensor, Tensor], random: torch.Generator) -> Tensor:
    """The batch's paintings with other noise, (n, 3, h, w), without a graph.

    Args:
        batch: the step's tensors.
        painter: what painted it.
        style: mean and log-variance of the style vectors.
        random: of the noise.
    """
    mean, log_variance = style
    n, _, height, width = batch.image.shape
    noise = painter.generator.draw_noise(n, height, width, random)
    vector = mean + batch.epsilon * torch.exp(0.5 * log_variance)
    other: Tensor = painter.generator(batch.layout, vector.detach(), noise, batch.place)
    return other


def _adversarial(batch: Batch, judgement: Judgement, weights: LossSection) -> dict[str, Tensor]:
    """The GAN's term of the generator, L_F, and the segmenting part's."""
    terms = {
        "gan": weights.gan_weight * losses.generator_gan(judgement.fakes, weights.gan),
        "feature_matching": weights.feature_matching * losses.feature_matching(judgement.reals, judgement.fakes),
    }
    if judgement.fake_classes is not None:
        segmented = segmenting_loss(judgement.fake_classes, batch.layout, batch.augmentation, False)
        terms["segmenting"] = weights.segmenting * segmented
    return terms


def discriminator_loss(batch: Batch, judgement: Judgement, weights: LossSection, averages: ScoreAverages) -> Terms:
    """The discriminator's side of the GAN, LeCam's term when its weight is above 0, and the segmenting part's.

    Args:
        batch: the step's tensors.
        judgement: see `judge`. Its graph may reach into the generator: take the gradients of the discriminator alone.
        weights: the recipe's.
        averages: running mean scores; updated here.
    """
    reals, fakes = judgement.reals, judgement.fakes
    terms = {"discriminator": losses.discriminator_gan(reals, fakes, weights.gan)}
    real_score = torch.stack([scale[-1].detach().float().mean() for scale in reals]).mean()
    fake_score = torch.stack([scale[-1].detach().float().mean() for scale in fakes]).mean()
    if judgement.real_classes is not None and judgement.fake_classes is not None:
        told = segmenting_loss(judgement.real_classes, batch.layout, batch.augmentation, False)
        caught = segmenting_loss(judgement.fake_classes, batch.layout, batch.augmentation, True)
        terms["segmenting_discriminator"] = weights.segmenting * (told + caught)
    if weights.lecam:
        averages.update(float(real_score), float(fake_score))
        per_scale = [
            losses.lecam(r[-1].float(), f[-1].float(), averages.real, averages.fake)
            for r, f in zip(reals, fakes, strict=True)
        ]
        terms["lecam"] = weights.lecam * torch.stack(per_scale).mean()
    total = torch.stack(list(terms.values())).sum()
    return Terms(total, {**terms, "score_real": real_score, "score_fake": fake_score})

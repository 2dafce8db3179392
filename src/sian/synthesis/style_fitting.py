"""Fit a style to a reference image: search for the style vector whose paintings have the reference's stain.

The encoder has seen few stains, and takes one that it has not seen for one that it has, although the generator could
paint it. So the search begins at the encoder's style and changes nothing but the vector: it paints the reference's own
nuclei and compares colours, never pixels with pixels (after Abdal et al. 2019, Image2StyleGAN, and Roich et al. 2022).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sian.errors import BadInput, SianWarning
from sian.layout import Layout, describe
from sian.masks import check_mask_of
from sian.networks import signed_images
from sian.synthesis.model_classes import with_classes
from sian.synthesis.painting import layout_tensor
from sian.synthesis.styles import Style
from sian.training import losses
from sian.windows import evenly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sian.synthesis.model import Model

CROP = 128  # px of a side of what is painted; a multiple of the generators' stride
MOST_CROPS = 3  # along a side of the reference
TOGETHER = 2  # crops of a step
STEPS = 40
RATE = 0.05
NEARNESS = 0.002  # of the mean squared way from the encoder's style: what the stain does not need to change stays
AVERAGED = 10  # steps at the end whose vectors are averaged: a step sees a part of the reference only


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted style.

    Attributes:
        style: the vector; the encoder's where the search found nothing better.
        before: distance of the encoder's paintings from the reference in stain.
        after: distance of the fitted style's.
    """

    style: Style
    before: float
    after: float


def fit_style(
    model: Model,
    image: NDArray[np.uint8],
    mask: NDArray[Any],
    *,
    classes: Mapping[int, str] | None = None,
    name: str = "fitted",
    steps: int = STEPS,
    report: Callable[[int, int], None] | None = None,
) -> Fitted:
    """The style whose paintings of a reference's nuclei have that reference's stain.

    Deterministic on one machine; the last bits of the vector differ between machines.

    Args:
        model: with styles.
        image: (H, W, 3) uint8, at least 128 x 128 px, of the model's magnification.
        mask: (H, W) instance mask of the image; may be rough, e.g. a segmenter's.
        classes: class name by id, for a model that knows nuclear classes.
        name: of the style.
        steps: of Adam; each paints two crops of 128 px.
        report: called with (steps done, steps in all); what it raises ends the search.

    Raises:
        BadInput: an image that is too small, a mask of another size, a model without styles.
    """
    checked = check_mask_of(mask, image)
    check_reference(model, (image.shape[0], image.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SianWarning)  # an unusual reference is what this is for
        start = model.encode(image)
    crops = _crops(model, image, checked, classes)
    first = torch.from_numpy(start.vector).to(model.device)
    last = _search(model, crops, first, steps, report)
    before, after = (float(_distance(model, crops, style)) for style in (first, last))
    if not after < before:  # also where it is not a number
        return Fitted(Style(start.vector, name, start.quantile), before, before)
    return Fitted(Style(last.cpu().numpy(), name, start.quantile), before, after)


def check_reference(model: Model, shape: tuple[int, int]) -> None:
    """Refuse what no style can be fitted to.

    Raises:
        BadInput: an image of that (height, width) is too small, or the model has no styles.
    """
    if not model.has_style:
        raise BadInput(f"{model.info.name}: this model has no style to fit; choose a model that has")
    if min(shape) < CROP:
        raise BadInput(
            f"found a reference image of {shape[0]} x {shape[1]} px, expected at least {CROP} x {CROP} px at the "
            "model's magnification; give a larger piece of the slide"
        )


@dataclass(frozen=True)
class _Crops:
    """Parts of a reference: image (n, 3, s, s) in [-1, 1], layout (n, c, s, s), nuclei (n, 1, s, s) of 0 and 1."""

    image: Tensor
    layout: Tensor
    nuclei: Tensor

    def part(self, chosen: list[int]) -> _Crops:
        return _Crops(self.image[chosen], self.layout[chosen], self.nuclei[chosen])


def _crops(
    model: Model, image: NDArray[np.uint8], mask: NDArray[np.int32], classes: Mapping[int, str] | None
) -> _Crops:
    """Up to 3 x 3 parts, evenly spread."""
    rows, columns = (evenly(side - CROP, min(MOST_CROPS, -(-side // CROP))) for side in mask.shape)
    places = [(y, x) for y in rows for x in columns]
    known = with_classes(mask, model.info.classes, classes)
    whole = known if isinstance(known, Layout) else describe(known)
    layouts = [whole.window(y, x, CROP, CROP) for y, x in places]
    pixels = np.stack([image[y : y + CROP, x : x + CROP] for y, x in places])
    like = torch.empty(0, device=model.device)
    return _Crops(
        signed_images(pixels).to(model.device),
        torch.cat([layout_tensor(layout, like, model.painter.generator) for layout in layouts]),
        torch.from_numpy(np.stack([layout.semantic > 0 for layout in layouts])[:, None]).float().to(model.device),
    )


def _search(
    model: Model, crops: _Crops, first: Tensor, steps: int, report: Callable[[int, int], None] | None
) -> Tensor:
    """The vector (D,) that Adam ends at, averaged over its last steps."""
    style = first.clone().requires_grad_()
    optimiser = torch.optim.Adam([style], lr=RATE)
    count = len(crops.image)
    late: list[Tensor] = []
    with torch.enable_grad():
        for step in range(steps):
            if report:
                report(step, steps)
            chosen = [(step * TOGETHER + place) % count for place in range(min(TOGETHER, count))]
            loss = _difference(model, crops.part(chosen), style, step) + NEARNESS * (style - first).square().mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step >= steps - AVERAGED:
                late.append(style.detach().clone())
    return torch.stack(late).mean(0) if late else first


@torch.no_grad()
def _distance(model: Model, crops: _Crops, style: Tensor) -> Tensor:
    parts = [_difference(model, crops.part([number]), style, number) for number in range(len(crops.image))]
    return torch.stack(parts).mean()


def _difference(model: Model, crops: _Crops, style: Tensor, seed: int) -> Tensor:
    """L1 of stain statistics, and of the mean colours of nuclei and of all else, in [-1, 1]."""
    generator, n = model.painter.generator, len(crops.image)
    noise = generator.draw_noise(n, CROP, CROP, torch.Generator(style.device).manual_seed(seed))
    painted = generator(crops.layout, style.expand(n, -1), noise)
    return losses.stain(crops.image, painted) + losses.regions(crops.image, painted, crops.nuclei)

"""Repaint an image, or a data set, in another style while the nuclei stay where they are.

The image's nuclei come from a mask that is given or from a segmenter; everything else is painted anew: what the mask
does not name (glands, vessels, fibres) is not kept, or coarsely, by a tissue map. Size and micrometres a pixel are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sian.data.dataset import DatasetInfo
from sian.data.writing import DatasetWriter
from sian.errors import BadInput
from sian.files.images import encode_png
from sian.files.locks import only_writer
from sian.layout import describe
from sian.masks import check_mask_of, nucleus_ids
from sian.synthesis import Style
from sian.synthesis.labels import png_text
from sian.synthesis.magnification import rescale_image, rescale_mask, scaling
from sian.synthesis.model_classes import left_over

if TYPE_CHECKING:
    from sian.data import Dataset
    from sian.layout import Layout
    from sian.synthesis import Model
    from sian.synthesis.model import StyleLike

OWN = "own"  # the style of the image itself
Keep = Literal["nuclei", "tissue"]  # of the image that is repainted
Segment = Callable[[NDArray[np.uint8]], NDArray[np.int32]]
Report = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Restyled:
    """A repainted image.

    Attributes:
        image: (H, W, 3) uint8, of the source's size.
        mask: (H, W) int32, what was painted.
        style: in which.
        scaling: what was rescaled, in words; "" if nothing was asked for.
        keeps: "tissue", or "nuclei" alone.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.int32]
    style: Style
    scaling: str
    keeps: Keep = "nuclei"

    def __repr__(self) -> str:
        """Size, nuclei and style."""
        height, width = self.mask.shape
        return f"Restyled({height} x {width} px, {len(nucleus_ids(self.mask))} nuclei, {self.style!r})"

    def _repr_png_(self) -> bytes:
        """The picture, as notebooks ask for it."""
        return encode_png(self.image)


def restyle(
    image: NDArray[np.uint8],
    style: StyleLike,
    *,
    model: Model,
    mask: NDArray[Any] | None = None,
    segment: Segment | None = None,
    mpp: float | None = None,
    seed: int = 0,
    noise: float = 1.0,
    classes: Mapping[int, str] | None = None,
    keep: Keep | None = None,
) -> Restyled:
    """Paint an image's nuclei in another style.

    Args:
        image: (H, W, 3) uint8.
        style: see `Model.style`; "own" is the image's own.
        model: what paints.
        mask: (H, W) instance mask of the image, if there is one.
        segment: what makes a mask if none is given, e.g. ``sian.segmentation.load().predict``; None is the bundled
            segmenter.
        mpp: micrometres a pixel of image and mask. They are rescaled to the model's, and the painting back. Without it
            nothing is rescaled.
        seed: random seed of the noise.
        noise: strength of the noise.
        classes: class names of the mask's nuclei by id, for a model that knows classes.
        keep: "nuclei" paints everything else anew. "tissue" also keeps, coarsely, what is empty, how dense the rest is
            and how its fibres run; this needs a model that was trained with tissue maps. None is "tissue" for such a
            model, "nuclei" for others.

    Raises:
        BadInput: no image, a mask of another size, an unknown style, an absurd mpp, a model that was trained without
            what is to be kept, or no nucleus was found.
    """
    given = None if mask is None else check_mask_of(mask, image)
    way = scaling(mpp, model.info.mpp) if mpp is not None else None
    size = image.shape[0], image.shape[1]
    shape = way.shape(size) if way else size
    seen = rescale_image(image, shape)
    own = isinstance(style, str) and style == OWN
    vector = Style(model.encode(seen).vector, OWN) if own else model.style(style)
    found = (segment or _bundled())(seen) if given is None else rescale_mask(given, shape)
    if not found.any():
        raise BadInput(
            "found no nucleus in the image, expected some to paint; give its mask with --mask, or its --mpp if it is "
            "of another magnification than the model's"
        )
    layout: NDArray[np.int32] | Layout = found
    keep = what_is_kept(keep, model)
    tissue = seen if keep == "tissue" else None
    if model.info.classes and classes is not None:
        layout = describe(found, left_over(classes, found if given is None else given, found))
    painted = model.synthesize(layout, vector, seed=seed, noise=noise, tissue=tissue)
    kept = rescale_mask(found, size) if given is None else given
    return Restyled(rescale_image(painted, size), kept, vector, str(way) if way else "", keep)


def restyle_dataset(
    data: Dataset,
    style: StyleLike,
    folder: str | Path,
    *,
    model: Model,
    mpp: float | None = None,
    seed: int = 0,
    noise: float = 1.0,
    keep: Keep | None = None,
    report: Report | None = None,
) -> int:
    """Paint every item of a data set in another style into a new data set; safe to run again.

    Ids, masks, classes, organs, splits and patients are those of the source; each item says which model, style and
    seed painted it. Item i gets the noise of seed + i.

    Args:
        data: with its masks.
        style: see `restyle`.
        folder: the data set to make; items that it holds already, of the same model, style and seed, are kept.
        model: what paints.
        mpp: of all items, to be rescaled; None rescales nothing.
        seed: of the first item's noise.
        noise: its strength.
        keep: see `restyle`.
        report: called with (items done, items in all).

    Returns:
        How many items were painted now.

    Raises:
        BadInput: an item cannot be painted, or the folder holds something else.
    """
    if Path(folder).resolve() == data.folder.resolve():
        raise BadInput(f"{folder}: is the data set that is repainted, expected another folder; choose another --output")
    own = isinstance(style, str) and style == OWN
    fixed: StyleLike = OWN if own else model.style(style)
    name = OWN if own else str(getattr(fixed, "name", style))
    in_bank = own or (isinstance(style, str) and style in model.styles)  # a file may be called as an organ is
    keep = what_is_kept(keep, model)
    name = _recorded(name, OWN if in_bank else fixed, noise, mpp, keep)
    with only_writer(folder):
        writer = DatasetWriter(folder, _info(data, model))
        painted = 0
        for number, item in enumerate(data):
            known = writer.items.get(item.id)
            done = known and (known.model, known.style, known.seed) == (model.sha256, name, seed + number)
            if not (done and known and known.sha256_mask == item.sha256_mask):
                mask = data.mask(item)
                try:
                    made = _paint(
                        data.image(item), mask, fixed, model, mpp, seed + number, noise, item.class_by_id or None, keep
                    )
                except BadInput as error:
                    raise BadInput(f"{data.folder}: item {item.id}: {error}") from None
                writer.add(
                    item.id,
                    made.image,
                    mask,
                    text=restyled_text(model, made, seed + number, item.id),
                    organ=item.organ,
                    split=item.split,
                    preparation=item.preparation,
                    patient=item.patient,
                    mpp=item.mpp if mpp is None else mpp,
                    source=f"{data.info.name}: {item.source}" if item.source else data.info.name,
                    classes=item.classes,
                    model=model.sha256,
                    style=name,
                    seed=seed + number,
                )
                painted += 1
            if report:
                report(number + 1, len(data))
    return painted


def what_is_kept(keep: Keep | None, model: Model) -> Keep:
    """What is kept: what was asked for, or as much as the model can."""
    return keep or ("tissue" if model.takes_tissue else "nuclei")


def _recorded(name: str, style: StyleLike, noise: float, mpp: float | None, keep: Keep) -> str:
    """An item's `style`: its name, and what else decides the painting where it is not the default.

    A rerun must not take a painting of another reference picture, noise or magnification for its own.
    """
    parts = [name]
    if isinstance(style, Style):
        parts.append(f"vector {hashlib.sha256(style.vector.tobytes()).hexdigest()[:12]}")
    parts += [f"noise {noise:g}"] if noise != 1 else []
    parts += [f"mpp {mpp:g}"] if mpp is not None else []
    parts += [f"keeps {keep}"] if keep != "nuclei" else []
    return ", ".join(parts)


def restyled_text(model: Model, made: Restyled, seed: int, source: str) -> dict[str, str]:
    """PNG text of a repainted image: that it is synthetic, of what, and what was rescaled."""
    text = {**png_text(model, made.style, seed), "Repainted from": source, "Keeps": made.keeps}
    return {**text, "Rescaled": made.scaling} if made.scaling else text


def _paint(
    image: NDArray[np.uint8],
    mask: NDArray[np.int32],
    style: StyleLike,
    model: Model,
    mpp: float | None,
    seed: int,
    noise: float,
    classes: Mapping[int, str] | None,
    keep: Keep,
) -> Restyled:
    """One item; a mask without nuclei is as good as any other here: its background is painted."""
    if mask.any():
        return restyle(
            image, style, model=model, mask=mask, mpp=mpp, seed=seed, noise=noise, classes=classes, keep=keep
        )
    vector = model.encode(image) if isinstance(style, str) else model.style(style)
    name = OWN if isinstance(style, str) else vector.name
    tissue = image if keep == "tissue" else None
    painted = model.synthesize(mask, vector, seed=seed, noise=noise, mpp=mpp, tissue=tissue)
    way = scaling(mpp, model.info.mpp) if mpp is not None else None
    return Restyled(painted, mask, Style(vector.vector, name), str(way) if way else "", keep)


def _info(data: Dataset, model: Model) -> DatasetInfo:
    licence = data.info.licence
    if licence != model.info.licence:
        licence = f"{model.info.licence} (paintings) and {licence} (masks)"
    return DatasetInfo(
        name=f"{data.info.name} restyled",
        mpp=data.info.mpp,
        licence=licence,
        source=f"repainted from {data.info.name} ({data.info.source or data.folder.name}) by SIAN",
        synthetic=True,
        classes=list(data.info.classes),
    )


def _bundled() -> Segment:
    from sian.segmentation import load

    return load().predict

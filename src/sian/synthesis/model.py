"""A loaded model: masks in, H&E images out, in any style (paper, section 3.3, "During inference")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sian.errors import BadInput, shown, warn
from sian.files import read_image
from sian.files.images import PICTURE_SUFFIXES
from sian.layout import Layout, describe
from sian.masks import check_mask, median_area
from sian.networks import REFERENCE_SIZE, STRIDE, Brush, Painter, move_to
from sian.synthesis.brushes import Backend, Brushes
from sian.synthesis.looks import Looks
from sian.synthesis.magnification import Scaling, rescale_image, rescale_mask, scaling
from sian.synthesis.model_classes import Classes, classes_of_each, left_over, with_classes
from sian.synthesis.model_tissue import Tissue, tissue_of_each, with_its_tissue
from sian.synthesis.modelfile import ModelInfo
from sian.synthesis.painting import Noise, encode_windows, paint
from sian.synthesis.stylefile import SUFFIX, read_style
from sian.synthesis.styles import OrganStyles, Style, Styles, mixture, parse_mixture

SMALLEST_REFERENCE = 32  # px
MOST_DIGITS = 18  # of a drawn style's number
MOST_WINDOWS = 64  # of a reference image that its style is averaged over
FIT_ONE = "the painting may not look like it; if it is H&E, fit a style to it (`sian style`)"
AREA_RATIO = 2.5  # median nucleus areas that differ by more are usually of another magnification

Image: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[Any]
StyleLike: TypeAlias = "str | Path | Image | NDArray[np.floating[Any]] | Mapping[str, float] | Style | OrganStyles"


class Model:
    """A painter with its style bank.

    Attributes:
        info: what the model file says of itself: organs, recipe, training, metrics, licence.
        styles: the style bank; ``model.styles["kidney"].sample(seed=3)``, and iterating gives organ names.
        sha256: the file's, which is the model's name in plans and reports.
        painter: generator and encoder, in eval mode.
        looks: what its training windows look like; None if the file does not say.
    """

    def __init__(
        self,
        info: ModelInfo,
        painter: Painter,
        styles: Styles,
        sha256: str,
        looks: Looks | None = None,
        *,
        backend: Backend = "torch",
    ) -> None:
        self.looks = looks
        self.info, self.painter, self.styles, self.sha256 = info, painter.eval(), styles, sha256
        self.painter.requires_grad_(False)
        self._brushes = Brushes(backend)

    def __repr__(self) -> str:
        info = self.info
        mpp = f"{info.mpp:g} um a pixel" if info.mpp else "unknown magnification"
        classes = f"; classes: {', '.join(info.classes)}" if info.classes else ""
        tissue = "; takes tissue maps" if self.takes_tissue else ""
        styles = f"styles: {', '.join(self.styles)}" if self.has_style else "no styles"
        return f"Model({info.name!r}, {mpp}; {styles}{classes}{tissue})"

    @property
    def has_style(self) -> bool:
        """Whether it paints in styles; pix2pix, pix2pixHD and Sharp-GAN do not."""
        return self.painter.generator.style_dim > 0

    @property
    def takes_tissue(self) -> bool:
        """Whether it was trained with tissue maps."""
        return self.painter.generator.tissue

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.painter.parameters()).device

    @property
    def backend(self) -> Backend:
        """What computes the paintings, see `sian.load`."""
        return self._brushes.backend

    def to(self, device: str) -> Model:
        """Move to a device, e.g. "cuda"; returns the same model."""
        move_to(self.painter, device)
        return self

    @overload
    def synthesize(
        self,
        masks: Mask | Layout,
        style: StyleLike,
        *,
        seed: int = 0,
        noise: float = 1.0,
        origin: tuple[int, int] = (0, 0),
        mpp: float | None = None,
        classes: Classes | None = None,
        tissue: Tissue | None = None,
    ) -> Image: ...

    @overload
    def synthesize(
        self,
        masks: Sequence[Mask | Layout],
        style: StyleLike,
        *,
        seed: int = 0,
        noise: float = 1.0,
        origin: tuple[int, int] = (0, 0),
        mpp: float | None = None,
        classes: Sequence[Classes | None] | None = None,
        tissue: Sequence[Tissue | None] | None = None,
    ) -> list[Image]: ...

    def synthesize(
        self,
        masks: Mask | Layout | Sequence[Mask | Layout],
        style: StyleLike,
        *,
        seed: int = 0,
        noise: float = 1.0,
        origin: tuple[int, int] = (0, 0),
        mpp: float | None = None,
        classes: Classes | Sequence[Classes | None] | None = None,
        tissue: Tissue | Sequence[Tissue | None] | None = None,
    ) -> Image | list[Image]:
        """Paint instance masks.

        The same model, layout, style vector and seed give the same image. Images of a list are painted one by one;
        image i gets the noise of seed + i.

        Args:
            masks: (H, W) integer, 0 background, one id a nucleus; or a `Layout`; or a list of these. Any size.
            style: see `style`.
            seed: of the per-pixel noise, at least 0.
            noise: its strength, at least 0. With 0 the texture is flat and repeats.
            origin: absolute (y, x) of the first pixel, multiples of 32: windows of one image get the same noise.
            mpp: micrometres a pixel of the masks, 0.02 to 10: they are rescaled to the model's by nearest neighbour,
                and the painting back to their size. Without it nothing is rescaled.
            classes: for a model that knows nuclear classes (``info.classes``): class name by id, e.g. {1: "dead"}; of a
                list of masks a list. Layouts bring their own: `sian.describe(mask, classes={id: name})`.
            tissue: for a model that was trained with it: what lies between the nuclei, as the image (H, W, 3) uint8
                that shows it, or as a map (`sian.tissue_map`, or drawn by hand); of a list of masks a list. Layouts
                bring their own: `sian.describe(mask, tissue=image)`. Where nothing is said, such a model draws by the
                seed what the tiles of the nearest style have.

        Returns:
            (H, W, 3) uint8, or a list of these.

        Raises:
            BadInput: not an instance mask, no classes for a model that knows some, tissue for one that takes none or of
                another size, an unknown style, a seed or a noise below 0, an origin off the grid of 32 px. Nothing is
                painted when one of several masks is bad.

        Warns:
            SianWarning: the nuclei's median area is off by more than 2.5 times from what the model saw, or the
                reference image is unlike all that it saw, or the model has no style.
        """
        if seed < 0 or not 0 <= noise < np.inf or any(side % STRIDE for side in origin):
            raise BadInput(
                f"expected a seed and a noise of at least 0 and an origin of multiples of {STRIDE}, "
                f"found {seed}, {noise} and {origin}"
            )
        several = _checked_masks(masks)
        count = len(several) if isinstance(masks, Sequence) else None
        named, between = classes_of_each(classes, count), tissue_of_each(tissue, count)
        shapes = [mask.shape for mask in several]
        if mpp is not None:
            several, named = _rescaled(several, named, scaling(mpp, self.info.mpp))
        classified = [with_classes(mask, self.info.classes, own) for mask, own in zip(several, named, strict=True)]
        told = [
            with_its_tissue(mask, own, shape, "" if self.takes_tissue else self.info.name)
            for mask, own, shape in zip(classified, between, shapes, strict=True)
        ]
        self.check_area(median_area([mask for mask in several if not isinstance(mask, Layout)]), mpp)
        vector = torch.from_numpy(self.style(style).vector).to(self.device)
        brush = self.brush(vector[None])
        images = [
            paint(self.painter.generator, layout, vector, Noise(seed + number, noise, origin), brush=brush)
            for number, layout in enumerate(_layouts(told))
        ]
        images = [rescale_image(image, (shape[0], shape[1])) for image, shape in zip(images, shapes, strict=True)]
        return images if isinstance(masks, Sequence) else images[0]

    def style(self, wanted: StyleLike) -> Style:
        """Turn any way to name a style into one vector.

        Args:
            wanted: an organ ("kidney"), with its preparation ("colon/frozen"), a draw from the bank ("kidney#3"), a
                mixture ("kidney=0.7+breast=0.3" or {"kidney": 0.7, "breast": 0.3}), the path of an image or a slide, an
                image (H, W, 3) uint8 of at least 32 px, a vector (D,), the path of a style's file (.json, `sian
                style`), or what the bank, `encode` and `sian.fit_style` return.

        Raises:
            BadInput: an unknown name (the nearest one is offered), an image that is too small, a wrong vector.

        Warns:
            SianWarning: the model has no style, so the style changes nothing.
        """
        if not self.has_style and not isinstance(wanted, Style):
            warn(f"{self.info.name}: this model has no style; a mask gets the same picture whatever style is asked for")
        if isinstance(wanted, Style):
            return self._checked(wanted)
        if isinstance(wanted, OrganStyles):
            return self._checked(Style(wanted.vector, wanted.name))
        if isinstance(wanted, Mapping):
            return mixture(wanted, self.styles)
        if isinstance(wanted, np.ndarray):
            if wanted.ndim == 1:
                return self._checked(Style(wanted.astype(np.float32), "vector"))
            return self._encode(np.asarray(wanted), "the style image")
        text = str(wanted)
        if text.lower().endswith(SUFFIX):
            return read_style(Path(text), self.sha256, self.painter.generator.style_dim)
        if isinstance(wanted, Path) or text.lower().endswith(PICTURE_SUFFIXES):
            from sian.slides.tissue import read_reference  # with all readers of slides, which few need

            return self._encode(read_reference(text), text)
        return self._named(text)

    def encode(self, image: Image | str | Path) -> Style:
        """The style of a reference image: the encoder's mean, averaged over the image's 256 px windows.

        Args:
            image: (H, W, 3) uint8, at least 32 x 32 px (smaller than 256 px is mirrored), or a path.
        """
        pixels = image if isinstance(image, np.ndarray) else read_image(image)
        name = "the style image" if isinstance(image, np.ndarray) else str(image)
        return self._encode(pixels, name)

    def brush(self, style: Tensor) -> Brush | None:
        """What paints in a style (1, D): see `sian.synthesis.brushes`; None for the generator itself."""
        return self._brushes.brush(self.painter.generator, style)

    def _named(self, text: str) -> Style:
        if "=" in text:
            return mixture(parse_mixture(text), self.styles)
        name, hash_sign, number = text.partition("#")
        if not hash_sign:
            return Style(self.styles[name].vector, name)
        if not number.isdecimal() or len(number) > MOST_DIGITS:
            raise BadInput(
                f"style {shown(text)}: expected ORGAN#NUMBER of at most {MOST_DIGITS} digits, e.g. 'kidney#3'"
            )
        return self.styles[name].sample(int(number))

    @torch.inference_mode()
    def _encode(self, image: Image, name: str) -> Style:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise BadInput(
                f"{name}: expected a style image as (H, W, 3) uint8, found {image.shape} {image.dtype}; "
                "give it in colour, 0 to 255 (see sian.read_image)"
            )
        if min(image.shape[:2]) < SMALLEST_REFERENCE:
            height, width = image.shape[:2]
            raise BadInput(
                f"{name}: found {height} x {width} px, expected a style image of at least {SMALLEST_REFERENCE} x "
                f"{SMALLEST_REFERENCE} px; give a larger piece of the slide"
            )
        windows = encode_windows(image, REFERENCE_SIZE, MOST_WINDOWS).to(self.device)
        means = torch.cat([self.painter.encoder(window[None])[0] for window in windows])
        strange = self.looks.distance(windows.cpu()) if self.looks else None
        quantile = self.looks.quantile(strange) if self.looks and strange is not None else None
        style = Style(means.mean(0).float().cpu().numpy(), Path(name).stem, quantile)
        distance = self.styles.distance(style.vector)
        if distance > self.info.reference_distances.high:
            warn(
                f"{name}: its style lies {distance:.1f} deviations from the nearest one that the model saw (99 % of "
                f"training windows: within {self.info.reference_distances.high:.1f}); {FIT_ONE}"
            )
        elif self.looks and strange is not None and strange > self.looks.high:
            warn(
                f"{name}: its stain or sharpness is unlike all that the model saw (more unusual than 99 % "
                f"of windows of training tiles left out: {strange:.1f}, those within {self.looks.high:.1f}); {FIT_ONE}"
            )
        return style

    def _checked(self, style: Style) -> Style:
        dimensions = self.painter.generator.style_dim
        if style.vector.shape != (dimensions,) or not np.isfinite(style.vector).all():
            raise BadInput(
                f"expected a style vector of {dimensions} finite numbers, found {style.vector.shape}; "
                "vectors belong to the model that made them"
            )
        return style

    def _advice(self, ratio: float, mpp: float | None) -> str:
        """What to try when the nuclei, taken to be of that mpp, are `ratio` times as large as they should be."""
        if self.info.mpp is None:
            return f"if the magnification differs, scale the mask by {ratio**-0.5:.2f} with nearest neighbour"
        return (
            f"if the magnification differs, say so (--mpp, mpp=); {(mpp or self.info.mpp) * ratio**-0.5:.2g} would fit"
        )

    def check_area(self, area: float, mpp: float | None = None) -> None:
        """Warn when the nuclei's median area, in px at the model's magnification, differs from what the model saw.

        Args:
            area: nan for no nucleus.
            mpp: that the masks were said to have.

        Warns:
            SianWarning: it is off by more than 2.5 times.
        """
        expected = self.info.median_nucleus_area
        if np.isfinite(area) and not 1 / AREA_RATIO <= area / expected <= AREA_RATIO:
            ratio = area / expected
            size = f"{ratio:.1f} times larger" if ratio > 1 else f"{1 / ratio:.1f} times smaller"
            warn(
                f"the masks' nuclei are {size} in area (median {area:.0f} px) than those the model saw "
                f"({expected:.0f} px); "
                f"{self._advice(ratio, mpp)}"
            )


def _rescaled(
    masks: Sequence[NDArray[np.int32] | Layout], classes: Sequence[Classes | None], way: Scaling
) -> tuple[list[NDArray[np.int32] | Layout], list[Classes | None]]:
    found: list[NDArray[np.int32] | Layout] = []
    left: list[Classes | None] = []
    for mask, own in zip(masks, classes, strict=True):
        if isinstance(mask, Layout):
            raise BadInput("mpp: a layout cannot be rescaled, expected instance masks; give the masks themselves")
        rescaled = rescale_mask(mask, way.shape(mask.shape))
        found.append(rescaled)
        left.append(left_over(own, mask, rescaled))
    return found, left


def _checked_masks(masks: Mask | Layout | Sequence[Mask | Layout]) -> list[NDArray[np.int32] | Layout]:
    if not isinstance(masks, Sequence):
        return [masks if isinstance(masks, Layout) else check_mask(masks)]
    return [m if isinstance(m, Layout) else check_mask(m, f"mask {place} of the list") for place, m in enumerate(masks)]


def _layouts(masks: Sequence[NDArray[np.int32] | Layout]) -> Iterator[Layout]:
    """The masks' layouts; while one is painted, the next is described."""
    with ThreadPoolExecutor(1) as ahead:
        coming = [ahead.submit(_layout, mask) for mask in masks[:1]]
        for following in masks[1:]:
            ready = coming.pop().result()
            coming.append(ahead.submit(_layout, following))
            yield ready
        for last in coming:
            yield last.result()


def _layout(mask: NDArray[np.int32] | Layout) -> Layout:
    return mask if isinstance(mask, Layout) else describe(mask)

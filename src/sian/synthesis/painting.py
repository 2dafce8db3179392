"""Layout and style vector to pixels, for any image size in bounded memory (docs/design.md, "Networks").

In eval mode the generator is local. Its coarse blocks (down to 1/8) run on the whole image; the fine ones, which hold
the memory, run in windows with a margin that covers what they see, so that the result is that of one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sian.errors import BadInput, warn
from sian.layout import Layout
from sian.memory import give_back
from sian.networks import (
    ALL_CHANNELS,
    FINE,
    LEVELS,
    NO_MARGINS,
    Brush,
    GeneratorInterface,
    LevelGenerator,
    Margins,
    PlainBrush,
    noise_at,
    pixels_of,
    signed_images,
    stack_layouts,
)
from sian.windows import test_offsets

WINDOW = 512  # px of a window's core; smaller ones paint more margin, larger ones hold more memory
MARGIN = 32  # px around it; the fine blocks and the last convolution see 27 px (5 at 1/4, then 2 and 2, then 1)
COARSE = 8  # px of the image in a pixel of the features that the fine blocks begin with
REACH = 64  # px of layout around an area that its coarse blocks see, see `paint_area`
AREA_MARGIN = 16  # px around an area that its fine blocks see; half of what it would take to be exact at its rim
MOST_WHOLE = 2048 * 2048  # px that a generator which cannot paint in windows is given without a warning


Area: TypeAlias = tuple[int, int, int, int]  # top, left, bottom, right
PartDone: TypeAlias = Callable[[int, int, NDArray[np.uint8]], None]


@dataclass(frozen=True)
class Noise:
    """Which noise an image gets.

    Attributes:
        seed: of the image.
        strength: factor; 0 paints without noise.
        origin: absolute (y, x) of the image's first pixel, multiples of 32.
    """

    seed: int = 0
    strength: float = 1.0
    origin: tuple[int, int] = (0, 0)


@torch.inference_mode()
def paint(
    generator: GeneratorInterface,
    layout: Layout,
    style: Tensor,
    noise: Noise,
    window: int = WINDOW,
    *,
    brush: Brush | None = None,
    part_done: PartDone | None = None,
) -> NDArray[np.uint8]:
    """Paint one image: in windows beyond a size where the generator is local, else in one pass.

    Args:
        generator: in eval mode.
        layout: of any size.
        style: (D,) on the generator's device.
        noise: see `Noise`.
        window: px of the windows of the fine blocks, a multiple of 32; images up to this size go in one pass.
        brush: what computes in the place of a local generator, in this style; without one, the generator itself.
        part_done: called with each window as it is painted: its first row and column in the image, and its pixels,
            which may reach beyond the image's end.

    Returns:
        (H, W, 3) uint8.

    Raises:
        BadInput: the generator needs boundary and depth, and the layout has none; or its numbers overflow, or all of
            the painting is black, as only damaged weights and absurd styles make it.

    Warns:
        SianWarning: an image of more than 2048 x 2048 px for a generator that is not local.
    """
    height, width = layout.shape
    padded = _padded(layout, generator.stride, generator.smallest)
    vector = style[None]
    if not isinstance(generator, LevelGenerator):
        return _painted(_whole(generator, padded, vector, noise), height, width)
    brush = brush or PlainBrush(generator, vector)
    canvas = _Canvas(generator, brush, padded, vector, noise)
    image = np.empty((*padded.shape, 3), np.uint8)
    coarse = canvas.coarse()  # (1, c, H / 8, W / 8)
    size = window if max(padded.shape) > window + 2 * MARGIN else max(padded.shape)
    for part in _parts(padded.shape, size):
        image[part.core] = pixels_of(_sound(canvas.fine(coarse, part)))[0]
        if part_done is not None:
            part_done(part.core[0].start, part.core[1].start, image[part.core])
    return _painted(image, height, width)


def _painted(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The painting without its padding."""
    if not image.any():
        raise BadInput("every painted pixel is black; the model's weights or the style are damaged; export it again")
    return np.ascontiguousarray(image[:height, :width])


@torch.inference_mode()
def paint_area(
    generator: LevelGenerator,
    layout: Layout,
    style: Tensor,
    noise: Noise,
    area: Area,
    reach: int = REACH,
    margin: int = AREA_MARGIN,
    *,
    brush: Brush | None = None,
) -> NDArray[np.uint8]:
    """Paint a part of an image nearly as `paint` would, in the time that the part takes.

    The coarse blocks see far, but hardly: what they see here ends `reach` px beyond the area. Measured on an area of
    112 px in the kidney style with the whole margin, against the whole painting, in grey levels: 2.8 off on average for
    a reach of 32 px (99 % within 19), 1.3 for 48 px (11), 0.8 for 64 px (6), 0.3 for 96 px (2), 0.1 for 128 px (1). A
    margin of 16 px for the fine blocks adds 0.04 and saves a quarter of the time.

    Args:
        generator: in eval mode.
        layout: of the whole image.
        style: (D,) on the generator's device.
        noise: of the whole image.
        area: top, left, bottom, right in px, within the layout.
        reach: px that the coarse blocks see around the area.
        margin: px that the fine blocks see around it, a multiple of 8; 32 is all that they can see.
        brush: as for `paint`.

    Returns:
        (bottom - top, right - left, 3) uint8.
    """
    stride = generator.stride
    top, left = (max(0, side - reach) // stride * stride for side in area[:2])
    bottom, right = (
        min(whole, -(-(side + reach) // stride) * stride) for side, whole in zip(area[2:], layout.shape, strict=True)
    )
    cut = _padded(layout.window(top, left, bottom - top, right - left), stride, generator.smallest)
    shifted = replace(noise, origin=(noise.origin[0] + top, noise.origin[1] + left))
    vector = style[None]
    canvas = _Canvas(generator, brush or PlainBrush(generator, vector), cut, vector, shifted)
    part = _part_around(area[0] - top, area[1] - left, area[2] - top, area[3] - left, cut.shape, margin)
    rows, columns = area[0] - top - part.core[0].start, area[1] - left - part.core[1].start
    pixels = pixels_of(canvas.fine(canvas.coarse(), part))[0]
    return np.ascontiguousarray(pixels[rows : rows + area[2] - area[0], columns : columns + area[3] - area[1]])


@torch.inference_mode()
def paint_core(
    generator: LevelGenerator,
    layout: Layout,
    style: Tensor,
    noise: Noise,
    core: Area,
    *,
    brush: Brush | None = None,
) -> NDArray[np.uint8]:
    """Paint a part of an image of which only the part's surroundings are there (`sian.synthesis.supertiles`).

    Args:
        generator: in eval mode.
        layout: of the part with all that it can see around it; its first px are a multiple of 32 from the image's.
        style: (D,) on the generator's device.
        noise: whose origin is the layout's first px.
        core: top, left, bottom, right of the part in the layout, multiples of 32 unless the layout ends there.
        brush: as for `paint`.

    Returns:
        (bottom - top, right - left, 3) uint8, what `paint` makes of the whole image there, up to rounding.
    """
    padded = _padded(layout, generator.stride, generator.smallest)
    vector = style[None]
    canvas = _Canvas(generator, brush or PlainBrush(generator, vector), padded, vector, noise)
    top, left, *ends = core
    bottom, right = (
        whole if end == own else end for end, own, whole in zip(ends, layout.shape, padded.shape, strict=True)
    )
    seen = _part_around(top, left, bottom, right, padded.shape, MARGIN)
    features = canvas.coarse((seen.top, seen.left, padded.shape[0] - seen.bottom, padded.shape[1] - seen.right))
    give_back()  # the coarse blocks' memory, which windows of another size would not fit into
    image = np.empty((bottom - top, right - left, 3), np.uint8)
    for y in range(top, bottom, WINDOW):
        for x in range(left, right, WINDOW):
            part = _part_around(y, x, min(y + WINDOW, bottom), min(x + WINDOW, right), padded.shape, MARGIN)
            rows, columns = (
                slice(cut.start - first, cut.stop - first) for cut, first in zip(part.core, core[:2], strict=True)
            )
            image[rows, columns] = pixels_of(_sound(canvas.fine(features, part, (seen.top, seen.left))))[0]
    return np.ascontiguousarray(image[: ends[0] - top, : ends[1] - left])


def _part_around(top: int, left: int, bottom: int, right: int, shape: tuple[int, int], margin: int) -> _Part:
    """The smallest window of whole pixels of the coarse features that covers an area, with its margin."""
    top, left = top // COARSE * COARSE, left // COARSE * COARSE
    bottom, right = -(-bottom // COARSE) * COARSE, -(-right // COARSE) * COARSE
    return _Part(
        max(0, top - margin),
        max(0, left - margin),
        min(shape[0], bottom + margin),
        min(shape[1], right + margin),
        (slice(top, bottom), slice(left, right)),
    )


def _sound(image: Tensor) -> Tensor:
    """A window of the painting, which must be numbers."""
    if not bool(torch.isfinite(image.sum())):
        raise BadInput(
            "the model's numbers overflow while it paints; its weights or the style are damaged; export it again"
        )
    return image


def _whole(generator: GeneratorInterface, layout: Layout, style: Tensor, noise: Noise) -> NDArray[np.uint8]:
    """One pass of a generator that normalises over the image: its windows would differ in colour and contrast."""
    height, width = layout.shape
    if height * width > MOST_WHOLE:
        warn(
            f"this network normalises over the whole image and paints {height} x {width} px in one pass, which needs "
            "much memory; SIAN and SPADE paint large images in windows"
        )
    maps = layout_tensor(layout, style, generator)
    drawn: list[Tensor | None] = [
        None if part is None or not noise.strength else noise.strength * part.to(style.device)
        for part in generator.noise_of(noise.seed, height, width)
    ]
    painted: NDArray[np.uint8] = pixels_of(generator(maps, style, drawn))[0]
    return painted


@dataclass(frozen=True)
class _Part:
    """A window with its margin, in px of the padded image."""

    top: int
    left: int
    bottom: int
    right: int
    core: tuple[slice, slice]

    @property
    def margins(self) -> Margins:
        rows, columns = self.core
        return rows.start - self.top, columns.start - self.left, self.bottom - rows.stop, self.right - columns.stop


def _parts(shape: tuple[int, int], window: int) -> Iterator[_Part]:
    height, width = shape
    for y in range(0, height, window):
        for x in range(0, width, window):
            core = (slice(y, min(y + window, height)), slice(x, min(x + window, width)))
            yield _Part(
                max(0, y - MARGIN),
                max(0, x - MARGIN),
                min(height, core[0].stop + MARGIN),
                min(width, core[1].stop + MARGIN),
                core,
            )


@dataclass(frozen=True)
class _Canvas:
    """What all windows of an image share."""

    generator: LevelGenerator
    brush: Brush
    layout: Layout  # padded
    style: Tensor  # (1, D)
    noise: Noise

    def coarse(self, margins: Margins = NO_MARGINS) -> Tensor:
        """Features after the last coarse block without margins; the coarse layouts are averaged strip by strip."""
        height, width = self.layout.shape
        strips = [self._pyramid(y, 0, min(WINDOW, height - y), width, 6)[3:] for y in range(0, height, WINDOW)]
        maps = {level: torch.cat([strip[level - 3] for strip in strips], 2) for level in (3, 4, 5)}
        noise = [self._noise(index, 0, 0, maps[LEVELS[index]]) for index in range(FINE)]
        return self.brush.coarse(maps, noise, margins)

    def fine(self, coarse: Tensor, part: _Part, first: tuple[int, int] = (0, 0)) -> Tensor:
        """The core of one window, (1, 3, h, w)."""
        cut = part.top, part.left, part.bottom - part.top, part.right - part.left
        maps = dict(enumerate(self._pyramid(*cut, 3)))
        top, left, bottom, right = (
            (side - start) // COARSE
            for side, start in zip((part.top, part.left, part.bottom, part.right), (*first, *first), strict=True)
        )
        x = coarse[..., top:bottom, left:right]  # `first` is the features' first px
        drawn = [
            self._noise(index, part.top >> LEVELS[index], part.left >> LEVELS[index], maps[LEVELS[index]])
            for index in range(FINE, len(LEVELS))
        ]
        return self.brush.fine(x, maps, drawn, part.margins)

    def _pyramid(self, top: int, left: int, height: int, width: int, levels: int) -> list[Tensor]:
        layout = self.layout.window(top, left, height, width)
        if self.generator.between:
            place = top + self.noise.origin[0], left + self.noise.origin[1], height, width
            layout = with_drawn(layout, self.generator.between(self.style, self.noise.seed, place))
        return self.generator.pyramid(layout_tensor(layout, self.style, self.generator), levels)

    def _noise(self, index: int, y: int, x: int, maps: Tensor) -> Tensor | None:
        """Noise of one block of the size of `maps`; `y` and `x` are relative to the image, in the block's pixels."""
        if index not in self.generator.noise_blocks or not self.noise.strength:
            return None
        level, (height, width) = LEVELS[index], maps.shape[-2:]
        top, left = y + (self.noise.origin[0] >> level), x + (self.noise.origin[1] >> level)
        return self.noise.strength * noise_at(self.noise.seed, level, top, left, height, width).to(self.style.device)


def _padded(layout: Layout, stride: int, smallest: int) -> Layout:
    """With background to the right and below, so that sides are multiples of the stride and long enough."""
    height, width = layout.shape
    bottom, right = (max(smallest, -(-side // stride) * stride) - side for side in (height, width))
    if not bottom and not right:
        return layout
    more = ((0, bottom), (0, right))
    return Layout(
        np.pad(layout.semantic, more),
        np.pad(layout.direction, more),
        np.pad(layout.distance, more),
        boundary=None if layout.boundary is None else np.pad(layout.boundary, more),
        depth=None if layout.depth is None else np.pad(layout.depth, more),
        classes=None if layout.classes is None else np.pad(layout.classes, more),
        class_names=layout.class_names,
        tissue=None if layout.tissue is None else np.pad(layout.tissue, (*more, (0, 0)), "edge"),
    )


def with_drawn(layout: Layout, drawn: NDArray[np.int8]) -> Layout:
    """A layout in which drawn tissue, (h, w, 5) int8, stands wherever its own map says nothing."""
    if layout.tissue is not None:
        drawn = np.where(layout.tissue[..., :1] > 0, layout.tissue, drawn)
    return replace(layout, tissue=drawn)


def layout_tensor(layout: Layout, like: Tensor, generator: GeneratorInterface) -> Tensor:
    """`sian.networks.stack` of a layout for a generator, (1, c, h, w), channels last, on the device of `like`."""
    extras = generator.layout_channels - generator.beside == ALL_CHANNELS
    if extras and (layout.boundary is None or layout.depth is None):
        raise BadInput("this model needs a layout's boundary and depth, found none; give the mask or sian.describe it")
    return stack_layouts([layout], generator.classes, extras=extras, tissue=generator.tissue, device=like.device)


def encode_windows(image: NDArray[np.uint8], size: int, most: int) -> Tensor:
    """The windows of an image that its style is averaged over.

    Args:
        image: (H, W, 3) uint8 of at least 32 x 32; sides shorter than `size` are mirrored until they reach it.
        size: side of a window.
        most: at most so many windows, evenly spread.

    Returns:
        (n, 3, size, size) in [-1, 1].
    """
    for axis in (0, 1):
        while image.shape[axis] < size:
            mirrored = np.concatenate([image, np.flip(image, axis)], axis)
            image = mirrored[:size] if axis == 0 else mirrored[:, :size]
    places = [(y, x) for y in test_offsets(image.shape[0], size) for x in test_offsets(image.shape[1], size)]
    if len(places) > most:
        places = [places[i] for i in np.linspace(0, len(places) - 1, most).round().astype(int)]
    windows = np.stack([image[y : y + size, x : x + size] for y, x in places])
    return signed_images(windows)

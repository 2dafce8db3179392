"""Paint a mask of any size into an OME-Zarr store or an OME-TIFF, in memory that one super-tile bounds.

The work lies in `TARGET.unfinished` until the target is whole. It goes on where it was after any stop, and several
processes may share it: start the same command again. The pixels do not depend on who painted which super-tile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import torch

from sian.errors import BadInput
from sian.files.tile_jobs import begin, finish, work_through
from sian.layout import Layout, describe
from sian.masks.files import tiff_description
from sian.slides.levels import Area
from sian.slides.mask_source import MaskSource, ScaledMask, open_mask
from sian.slides.nucleus_index import NucleusIndex, index_nuclei
from sian.slides.tiff_writing import TiffSlide
from sian.slides.zarr_writing import SlideFacts, ZarrSlide
from sian.synthesis.labels import png_text
from sian.synthesis.magnification import Scaling, scaling
from sian.synthesis.model_classes import with_classes
from sian.synthesis.painting import Noise
from sian.synthesis.supertiles import SIDE, SuperTile, check_local, paint_supertile, supertiles

if TYPE_CHECKING:
    from sian.networks import Brush
    from sian.synthesis import Model, Style
    from sian.synthesis.model import StyleLike

FORMAT = "sian.slide/1"
SlideForm = Literal["ome-zarr", "ome-tiff"]
SUFFIX: dict[str, str] = {"ome-zarr": ".ome.zarr", "ome-tiff": ".ome.tif"}
Report: TypeAlias = Callable[[int, int], None]


def paint_slide(
    mask: str | Path,
    style: StyleLike,
    target: str | Path,
    *,
    model: Model,
    form: SlideForm = "ome-zarr",
    seed: int = 0,
    noise: float = 1.0,
    mpp: float | None = None,
    classes: Mapping[int, str] | None = None,
    shape: tuple[int, int] | None = None,
    side: int = SIDE,
    report: Report | None = None,
) -> Path:
    """Paint a mask that need not fit into memory; the pixels of `Model.synthesize` up to rounding.

    Args:
        mask: tiled TIFF, OME-TIFF, OME-Zarr labels, `.npy` or GeoJSON; other masks are read whole.
        style: see `Model.style`.
        target: what to make; the form's suffix is added if it is not there.
        model: a SIAN model.
        form: OME-Zarr (needs ``sian[formats]``) or a tiled, pyramidal OME-TIFF; both hold micrometres a pixel.
        seed: of the noise.
        noise: its strength.
        mpp: of the mask, which is rescaled to the model's by nearest neighbour; the picture stays at the model's.
        classes: of nuclei by id, for a model that knows classes.
        shape: height and width of a GeoJSON mask; as far as its outlines reach if None.
        side: px of a super-tile, a multiple of 512.
        report: called with (super-tiles done, super-tiles in all).

    Returns:
        The target's path; at once if it is there already, made of the same.

    Raises:
        BadInput: no mask, nuclei larger than 512 px, a network that is not local, the target holds
            something else, or unfinished work of something else.
        MissingResource: the disk is full, or zarr is not installed. What was painted is kept.

    Warns:
        SianWarning: the nuclei's median area is not what the model saw.
    """
    if form not in get_args(SlideForm):
        raise BadInput(f"form {form!r}: expected one of {', '.join(get_args(SlideForm))}")
    target = with_suffix(target, form)
    check_local(model.painter.generator)
    vector = model.style(style)
    source = _scaled(open_mask(mask, shape), mpp, model)
    try:
        index = index_nuclei(source)
        model.check_area(float(np.median(index.areas)) if len(index) else np.nan, mpp)
        painter = _Painter(model, vector, source, index, Noise(seed, noise), classes)
        job = _job(model, vector, index, seed, noise, side, form, classes)
        digest = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
        if target.exists() and _holds(target, digest):
            return target
        notes = {**png_text(model, vector, seed, source.path.name), "Job": digest}
        facts = SlideFacts(target.name.removesuffix(SUFFIX[form]), index.shape, source.mpp, notes)
        tiles = supertiles(index.shape, side)
        begin(target, job, lambda folder: _writer(folder, facts, side, form).prepare())
        writer = _writer(target.with_name(f"{target.name}.unfinished"), facts, side, form)
        work_through(
            target,
            [tile.name for tile in tiles],
            lambda number: writer.write(tiles[number].core, painter.paint(tiles[number])),
            report,
        )
        finish(target, lambda folder: _complete(_writer(folder, facts, side, form), folder))
    finally:
        source.close()
    return target


def with_suffix(target: str | Path, form: str) -> Path:
    """A target's path with its form's suffix."""
    target = Path(target)
    return target if target.name.lower().endswith(SUFFIX[form]) else target.with_name(target.name + SUFFIX[form])


class _Painter:
    """What all super-tiles of a slide share."""

    def __init__(
        self,
        model: Model,
        style: Style,
        source: MaskSource | ScaledMask,
        index: NucleusIndex,
        noise: Noise,
        classes: Mapping[int, str] | None,
    ) -> None:
        self.model, self.style, self.source, self.index, self.noise = model, style, source, index, noise
        self.classes = classes
        self.generator = check_local(model.painter.generator)
        self.vector = torch.from_numpy(style.vector).to(model.device)
        self.brush: Brush | None = model.brush(self.vector[None])

    def paint(self, tile: SuperTile) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        layout = self.layout(tile.cut)
        pixels = paint_supertile(self.generator, layout, self.vector, self.noise, tile, self.brush)
        if not pixels.any():
            raise BadInput("every painted pixel is black; the model's weights or the style are damaged")
        return pixels

    def layout(self, cut: Area) -> Layout:
        """The layout of a part as it is on the whole: nuclei at its edge are described whole."""
        window = self.index.around(cut)
        ids = self.source.read(window)
        known = None
        if self.model.info.classes:
            present = set(np.unique(ids).tolist())
            known = {nucleus: name for nucleus, name in (self.classes or {}).items() if nucleus in present}
        found = with_classes(ids, self.model.info.classes, known)
        layout = found if isinstance(found, Layout) else describe(found)
        inner = cut.seen_from(window)
        return layout.window(inner.top, inner.left, inner.height, inner.width)


def _scaled(source: MaskSource, mpp: float | None, model: Model) -> MaskSource | ScaledMask:
    if mpp is None:
        return source
    way: Scaling = scaling(mpp, model.info.mpp)
    if way.factor == 1:
        return source
    height, width = (max(1, round(side * way.factor)) for side in source.shape)
    return ScaledMask(source, (height, width), model.info.mpp)


def _writer(folder: Path, facts: SlideFacts, side: int, form: str) -> ZarrSlide | TiffSlide:
    if form == "ome-zarr":
        return ZarrSlide(folder / "image", facts, side, chunk=min(side, 512))
    return TiffSlide(folder / "tiles", facts, side, tile=min(side, 512))


def _complete(writer: ZarrSlide | TiffSlide, folder: Path) -> Path:
    if isinstance(writer, ZarrSlide):
        writer.finish()
        return writer.group
    writer.finish(folder / "whole.ome.tif")
    return folder / "whole.ome.tif"


def _holds(target: Path, digest: str) -> bool:
    """Whether a finished slide is of the same mask, model, style and seed."""
    if target.is_dir():
        return digest in (target / "zarr.json").read_text(encoding="utf-8")
    return digest in tiff_description(target)


def _job(
    model: Model,
    style: Style,
    index: NucleusIndex,
    seed: int,
    noise: float,
    side: int,
    form: str,
    classes: Mapping[int, str] | None,
) -> dict[str, object]:
    """What decides the pixels: a second process, or a second run, must mean the same."""
    named = json.dumps(sorted((classes or {}).items()))
    return {
        "format": FORMAT,
        "model": model.sha256,
        "style": hashlib.sha256(style.vector.tobytes()).hexdigest(),
        "mask": index.digest,
        "classes": hashlib.sha256(named.encode()).hexdigest() if classes else "",
        "shape": list(index.shape),
        "seed": seed,
        "noise": noise,
        "side": side,
        "form": form,
    }

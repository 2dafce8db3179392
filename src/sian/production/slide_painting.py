"""Paint a mask of any size into an OME-Zarr store or an OME-TIFF, in memory that one super-tile bounds.

The work lies in `TARGET.unfinished` until the target is whole. It goes on where it was after any stop, and several
processes may share it: start the same command again. The pixels do not depend on who painted which super-tile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from sian.errors import BadInput, nearest
from sian.files.tile_jobs import begin, finish, unfinished_folder, work_ahead, work_through
from sian.masks.files import tiff_description
from sian.memory import give_back
from sian.production.executors import Failure, collected
from sian.production.starting import start
from sian.production.tile_painting import Crew, TileJob, TileKit, TilePainter
from sian.slides.between_nuclei import BetweenNuclei, OnPicture, between_nuclei
from sian.slides.levels import Area
from sian.slides.mask_source import MaskSource, ScaledMask, classes_in, open_mask
from sian.slides.nucleus_index import NucleusIndex, index_nuclei
from sian.slides.tiff_writing import TiffSlide
from sian.slides.zarr_writing import SlideFacts, ZarrSlide
from sian.synthesis.labels import png_text
from sian.synthesis.magnification import scaling
from sian.synthesis.model_classes import without_classes
from sian.synthesis.model_tissue import without_tissue
from sian.synthesis.painting import Noise
from sian.synthesis.supertiles import SIDE, SuperTile, check_local, supertiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sian.synthesis import Model, Style
    from sian.synthesis.model import StyleLike

FORMAT = "sian.slide/1"
SlideForm = Literal["ome-zarr", "ome-tiff"]
SUFFIX: dict[str, str] = {"ome-zarr": ".ome.zarr", "ome-tiff": ".ome.tif"}
TILES_AHEAD = 2  # super-tiles under way for each worker; each waits with 30 MB of ids
Report: TypeAlias = Callable[[int, int], None]
Tissue: TypeAlias = "NDArray[Any] | str | Path | OnPicture"


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
    tissue: Tissue | None = None,
    crew: Crew | None = None,
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
        classes: of nuclei by id, for a model that knows classes; if None, those that a GeoJSON mask says itself.
        shape: height and width of a GeoJSON mask; as far as its outlines reach if None.
        tissue: what lies between the nuclei, for a model that was trained with such: a map as `sian.tissue_map` returns
            it, its file, or that of the picture that the mask was drawn on; all of the mask as it is given.
        crew: workers that paint; this process if None. Their bytes are those of one thread.
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
    generator = check_local(model.painter.generator)
    vector = model.style(style)
    opened = open_mask(mask, shape)
    try:
        factor = 1.0 if mpp is None else scaling(mpp, model.info.mpp).factor
        source = _scaled(opened, factor, model)
        between = _tissue(model, tissue, opened.shape, source, factor)
        index = index_nuclei(source)
        give_back()
        model.check_area(float(np.median(index.areas)) if len(index) else np.nan, mpp)
        named = _classes(model, source.path, index, opened.classes if classes is None else classes)
        job = _job(model, vector, index, seed, noise, side, form, named, between)
        digest = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
        if target.exists() and _holds(target, digest):
            return target
        notes = {**png_text(model, vector, seed, source.path.name), "Job": digest}
        facts = SlideFacts(target.name.removesuffix(SUFFIX[form]), index.shape, source.mpp, notes)
        tiles = supertiles(index.shape, side, generator.upsampling)
        begin(target, job, lambda folder: _writer(folder, facts, side, form).prepare())
        writer = _writer(unfinished_folder(target), facts, side, form)
        drawn = Noise(seed, noise)
        _paint_all(
            target,
            _Jobs(source, index, tiles, named, between, unfinished_folder(target)),
            lambda: TilePainter(model, vector.vector, drawn),
            lambda crew: TileKit.of(model, crew, vector.vector, drawn),
            crew,
            writer.write,
            report,
        )
        finish(target, lambda folder: _complete(_writer(folder, facts, side, form), folder))
    finally:
        opened.close()
    return target


def with_suffix(target: str | Path, form: str) -> Path:
    """A target's path with its form's suffix."""
    target = Path(target)
    return target if target.name.lower().endswith(SUFFIX[form]) else target.with_name(target.name + SUFFIX[form])


def _tissue(
    model: Model, given: Tissue | None, before: tuple[int, int], source: MaskSource | ScaledMask, factor: float
) -> BetweenNuclei | None:
    if given is None:
        return None
    if not model.takes_tissue:
        raise BadInput(f"tissue: {without_tissue(model.info.name)}")
    return between_nuclei(given, before, source, factor)


def _classes(
    model: Model, path: Path, index: NucleusIndex, classes: Mapping[int, str] | None
) -> Mapping[int, str] | None:
    """The classes as the model wants them, refused before anything is painted; None for a model without."""
    names = model.info.classes
    if not names:
        return None
    if classes is None and len(index):
        raise BadInput(f"{path}: {without_classes(names)}")
    for name in dict.fromkeys((classes or {}).values()):
        if name not in names:
            raise BadInput(f"{path}: found the class {name!r}{nearest(name, names)}")
    return classes or {}


class _Jobs:
    """Makes the jobs of a slide: what each super-tile needs of the mask."""

    def __init__(
        self,
        source: MaskSource | ScaledMask,
        index: NucleusIndex,
        tiles: Sequence[SuperTile],
        classes: Mapping[int, str] | None,
        between: BetweenNuclei | None,
        folder: Path,
    ) -> None:
        self.source, self.index, self.tiles = source, index, tiles
        self.classes, self.between, self.folder = classes, between, folder

    def job(self, number: int) -> TileJob:
        """The job of one super-tile."""
        tile = self.tiles[number]
        window = self.index.around(tile.cut)
        ids = self.source.read(window)
        known = None if self.classes is None else classes_in(ids, self.classes)
        layers = None
        if self.between is not None:
            layers = self.between.layers(self.folder, self.index.shape, tile.cut)
        return TileJob(number, tile, ids, window, known, layers)


def _paint_all(
    target: Path,
    jobs: _Jobs,
    painter: Callable[[], TilePainter],
    kit: Callable[[Crew], TileKit],
    crew: Crew | None,
    write: Callable[[Area, NDArray[np.uint8]], None],
    report: Report | None,
) -> None:
    """Paint what is not painted yet, here or by workers."""
    names = [tile.name for tile in jobs.tiles]
    if crew is None:
        here = painter()

        def paint(number: int) -> None:
            write(jobs.tiles[number].core, here.make(jobs.job(number)).pixels)
            give_back()

        work_through(target, names, paint, report)
        return
    executor = start(kit(crew), crew.workers, crew.ray)

    def begun(number: int) -> tuple[TileJob, Any]:
        job = jobs.job(number)
        return job, executor.submit(job)

    def taken(number: int, begun: tuple[TileJob, Any]) -> None:
        made = collected(executor, *begun)
        if isinstance(made, Failure):
            raise BadInput(f"{target}: super-tile {names[number]} could not be painted: {made.reason}")
        write(jobs.tiles[number].core, made.pixels)

    try:
        work_ahead(target, names, begun, taken, TILES_AHEAD * executor.workers, report)
    finally:
        executor.close()


def _scaled(source: MaskSource, factor: float, model: Model) -> MaskSource | ScaledMask:
    if factor == 1:
        return source
    height, width = (max(1, round(side * factor)) for side in source.shape)
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
    between: BetweenNuclei | None,
) -> dict[str, object]:
    """What decides the pixels: a second process, or a second run, must mean the same."""
    return {
        "format": FORMAT,
        "model": model.sha256,
        "backend": model.backend,
        "device": model.device.type,
        "style": hashlib.sha256(style.vector.tobytes()).hexdigest(),
        "mask": index.digest,
        "classes": _digest(classes) if classes else "",
        **({"tissue": between.digest} if between else {}),
        "shape": list(index.shape),
        "seed": seed,
        "noise": noise,
        "side": side,
        "form": form,
    }


def _digest(classes: Mapping[int, str]) -> str:
    """SHA-256 of classes by id, one after another: there may be millions."""
    found = hashlib.sha256()
    for nucleus in sorted(classes):
        found.update(json.dumps([nucleus, classes[nucleus]]).encode())
    return found.hexdigest()

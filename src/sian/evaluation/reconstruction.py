"""The reconstruction protocol: paint every test window's mask again and compare (paper, section 4.2).

Windows of 256 px cover each test tile; a window's layout is cut from the whole tile's. Where the style comes
from decides much of the FID, so there are four settings:

    paired     the window's own real image: the paper's, and flattering
    sibling    another window of the same tile: what a user with one slide has
    exemplar   a random training window of the same organ
    prior      drawn from the model's style bank of that organ

Here is no network: a painter is any function of a layout, a reference and a seed. `trivial_painter` is the
bar that any model must clear: every pixel in the mean colour of its reference's nuclei or stroma.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from sian import seeds
from sian.data.windows import WINDOW, test_offsets, train_offsets
from sian.errors import BadInput, nearest
from sian.evaluation.arrays import Image, Mask
from sian.evaluation.collection import Collection, Entry, from_images
from sian.evaluation.evaluate import Evaluation, Tools, evaluate
from sian.layout import Layout, describe

if TYPE_CHECKING:
    from sian.data.dataset import Dataset
    from sian.synthesis.model import Model

    Report = Callable[[int, int], None]

Offsets: TypeAlias = Callable[[int, int], list[int]]
StyleSetting = Literal["paired", "sibling", "exemplar", "prior"]
STYLE_SETTINGS: tuple[StyleSetting, ...] = get_args(StyleSetting)


@dataclass(frozen=True, eq=False)
class Window:
    """A window of a tile.

    Attributes:
        name: ``TILE_y0248_x0000``.
        tile: the item it was cut from.
        organ: of the tile.
        image: (h, w, 3) uint8.
        mask: (h, w) int32, cut from the tile's.
    """

    name: str
    tile: str
    organ: str
    image: Image
    mask: Mask


@dataclass(frozen=True, eq=False)
class Reference:
    """Where a style comes from.

    Attributes:
        name: the window or the draw, for the record.
        image: (h, w, 3) uint8; None for a draw from the bank.
        nuclei: (h, w) bool, where the image's nuclei are; None if unknown.
        style: what a model takes as a style instead of the image.
    """

    name: str
    image: Image | None = None
    nuclei: Mask | None = None
    style: Any = None


Painter: TypeAlias = Callable[[Layout, Reference, int], Image]  # layout, reference, seed -> (H, W, 3) uint8


@dataclass(frozen=True, eq=False)
class Scene:
    """What the protocol paints again, cut once for any number of painters.

    Attributes:
        folder: of the data set, for reports.
        split: what is painted.
        windows: of that split.
        layouts: of the windows, described on the whole tile.
        others: windows of the training tiles; none if there are none or they are what is painted.
    """

    folder: str
    split: str
    windows: list[Window]
    layouts: list[Layout]
    others: list[Window]


@dataclass(frozen=True)
class Reconstruction:
    """Painted windows beside the real ones.

    Attributes:
        fake: the paintings.
        real: the windows' own images.
        masks: the windows' masks.
        train: windows of the training tiles, for the floor, or None.
        trivial: the same windows by `trivial_painter`.
        references: the style's source of each window, by its name.
        style: the setting.
    """

    fake: Collection
    real: Collection
    masks: Collection
    train: Collection | None
    trivial: Collection
    references: dict[str, str]
    style: StyleSetting


def open_scene(data: Dataset, split: str = "test", size: int = WINDOW, a_tile: int | None = None) -> Scene:
    """Cut the windows of a split, and those of the training tiles.

    Args:
        data: a data set on disk; its split "train" gives exemplars and the floor.
        split: what is painted.
        size: of a window, in px.
        a_tile: at most so many windows of each tile, evenly spread; all of them if None.

    Raises:
        BadInput: an unknown split, or tiles smaller than a window.
    """
    windows, layouts = _windows_and_layouts(data.split(split), size)
    others = cut_windows(data.split("train"), size) if "train" in data.splits and split != "train" else []
    keep = _spread(windows, a_tile)
    return Scene(
        str(data.folder),
        split,
        [windows[i] for i in keep],
        [layouts[i] for i in keep],
        [others[i] for i in _spread(others, a_tile)],
    )


def reconstruct(
    painter: Painter,
    data: Dataset | Scene,
    *,
    split: str = "test",
    style: str = "paired",
    bank: Mapping[str, Any] | None = None,
    aliases: Mapping[str, str] | None = None,
    size: int = WINDOW,
    seed: int = 0,
    label: str = "paintings",
    report: Report | None = None,
) -> Reconstruction:
    """Paint every window of a split again.

    Args:
        painter: what paints.
        data: a data set on disk, or windows cut from one by `open_scene`.
        split: what is painted (of a data set).
        style: "paired", "sibling", "exemplar" or "prior".
        bank: the model's style bank, organ to something with ``sample(seed)``; needed for "prior".
        aliases: organs under another name in the training tiles, e.g. {"lung": "liver"}.
        size: of a window, in px (of a data set).
        seed: which references are drawn, and the paintings' noise.
        label: what reports call the paintings.
        report: called with (windows painted, windows in all).

    Raises:
        BadInput: an unknown setting or split, tiles smaller than a window, or a setting that lacks its
            source.
    """
    setting = _setting(style)
    scene = data if isinstance(data, Scene) else open_scene(data, split, size)
    windows, layouts, others = scene.windows, scene.layouts, scene.others
    sources = references(setting, windows, others, bank or {}, aliases or {}, seed)
    with_images = sources if setting != "prior" else references("paired", windows, others, {}, {}, seed)
    painted, plain = {}, {}
    for index, window in enumerate(windows):
        painted[window.name] = painter(layouts[index], sources[index], seeds.derive(seed, "reconstruction", index))
        plain[window.name] = trivial_painter(layouts[index], with_images[index], 0)
        if report:
            report(index + 1, len(windows))
    name = f"{scene.folder} ({scene.split})"
    return Reconstruction(
        from_images(label, painted),
        _collection(name, windows, "image"),
        _collection(name, windows, "mask"),
        _collection(f"{scene.folder} (train)", others, "image") if others else None,
        from_images("trivial painter", plain),
        {window.name: source.name for window, source in zip(windows, sources, strict=True)},
        setting,
    )


def evaluate_reconstruction(
    made: Reconstruction,
    tools: Tools,
    *,
    inputs: Mapping[str, Any] | None = None,
    noise: float = 0.0,
    report: Report | None = None,
) -> Evaluation:
    """Measure a reconstruction with its floors: training windows, halves, the segmenter, the trivial painter.

    Args:
        made: what `reconstruct` returned.
        tools: extractor and segmenter.
        inputs: more inputs to name, e.g. {"model": {"path": ..., "sha256": ...}}.
        noise: the strength of the painter's noise, for the record.
        report: called with (images measured, images in all).
    """
    first = made.masks.read(made.masks.names[0])
    masks = made.masks if tools.segmenter is not None else None
    settings = {
        "style": made.style,
        "noise": noise,
        "window": len(first),
        "inputs": {"masks": made.masks.describe(), **(inputs or {})},
    }
    finished = evaluate(
        made.fake,
        made.real,
        masks,
        tools=tools,
        train=made.train,
        others={"trivial painter": made.trivial},
        protocol="reconstruction",
        settings=settings,
        report=report,
    )
    return replace(finished, collections={**finished.collections, "masks": made.masks})  # pictures show them anyway


def model_painter(model: Model, noise: float = 0.0) -> Painter:
    """A model as a painter: a reference image is encoded, its mean is the style."""

    def painter(layout: Layout, reference: Reference, seed: int) -> Image:
        style: Any = reference.image if reference.style is None else reference.style
        image: Image = model.synthesize(layout, style, seed=seed, noise=noise)
        return image

    return painter


def trivial_painter(layout: Layout, reference: Reference, seed: int = 0) -> Image:
    """Nuclei and stroma in the mean colours that they have in the reference image.

    Args:
        layout: (H, W).
        reference: an image, and where its nuclei are; without nuclei (or without stroma) both get its mean
            colour.
        seed: not used; it is part of what a painter is called with.
    """
    del seed
    image, nuclei = reference.image, reference.nuclei
    if image is None:
        raise BadInput(f"{reference.name}: found no image, expected one to take mean colours from; use another setting")
    inside = np.zeros(image.shape[:2], bool) if nuclei is None else np.asarray(nuclei, bool)
    nucleus, stroma = _mean_colour(image, inside), _mean_colour(image, ~inside)
    painted: Image = np.where(layout.semantic[..., None], nucleus, stroma).astype(np.uint8)
    return painted


def cut_windows(data: Dataset, size: int = WINDOW) -> list[Window]:
    """The evaluation windows of every tile: 16 of 256 px from a tile of 1000 px."""
    return [window for item in data for window in _cut(item.id, item.organ, data.image(item), data.mask(item), size)]


def window_collection(data: Dataset, size: int = WINDOW, *, dense: bool = False) -> Collection:
    """The windows of a data set's tiles as a collection: the evaluation grid, or the denser one of training."""
    offsets = train_offsets if dense else test_offsets
    windows = [
        window
        for item in data
        for window in _cut(item.id, item.organ, data.image(item), data.mask(item), size, offsets)
    ]
    return _collection(str(data.folder), windows, "image")


def references(
    setting: StyleSetting,
    windows: Sequence[Window],
    others: Sequence[Window],
    bank: Mapping[str, Any],
    aliases: Mapping[str, str],
    seed: int,
) -> list[Reference]:
    """The style's source of each window, drawn by (seed, setting, index)."""
    if setting == "prior":
        return [_prior(window, bank, aliases, seed, index) for index, window in enumerate(windows)]
    chosen = []
    for index, window in enumerate(windows):
        pool = _pool(setting, window, windows, others, aliases)
        source = pool[int(seeds.generator(seed, setting, index).integers(len(pool)))]
        chosen.append(Reference(source.name, source.image, source.mask > 0))
    return chosen


def _setting(style: str) -> StyleSetting:
    for setting in STYLE_SETTINGS:
        if style == setting:
            return setting
    raise BadInput(f"--style {style!r}: no such setting of the protocol{nearest(style, STYLE_SETTINGS)}")


def _pool(
    setting: StyleSetting,
    window: Window,
    windows: Sequence[Window],
    others: Sequence[Window],
    aliases: Mapping[str, str],
) -> list[Window]:
    if setting == "paired":
        return [window]
    if setting == "sibling":
        pool = [other for other in windows if other.tile == window.tile and other.name != window.name]
    else:
        organ = aliases.get(window.organ, window.organ)
        pool = [other for other in others if other.organ == organ] or list(others)
    if not pool:
        source = "a second window of its tile" if setting == "sibling" else "training tiles in the data set"
        raise BadInput(f"{window.name}: the setting {setting!r} needs {source}, found none; try --style paired")
    return pool


def _prior(window: Window, bank: Mapping[str, Any], aliases: Mapping[str, str], seed: int, index: int) -> Reference:
    if not bank:
        raise BadInput("--style prior: needs a model with a style bank, found none; try --style paired")
    organ = aliases.get(window.organ, window.organ)
    if organ not in bank:
        names = sorted(bank)
        organ = names[int(seeds.generator(seed, "prior", index).integers(len(names)))]
    drawn = bank[organ].sample(seed=seeds.derive(seed, "prior", index))
    return Reference(f"{organ} (draw {index})", style=drawn)


def _windows_and_layouts(data: Dataset, size: int) -> tuple[list[Window], list[Layout]]:
    """Windows with layouts that are described on the whole tile and then cut."""
    windows, layouts = [], []
    for item in data:
        mask = data.mask(item)
        whole = describe(mask)
        windows += _cut(item.id, item.organ, data.image(item), mask, size)
        layouts += [whole.window(y, x, size, size) for y, x in _places(mask.shape, size)]
    return windows, layouts


def _spread(windows: Sequence[Window], a_tile: int | None) -> list[int]:
    """Indices of at most `a_tile` windows of each tile, evenly spread over its windows."""
    tiles: dict[str, list[int]] = {}
    for index, window in enumerate(windows):
        tiles.setdefault(window.tile, []).append(index)
    if a_tile is None:
        return list(range(len(windows)))
    places = {
        tile: np.linspace(0, len(own) - 1, min(a_tile, len(own))).round().astype(int) for tile, own in tiles.items()
    }
    return [own[place] for tile, own in tiles.items() for place in places[tile]]


def _cut(tile: str, organ: str, image: Image, mask: Mask, size: int, offsets: Offsets = test_offsets) -> list[Window]:
    return [
        Window(
            f"{tile}_y{y:04d}_x{x:04d}",
            tile,
            organ,
            image[y : y + size, x : x + size],
            mask[y : y + size, x : x + size],
        )
        for y, x in _places(mask.shape, size, offsets)
    ]


def _places(shape: tuple[int, ...], size: int, offsets: Offsets = test_offsets) -> list[tuple[int, int]]:
    return [(y, x) for y in offsets(shape[0], size) for x in offsets(shape[1], size)]


def _collection(label: str, windows: Sequence[Window], kind: str) -> Collection:
    digest = hashlib.sha256()
    for window in windows:
        digest.update(window.name.encode())
        digest.update(np.ascontiguousarray(getattr(window, kind)).data)
    entries = {w.name: Entry(_reading(w, kind), w.organ, w.tile) for w in windows}
    return Collection(label, entries, digest.hexdigest())


def _reading(window: Window, kind: str) -> Callable[[], Any]:
    return lambda: getattr(window, kind)


def _mean_colour(image: Image, where: Mask) -> Image:
    pixels = image[where] if where.any() else image.reshape(-1, 3)
    mean: Image = pixels.mean(axis=0).round().astype(np.uint8)
    return mean

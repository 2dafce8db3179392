"""The reconstruction protocol: paint every test window's mask again and compare (paper, sections 4.1 and 4.2).

Windows of 256 px cover each test tile; a window's layout is cut from the whole tile's. Where the style comes
from decides much of the FID, so there are four settings:

    paired     the window's own real image: the paper's, and flattering
    sibling    another window of the same tile: what a user with one slide has
    exemplar   a random training window of the same organ
    prior      drawn from the model's style bank of that organ

This file knows no network: a painter is any function of a layout, a reference and a seed. `trivial_painter` is the
bar that any model must clear: every pixel in the mean colour of its reference's nuclei or stroma.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from sian import seeds
from sian.errors import BadInput, nearest
from sian.evaluation.arrays import Image, Mask
from sian.evaluation.collection import Collection, from_images
from sian.evaluation.evaluate import Evaluation, Tools, evaluate
from sian.evaluation.scenes import Scene, Window, collection_of, open_scene
from sian.layout import Layout
from sian.synthesis.style_fitting import fit_style
from sian.windows import WINDOW

if TYPE_CHECKING:
    from sian.data.dataset import Dataset
    from sian.synthesis.model import Model

    Report = Callable[[int, int], None]

StyleSetting = Literal["paired", "sibling", "exemplar", "prior"]
STYLE_SETTINGS: tuple[StyleSetting, ...] = get_args(StyleSetting)


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


Paint: TypeAlias = Callable[[Layout, Reference, int], Image]  # layout, reference, seed -> (H, W, 3) uint8


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


def reconstruct(
    painter: Paint,
    data: Dataset | Scene,
    *,
    split: str = "test",
    style: str = "paired",
    bank: Mapping[str, Any] | None = None,
    aliases: Mapping[str, str] | None = None,
    size: int = WINDOW,
    seed: int = 0,
    label: str = "paintings",
    tissue: bool = False,
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
        tissue: whether the painter is told what lies between the nuclei, as each tile's own image shows it (of a data
            set). It is told more than the paper's: a row of its own.
        report: called with (windows painted, windows in all).

    Raises:
        BadInput: an unknown setting or split, tiles smaller than a window, or a setting that lacks its
            source.
    """
    setting = _setting(style)
    scene = data if isinstance(data, Scene) else open_scene(data, split, size, tissue=tissue)
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
        collection_of(name, windows, "image"),
        collection_of(name, windows, "mask"),
        collection_of(f"{scene.folder} (train)", others, "image") if others else None,
        from_images("trivial painter", plain),
        {window.name: source.name for window, source in zip(windows, sources, strict=True)},
        setting,
    )


def evaluate_reconstruction(
    made: Reconstruction,
    tools: Tools,
    *,
    predicted: Collection | None = None,
    predicted_real: Collection | None = None,
    inputs: Mapping[str, Any] | None = None,
    noise: float = 0.0,
    fitted: bool = False,
    tissue: bool = False,
    report: Report | None = None,
) -> Evaluation:
    """Measure a reconstruction with its floors: training windows, halves, the segmenter, the trivial painter.

    Args:
        made: what `reconstruct` returned.
        tools: extractor and segmenter.
        predicted: what another segmenter found in the paintings, by the windows' names; instead of a segmenter.
        predicted_real: the same of the real windows, for the floor.
        inputs: more inputs to name, e.g. {"model": {"path": ..., "sha256": ...}}.
        noise: the strength of the painter's noise, for the record.
        fitted: whether styles were fitted to their references, for the record.
        tissue: whether the painter was told of the tissue, for the record.
        report: called with (images measured, images in all).
    """
    first = made.masks.read(made.masks.names[0])
    masks = made.masks if tools.segmenter is not None or predicted is not None else None
    settings = {
        "style": ", ".join([made.style, *["fitted"] * fitted, *["tissue maps"] * tissue]),
        "noise": noise,
        "window": len(first),
        "inputs": {"masks": made.masks.describe(), **(inputs or {})},
    }
    finished = evaluate(
        made.fake,
        made.real,
        masks,
        tools=tools,
        predicted=predicted,
        predicted_real=predicted_real,
        train=made.train,
        others={"trivial painter": made.trivial},
        protocol="reconstruction",
        settings=settings,
        report=report,
    )
    return replace(finished, collections={**finished.collections, "masks": made.masks})  # pictures show them anyway


def model_painter(model: Model, noise: float = 0.0, segment: Callable[[Image], Mask] | None = None) -> Paint:
    """A model as a painter: a reference image is encoded, its mean is the style.

    Args:
        model: what paints.
        noise: its strength.
        segment: finds a reference's nuclei, and the style is then fitted to it (`sian.synthesis.style_fitting`); the
            masks of the protocol are not looked at for this.
    """

    def painter(layout: Layout, reference: Reference, seed: int) -> Image:
        style: Any = reference.image if reference.style is None else reference.style
        if segment is not None and reference.image is not None:
            style = fit_style(model, reference.image, segment(reference.image)).style
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
    raise BadInput(f"--style-from {style!r}: no such setting of the protocol{nearest(style, STYLE_SETTINGS)}")


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
        raise BadInput(f"{window.name}: the setting {setting!r} needs {source}, found none; try --style-from paired")
    return pool


def _prior(window: Window, bank: Mapping[str, Any], aliases: Mapping[str, str], seed: int, index: int) -> Reference:
    if not bank:
        raise BadInput("--style-from prior: needs a model with a style bank, found none; try --style-from paired")
    organ = aliases.get(window.organ, window.organ)
    if organ not in bank:
        names = sorted(bank)
        organ = names[int(seeds.generator(seed, "prior", index).integers(len(names)))]
    drawn = bank[organ].sample(seed=seeds.derive(seed, "prior", index))
    return Reference(f"{organ} (draw {index})", style=drawn)


def _mean_colour(image: Image, where: Mask) -> Image:
    pixels = image[where] if where.any() else image.reshape(-1, 3)
    mean: Image = pixels.mean(axis=0).round().astype(np.uint8)
    return mean

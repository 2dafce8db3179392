"""Evaluate images against real ones and masks: assembles one result, "sian.evaluation/1" (docs/design.md, "Metrics").

FID and KID need no pairs. SSIM pairs a fake with the real image of its name, the mask metrics pair a
segmentation of the fake with the mask of its name; what did not pair is named. Beside every number stands
its floor: what real images score. This file measures and assembles; `report` writes it down, the command
line reads the arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput
from sian.evaluation.agreement import Segmenter, agreement
from sian.evaluation.measured import METRICS, Measured, confidence, distances, halves
from sian.evaluation.notes import unpaired, versions, warnings
from sian.evaluation.ssim import ssim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sian.evaluation.arrays import Features, Image, Mask
    from sian.evaluation.collection import Collection
    from sian.evaluation.features import InceptionFeatures

    Report = Callable[[int, int], None]

FORMAT = "sian.evaluation/1"
BOOTSTRAP_ROUNDS = 100
REAL_FLOORS = ("other real images", "halves", "segmenter on real images")
MISMATCHES_NAMED = 5


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        result: the JSON object of format "sian.evaluation/1"; plain numbers, None where not measured.
        images: one dictionary an image: name, organ, group and its own scores.
        row: what was measured of the fakes, image by image.
        segmented: what the segmenter saw on each fake, by name.
        collections: "fake", "real" and "masks", to draw pictures from.
    """

    result: dict[str, Any]
    images: list[dict[str, Any]]
    row: Measured
    collections: dict[str, Collection]
    segmented: dict[str, Mask] = field(default_factory=dict)

    def __repr__(self) -> str:
        """How many images, and what was measured of them."""
        found = self.result["metrics"].items()
        means = {name: value["mean"] if isinstance(value, dict) else value for name, value in found}
        numbers = [f"{name} {value:.4g}" for name, value in means.items() if value is not None]
        return f"Evaluation({', '.join(['n ' + str(self.result['n']), *numbers])})"

    def _repr_html_(self) -> str:
        from sian.evaluation.number_tables import numbers_table

        return numbers_table(self.result)


@dataclass(frozen=True)
class Tools:
    """What measures the images. Each part may be left out; its numbers are then missing.

    Attributes:
        extractor: for FID and KID.
        segmenter: for the mask metrics.
        cache: where features of real images are kept; the user's cache if None.
    """

    extractor: InceptionFeatures | None = None
    segmenter: Segmenter | None = None
    cache: Any = None


def evaluate(
    fake: Collection,
    real: Collection,
    masks: Collection | None = None,
    *,
    tools: Tools,
    predicted: Collection | None = None,
    predicted_real: Collection | None = None,
    train: Collection | None = None,
    others: Mapping[str, Collection] | None = None,
    protocol: str = "folders",
    settings: Mapping[str, Any] | None = None,
    report: Report | None = None,
) -> Evaluation:
    """Compare fakes with real images and masks.

    Args:
        fake: the images to judge.
        real: the images to compare them with; those of the same name are pairs.
        masks: instance masks by the fakes' names.
        tools: extractor and segmenter.
        predicted: segmentations of the fakes that exist already; instead of a segmenter.
        predicted_real: the same of the real images, for the floor.
        train: more real images that `real` is compared with, as the floor of FID and KID.
        others: more fakes for rows beside the floors, e.g. {"trivial painter": ...}.
        protocol: what the result calls itself.
        settings: more facts for the result, e.g. {"style": "paired", "inputs": {"model": ...}}.
        report: called with (images measured, images in all).

    Raises:
        BadInput: fewer than 2 images on a side, sizes that differ within a pair, masks without a
            segmentation.
    """
    _check_counts(fake, real)
    if masks is not None and tools.segmenter is None and predicted is None:
        raise BadInput(
            f"{masks.label}: found masks but nothing that segments the images, expected a segmenter or "
            "segmentations; add --segmenter MODEL or --segmented FOLDER"
        )
    others = dict(others or {})
    count = _Counter(_work(fake, real, masks, predicted, train, others, tools), report)
    segmented = _segmentations(fake, masks, tools, predicted, count)
    row = _measure(fake, real, masks, segmented, tools, count)
    real_features = _features(real, tools, count, cached=True)
    floor_rows = _floor_rows(real, real_features, masks, predicted_real, train, others, tools, count)
    settings = dict(settings or {})
    result = _assemble(fake, real, masks, row, real_features, floor_rows, tools, protocol, settings)
    collections = {"fake": fake, "real": real, **({"masks": masks} if masks else {})}
    return Evaluation(result, _images(row), row, collections, segmented)


def _check_counts(fake: Collection, real: Collection) -> None:
    for side in (fake, real):
        if len(side) < 2:
            raise BadInput(
                f"{side.label}: found {len(side)} image, expected at least 2, since one has no distribution; "
                "name a folder with more, or cut slides into smaller windows"
            )


def _work(
    fake: Collection,
    real: Collection,
    masks: Collection | None,
    predicted: Collection | None,
    train: Collection | None,
    others: Mapping[str, Collection],
    tools: Tools,
) -> int:
    """How many images are run through a network."""
    sides = [fake, real, *others.values(), *([train] if train else [])]
    inception = sum(len(side) for side in sides) if tools.extractor else 0
    segmented = [fake, real, *others.values()] if tools.segmenter and masks else []
    if predicted is not None:
        segmented = segmented[1:]
    return inception + sum(len([n for n in side.names if masks and n in masks]) for side in segmented)


def _segmentations(
    fake: Collection, masks: Collection | None, tools: Tools, predicted: Collection | None, count: _Counter
) -> dict[str, Mask]:
    """What was seen on each fake that has a mask."""
    wanted = [name for name in fake.names if masks is not None and name in masks]
    if predicted is not None:
        return {name: predicted.read(name) for name in wanted if name in predicted}
    if tools.segmenter is None:
        return {}
    found: dict[str, Mask] = {}
    for name in wanted:
        found[name] = tools.segmenter(fake.read(name))
        count.step()
    return found


def _measure(
    fake: Collection,
    real: Collection | None,
    masks: Collection | None,
    segmented: dict[str, Mask],
    tools: Tools,
    count: _Counter,
) -> Measured:
    similar, agreements, wrong = {}, {}, []
    for name in fake.names:
        image = fake.read(name)
        if real is not None and name in real:
            other = real.read(name)
            if image.shape != other.shape:
                wrong.append(f"{name} is {_size(image)} and its real image {_size(other)}")
                continue
            similar[name] = ssim(other, image)
        if name in segmented and masks is not None:
            mask = masks.read(name)
            if mask.shape != image.shape[:2]:
                wrong.append(f"{name} is {_size(image)} and its mask {_size(mask)}")
                continue
            agreements[name] = agreement(mask, segmented[name])
    if wrong:
        raise BadInput(f"{fake.label}: expected pairs of one size, found {_listed(wrong)}; cut or paint them alike")
    organs = [_organ(name, fake, real, masks) for name in fake.names]
    groups = [real.group(n) if real is not None and n in real else fake.group(n) for n in fake.names]
    features = _features(fake, tools, count, cached=False)
    return Measured(fake.names, groups, organs, features, similar, agreements)


def _features(images: Collection, tools: Tools, count: _Counter, *, cached: bool) -> Features | None:
    if tools.extractor is None:
        return None
    start = count.done

    def report(done: int, _: int) -> None:
        count.to(start + done)

    if cached:
        return tools.extractor.cached(images.pictures(), tools.cache, report)
    return tools.extractor(images.pictures(), report)


def _floor_rows(
    real: Collection,
    real_features: Features | None,
    masks: Collection | None,
    predicted_real: Collection | None,
    train: Collection | None,
    others: Mapping[str, Collection],
    tools: Tools,
    count: _Counter,
) -> list[dict[str, Any]]:
    """The rows that stand beside the fakes' own, each a name, what it is, n, and the metrics it has."""
    rows: list[dict[str, Any]] = []
    features = None if train is None else _features(train, tools, count, cached=True)
    if train is not None and features is not None and real_features is not None:
        numbers = {"n": [len(train), len(real)], **distances(real_features, features)}
        rows.append(_floor("other real images", f"{train.label} against {real.label}", numbers))
    if real_features is not None and len(real) >= 4:
        rows.append(_floor("halves", "two halves of the real images, mean of 5 splits", halves(real_features)))
    segments = tools.segmenter is not None or predicted_real is not None
    if segments and masks is not None and any(name in masks for name in real.names):
        scores = _measure(real, None, masks, _segmentations(real, masks, tools, predicted_real, count), Tools(), count)
        numbers = {"n": len(scores.agreements), **_known(scores.numbers(None))}
        rows.append(_floor("segmenter on real images", "the same segmenter on the real images", numbers))
    for name, images in others.items():
        other = _measure(images, real, masks, _segmentations(images, masks, tools, None, count), tools, count)
        rows.append(_floor(name, "a painter to beat, not a floor", {"n": len(images), **other.numbers(real_features)}))
    return rows


def _floor(name: str, what: str, numbers: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "what": what, **numbers}


def _known(numbers: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in numbers.items() if value is not None}


def _assemble(
    fake: Collection,
    real: Collection,
    masks: Collection | None,
    row: Measured,
    real_features: Features | None,
    floor_rows: list[dict[str, Any]],
    tools: Tools,
    protocol: str,
    settings: dict[str, Any],
) -> dict[str, Any]:
    organs = sorted({organ for organ in row.organs if organ})
    inputs = {"fake": fake.describe(), "real": real.describe(), "masks": masks.describe() if masks else None}
    inputs |= settings.pop("inputs", {})
    result = {
        "format": FORMAT,
        "protocol": protocol,
        "n": len(fake),
        "n_real": len(real),
        "window": settings.pop("window", None),
        "organs": {organ: row.organs.count(organ) for organ in organs},
        **settings,
        "metrics": row.numbers(real_features),
        "pooled": row.pooled(),
        "confidence_95": confidence(row, real_features, [real.group(n) for n in real.names], BOOTSTRAP_ROUNDS),
        "floors": _headline_floors(floor_rows),
        "floor_rows": floor_rows,
        "per_organ": {organ: _of_organ(row, organ, real, masks, fake, real_features) for organ in organs},
        "per_tile": _by_tile(row),
        "inputs": {"model": None, "segmenter": None, **inputs},
        "weights": {"inception": tools.extractor.sha256 if tools.extractor else None},
        "versions": versions(),
        "unpaired": unpaired(fake, real, masks),
        "warnings": warnings(fake, real, masks, row, features=tools.extractor is not None),
    }
    plain: dict[str, Any] = _plain(result)
    return plain


def _headline_floors(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For each metric the first real row that has it, in the order of `REAL_FLOORS`."""
    real_rows = [row for row in rows if row["name"] in REAL_FLOORS]
    return {
        name: next((row[name] for row in real_rows if row.get(name) is not None), None)
        for name in METRICS
        if any(row.get(name) is not None for row in real_rows)
    }


def _of_organ(
    row: Measured, organ: str, real: Collection, masks: Collection | None, fake: Collection, features: Features | None
) -> dict[str, Any]:
    part = row.of_organ(organ)
    keep = [i for i, name in enumerate(real.names) if _organ(name, real, fake, masks) == organ]
    against = features[keep] if features is not None and len(keep) >= 2 else None
    return {"n": len(part.names), "n_real": len(keep), **part.numbers(against)}


def _by_tile(row: Measured) -> dict[str, Any]:
    """Paired metrics of what was cut from one tile; nothing when every image is its own group."""
    if row.groups == row.names:
        return {}
    tiles = {tile: row.select([i for i, group in enumerate(row.groups) if group == tile]) for tile in row.groups}
    return {
        tile: {"n": len(tiles[tile].names), "organ": tiles[tile].organs[0], **_known(tiles[tile].numbers(None))}
        for tile in sorted(tiles)
    }


def _organ(name: str, *sides: Collection | None) -> str | None:
    found = (side.organ(name) for side in sides if side is not None and name in side)
    return next((organ for organ in found if organ), None)


def _images(row: Measured) -> list[dict[str, Any]]:
    lines = []
    for name, organ, group in zip(row.names, row.organs, row.groups, strict=True):
        scores = row.agreements[name].as_dict() if name in row.agreements else {}
        line = {"name": name, "organ": organ, "group": group, "ssim": row.ssim.get(name), **scores}
        lines.append(_plain(line))
    return lines


def _plain(value: Any) -> Any:
    """The same with None for what is not a finite number, so that it is JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _size(picture: Image | Mask) -> str:
    return f"{picture.shape[0]} x {picture.shape[1]}"


def _listed(problems: list[str]) -> str:
    more = len(problems) - MISMATCHES_NAMED
    return "; ".join(problems[:MISMATCHES_NAMED]) + (f"; and {more} more" if more > 0 else "")


class _Counter:
    """Counts images over all stages into one progress."""

    def __init__(self, total: int, report: Report | None) -> None:
        self.done, self.total, self.report = 0, total, report

    def step(self) -> None:
        self.to(self.done + 1)

    def to(self, done: int) -> None:
        self.done = done
        if self.report:
            self.report(done, self.total)

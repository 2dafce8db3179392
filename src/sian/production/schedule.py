"""A plan with everything that it names found and hashed; `Schedule.image` says how image i is made."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.files import sha256_file
from sian.files.bundled import MODELS, SEGMENTERS
from sian.files.images import IMAGE_SUFFIXES
from sian.files.jsonfiles import SUFFIX
from sian.production.mask_supply import InventedMasks, MaskOrder, MaskSource, StoredMasks
from sian.production.plan import NUCLEI, Plan, StyleSection
from sian.production.styleorder import StyleOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

DRAWS = 2**31  # styles and seeds are drawn from so many, which every reader of JSON can hold
NOT_PIXELS = {"description"}  # keys that decide nothing


@dataclass(frozen=True)
class Blend:
    """A style by name, or the place `part` of the way from `first` to `second`."""

    first: str
    second: str | None = None
    part: float = 0.0

    @property
    def name(self) -> str:
        """In words, for records."""
        first, second = (Path(s).stem if names_file(s) else s for s in (self.first, self.second or ""))
        return f"{first}={1 - self.part:.4g}+{second}={self.part:.4g}" if self.second else first


@dataclass(frozen=True)
class ImageOrder:
    """Everything that decides one image.

    Attributes:
        number: in the plan, from 0.
        attempt: which of the gate's attempts.
        id: of the item.
        organ: what the item is said to be.
        preparation: likewise.
        style: in which it is painted.
        mask: what is painted.
        seed: of the noise.
        noise: its strength.
        model: SHA-256 of the model file.
    """

    number: int
    attempt: int
    id: str
    organ: str
    preparation: str
    style: Blend
    mask: MaskOrder
    seed: int
    noise: float
    model: str


class Schedule:
    """A plan, ready to be carried out.

    Args:
        plan: what was asked for.

    Attributes:
        plan: with all SHA-256 filled in.
        sha256: of all in it that decides the images.
        model_file: where the model lies.

    Raises:
        BadInput: something that the plan names is not there, or has another SHA-256 than the plan says.
    """

    def __init__(self, plan: Plan) -> None:
        self.model_file = _asset(plan, plan.model.file, MODELS)
        model = _checked(self.model_file, sha256_file(self.model_file), plan.model.sha256, "model.sha256")
        self.masks: MaskSource = (
            InventedMasks(plan) if plan.masks.source == NUCLEI else StoredMasks(plan, self._model_classes)
        )
        if plan.masks.keep == "tissue":
            self._check_tissue(plan)
        masks = _checked(Path(plan.masks.source), self.masks.sha256, plan.masks.sha256, "masks.sha256")
        gate = plan.gate
        self.segmenter_file = _asset(plan, gate.segmenter, SEGMENTERS) if gate else None
        if gate and self.segmenter_file:
            found = _checked(self.segmenter_file, sha256_file(self.segmenter_file), gate.sha256, "gate.sha256")
            gate = gate.model_copy(update={"sha256": found})
        self.plan = plan.model_copy(
            update={
                "model": plan.model.model_copy(update={"sha256": model}),
                "masks": plan.masks.model_copy(update={"sha256": masks}),
                "styles": tuple(_with_hashes(plan, style) for style in plan.styles),
                "gate": gate,
            }
        )
        for style in plan.styles:
            self.masks.check(self._mask_organ(style))

    @property
    def sha256(self) -> str:
        """Of everything in the plan that decides the images."""
        return hashlib.sha256(json.dumps(deciding(self.plan), sort_keys=True).encode()).hexdigest()

    @property
    def shards(self) -> int:
        """How many."""
        return -(-self.plan.images // self.plan.shard)

    def numbers(self, shard: int) -> range:
        """The images of a shard."""
        return self.span(range(shard, shard + 1))

    def span(self, shards: range) -> range:
        """The images of shards in a row."""
        return range(shards.start * self.plan.shard, min(shards.stop * self.plan.shard, self.plan.images))

    def image(self, number: int, attempt: int = 0) -> ImageOrder:
        """How an image is made.

        Args:
            number: 0 to `plan.images` - 1.
            attempt: which of the gate's attempts.
        """
        if not 0 <= number < self.plan.images:
            raise BadInput(f"image {number}: the plan {self.plan.name!r} has 0 to {self.plan.images - 1}")
        entry, rank, count = self._place(number)
        style, plan = self.plan.styles[entry], self.plan
        mask_seed, style_seed, seed = (
            seeds.derive(plan.seed, f"data set {purpose}", number, attempt) % DRAWS
            for purpose in ("mask", "style", "noise")
        )
        part = rank / max(1, count - 1) if style.to else 0.0
        organ, preparation = _origin(style)
        return ImageOrder(
            number=number,
            attempt=attempt,
            id=f"{plan.name}-{number:06d}",
            organ=organ,
            preparation=preparation,
            style=Blend(f"{style.style}#{style_seed}" if style.draw else style.style, style.to, part),
            mask=self.masks.choose(self._mask_organ(style), mask_seed, self._turns[entry] + rank + attempt),
            seed=seed,
            noise=plan.noise,
            model=plan.model.sha256 or "",
        )

    def _model_classes(self) -> list[str]:
        """The nuclear classes that the model knows; reading them loads torch."""
        from sian.synthesis.modelfile import read_info

        return read_info(self.model_file).classes

    def _check_tissue(self, plan: Plan) -> None:
        from sian.synthesis.modelfile import read_info

        if plan.masks.source == NUCLEI:
            raise BadInput(
                f"plan {plan.name}: masks.keep is 'tissue', expected masks.source to be a data set whose images have "
                "some; leave it out: invented masks of glands bring invented maps"
            )
        info = read_info(self.model_file)
        if not info.recipe.get("generator", {}).get("tissue"):
            raise BadInput(
                f"{self.model_file}: was trained without tissue maps, which the plan's masks.keep asks for; take a "
                "model of the recipe tissue, or leave masks.keep out"
            )

    def _place(self, number: int) -> tuple[int, int, int]:
        """Which style an image has, which of that style's images it is, and of how many."""
        entry, rank = self._order.place(number)
        return entry, rank, self._counts[entry]

    @cached_property
    def _counts(self) -> list[int]:
        return [int(count) for count in share_out(self.plan)]

    @cached_property
    def _order(self) -> StyleOrder:
        """Made when the first image is asked for: only that costs time and memory."""
        return StyleOrder(self._counts, self.plan.seed)

    @cached_property
    def _turns(self) -> list[int]:
        """How many images of earlier styles take from the same masks; each style goes on where the last one ended."""
        turns, used = list[int](), Counter[str]()
        for style, count in zip(self.plan.styles, self._counts, strict=True):
            organ = self._mask_organ(style)
            turns.append(used[organ])
            used[organ] += count
        return turns

    def _mask_organ(self, style: StyleSection) -> str:
        if style.masks is not None:
            return style.masks
        return _organ_name(style.style) if isinstance(self.masks, InventedMasks) else ""


def share_out(plan: Plan) -> npt.NDArray[np.int64]:
    """How many images each style gets: those with `images` exactly so many, the others the rest by their shares."""
    counts = np.array([style.images or 0 for style in plan.styles], np.int64)
    shares = np.array([0.0 if style.images else style.share for style in plan.styles])
    rest = plan.images - int(counts.sum())
    if rest:
        exact = rest * shares / shares.sum()
        counts += np.floor(exact).astype(np.int64)
        most = np.argsort(-(exact - np.floor(exact)), kind="stable")
        counts[most[: plan.images - int(counts.sum())]] += 1
    return counts


def deciding(plan: Plan) -> dict[str, Any]:
    """A resolved plan's keys that decide the images: SHA-256 in the place of paths."""
    values = plan.model_dump(mode="json", exclude=NOT_PIXELS)
    del values["model"]["file"]
    if values["backend"] == "torch":  # as before there were others: the same plan, the same SHA-256
        del values["backend"]
    if values["masks"]["keep"] == "nuclei":  # likewise
        del values["masks"]["keep"]
    if values["masks"]["source"] != NUCLEI:
        values["masks"]["source"] = "stored"
    del values["masks"]["fit"]
    if values["gate"]:
        del values["gate"]["segmenter"]
    for style in values["styles"]:
        style |= {key: Path(style[key]).name for key in ("style", "to") if style[key] and names_file(style[key])}
    return values


def names_file(style: str) -> bool:
    """Whether a style is the path of a picture, or of a style's file."""
    return style.lower().endswith((*IMAGE_SUFFIXES, SUFFIX))


def _organ_name(style: str) -> str:
    return style.split("#")[0].split("/")[0].strip().lower()


def _origin(style: StyleSection) -> tuple[str, str]:
    """Organ and preparation of a style's images."""
    names = [name for name in (style.style, style.to) if name]
    if style.organ:
        return style.organ, "unknown"
    if any(names_file(name) for name in names):
        return "unknown", "unknown"
    if len(names) > 1 or "=" in style.style:
        return "mixed", "unknown"
    preparation = style.style.split("#")[0].partition("/")[2].strip().lower()
    return _organ_name(style.style), preparation if preparation in ("ffpe", "frozen") else "unknown"


def _asset(plan: Plan, name: str, bundled: Mapping[str, Path]) -> Path:
    path = bundled[name] if name in bundled else plan.path(name)
    if not path.is_file():
        raise BadInput(f"{path}: no such file, expected what the plan {plan.name!r} names; check the path")
    return path


def _checked(path: Path, found: str, expected: str | None, key: str) -> str:
    if expected and found != expected:
        raise BadInput(
            f"{path}: found SHA-256 {found[:12]}..., expected {expected[:12]}... as the plan's {key} says; "
            f"give the file that the plan was made for, or leave {key} out"
        )
    return found


def _with_hashes(plan: Plan, style: StyleSection) -> StyleSection:
    files = [name for name in (style.style, style.to) if name and names_file(name)]
    hashes = tuple(sha256_file(plan.path(name)) for name in files)
    if style.sha256 and style.sha256 != hashes:
        raise BadInput(f"{', '.join(files)}: found another SHA-256 than the plan says; give the same file")
    return style.model_copy(update={"sha256": hashes or None})

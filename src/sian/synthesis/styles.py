"""Style vectors and the style bank (docs/design.md, "Style"): every way to ask for a style ends in one vector."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sian import seeds
from sian.errors import BadInput, nearest, shown
from sian.files.htmltable import html_table

RANK = 8  # of the variation that a drawn style has around its tile's mean

Vector = NDArray[np.float32]  # (D,)


@dataclass(frozen=True, eq=False)
class Style:
    """A style vector and where it came from.

    Attributes:
        vector: (D,) float32.
        name: in words, for file names and reports.
        quantile: of an encoded image, the part of the windows of left-out training tiles that look less unusual, 0 to
            1; None for other styles, and for models that cannot say.
    """

    vector: Vector
    name: str
    quantile: float | None = None

    def __repr__(self) -> str:
        """In a notebook the name says more than the numbers."""
        return f"Style({self.name!r}, {len(self.vector)} numbers)"


@dataclass(frozen=True, eq=False)
class OrganStyles:
    """The styles that a model saw of one organ (and preparation).

    Attributes:
        name: e.g. "kidney" or "kidney/ffpe".
        tiles: (t, D) float32, each training tile's mean style.
        counts: (t,) windows behind each.
        factors: (r, D) float32; a normal draw times these is the variation between windows of a tile.
    """

    name: str
    tiles: NDArray[np.float32]
    counts: NDArray[np.int64]
    factors: NDArray[np.float32]

    def __repr__(self) -> str:
        """How much the styles rest on."""
        return f"OrganStyles({self.name!r}, {len(self.tiles)} tiles, {int(self.counts.sum())} windows)"

    @property
    def vector(self) -> Vector:
        """The mean style, (D,) float32."""
        mean: Vector = np.average(self.tiles, 0, self.counts).astype(np.float32)
        return mean

    @property
    def n(self) -> int:
        """How many windows were encoded."""
        return int(self.counts.sum())

    def sample(self, seed: int) -> Style:
        """A style drawn from the bank: a random tile's mean plus low-rank variation, the same for the same seed."""
        random = seeds.generator(seed, f"style {self.name}")
        tile = self.tiles[random.integers(len(self.tiles))]
        drawn = random.standard_normal(len(self.factors)) @ self.factors
        return Style((tile + drawn).astype(np.float32), f"{self.name}#{seed}")


class Styles(Mapping[str, OrganStyles]):
    """The style bank: organ names, organ/preparation names and aliases to `OrganStyles`; iterating gives organs.

    Args:
        parts: by "organ/preparation".
        aliases: other names, e.g. {"lung": "liver"}; names are told apart without regard to case.

    Raises:
        BadInput: an alias of an organ that is not there, or that hides one that is.
    """

    def __init__(self, parts: Mapping[str, OrganStyles], aliases: Mapping[str, str] | None = None) -> None:
        self.parts = dict(sorted(parts.items()))
        self.aliases = {new.strip().lower(): old.strip().lower() for new, old in (aliases or {}).items()}
        self._organs: dict[str, list[OrganStyles]] = {}
        for name, part in self.parts.items():
            self._organs.setdefault(name.split("/")[0], []).append(part)
        for new, old in self.aliases.items():
            check_alias(new, old, self._organs)

    def __getitem__(self, name: str) -> OrganStyles:
        organ, slash, preparation = name.strip().lower().partition("/")
        full = self.aliases.get(organ, organ) + slash + preparation
        if full in self.parts:
            return self.parts[full]
        if full in self._organs:
            return _joined(full, self._organs[full])
        listed = [*self._organs, *self.aliases]  # with each preparation there are twice as many
        raise BadInput(f"this model knows no style {shown(name)}{nearest(name, self.names, listed)}")

    def _repr_html_(self) -> str:
        rows = [(name, len(self[name].tiles), self[name].n, self.aliases.get(name, "")) for name in sorted(self.names)]
        return html_table("styles", ["style", "tiles", "windows", "the same as"], rows)

    def __contains__(self, name: object) -> bool:
        organ, slash, preparation = str(name).strip().lower().partition("/")
        full = self.aliases.get(organ, organ) + slash + preparation
        return full in self.parts or full in self._organs

    def get(self, name: str, default: Any = None) -> Any:
        """The styles of a name, or `default` where an index would raise `BadInput`."""
        if name not in self:
            return default
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._organs)

    def __len__(self) -> int:
        return len(self._organs)

    @property
    def names(self) -> list[str]:
        """All names that can be asked for, i.e. organs, organ/preparation and aliases."""
        return [*self._organs, *self.parts, *self.aliases]

    def distance(self, vector: Vector, without_tile: tuple[str, int] | None = None) -> float:
        """How far a style is from the nearest tile of the bank, in standard deviations of windows within a tile.

        Args:
            vector: (D,).
            without_tile: a part's name and the number of a tile to leave out.
        """
        best = np.inf
        for name, part in self.parts.items():
            gaps = np.linalg.norm(part.tiles - vector, axis=1)
            if without_tile is not None and without_tile[0] == name:
                gaps[without_tile[1]] = np.inf
            best = min(best, float(gaps.min()))
        return best / self.spread

    @property
    def spread(self) -> float:
        """The standard deviation of windows within a tile, over all dimensions; what distances are counted in."""
        return max(1e-6, float(np.sqrt(np.mean([np.square(p.factors).sum() for p in self.parts.values()]))))

    def tensors(self) -> dict[str, Tensor]:
        """The bank as tensors for a model file."""
        content = {}
        for name, part in self.parts.items():
            content[f"{name}.tiles"] = torch.from_numpy(part.tiles)
            content[f"{name}.counts"] = torch.from_numpy(part.counts).float()
            content[f"{name}.factors"] = torch.from_numpy(part.factors)
        return content

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], aliases: Mapping[str, str]) -> Styles:
        """The bank from a model file's tensors.

        Raises:
            BadInput: tensors are missing or do not fit one another.
        """
        names = sorted({key.rpartition(".")[0] for key in tensors})
        try:
            parts = {}
            for name in names:
                tiles, counts, factors = (tensors[f"{name}.{key}"].numpy() for key in ("tiles", "counts", "factors"))
                fit = tiles.ndim == 2 and counts.shape == tiles.shape[:1] and factors.shape[1:] == tiles.shape[1:]
                if not fit or not len(tiles) or counts.min() < 1:
                    raise KeyError(name)
                parts[name] = OrganStyles(name, tiles, counts.astype(np.int64), factors)
        except KeyError as error:
            raise BadInput(f"the style bank is damaged at {error}; export the model again") from None
        return cls(parts, aliases)


def check_alias(new: str, old: str, organs: Collection[str]) -> None:
    """Refuse an alias of an organ that is not among `organs`, or that hides one that is."""
    if old not in organs:
        raise BadInput(f"alias {new!r}: found no organ {old!r}{nearest(old, organs)}")
    if new in organs or "/" in new:
        raise BadInput(f"alias {new!r}: expected a new name without a slash, found one that is taken; choose another")


def check_aliases(aliases: Mapping[str, str] | None, organs: Collection[str]) -> None:
    """Refuse aliases before hours of work; see `check_alias`."""
    for new, old in (aliases or {}).items():
        check_alias(new, old, organs)


def make_part(name: str, windows: list[NDArray[np.float32]]) -> OrganStyles:
    """The styles of one organ and preparation.

    Args:
        name: "organ/preparation".
        windows: for each tile the (n, D) style vectors of its windows.
    """
    tiles = np.stack([w.mean(0) for w in windows]).astype(np.float32)
    counts = np.array([len(w) for w in windows], np.int64)
    if not tiles.shape[1]:  # a model without styles
        return OrganStyles(name, tiles, counts, np.zeros((0, 0), np.float32))
    within = np.concatenate([w - w.mean(0) for w in windows])
    _, scale, directions = np.linalg.svd(within / max(1, len(within) - len(windows)) ** 0.5, full_matrices=False)
    return OrganStyles(name, tiles, counts, (scale[:RANK, None] * directions[:RANK]).astype(np.float32))


def mixture(parts: Mapping[str, float], styles: Styles) -> Style:
    """A weighted mean of organs' styles; the weights are scaled to sum to 1.

    Raises:
        BadInput: an unknown organ, a negative weight, or no weight above 0.
    """
    total = sum(parts.values())
    if not parts or total <= 0 or min(parts.values()) < 0 or not np.isfinite(total):
        raise BadInput(f"a mixture of styles needs weights of at least 0 and one above, found {shown(dict(parts))}")
    vector = sum((weight / total * styles[name].vector for name, weight in parts.items()), start=np.float32(0))
    return Style(np.asarray(vector, np.float32), "+".join(f"{name}={weight:g}" for name, weight in parts.items()))


def parse_mixture(text: str) -> dict[str, float]:
    """The weights of a mixture as it is written, e.g. "kidney=0.7+breast=0.3".

    Raises:
        BadInput: not of that form, or an organ twice.
    """
    parts: dict[str, float] = {}
    for part in text.replace(",", "+").split("+"):
        name, _, weight = (word.strip() for word in part.partition("="))
        try:
            if name in parts:
                raise ValueError
            parts[name] = float(weight)
        except ValueError:
            raise BadInput(
                f"style {shown(text)}: expected each organ once, as ORGAN=WEIGHT, found {shown(part)}; "
                "write e.g. kidney=0.7+breast=0.3"
            ) from None
    return parts


def _joined(name: str, parts: list[OrganStyles]) -> OrganStyles:
    """Several preparations of one organ as one."""
    if len(parts) == 1:
        return OrganStyles(name, parts[0].tiles, parts[0].counts, parts[0].factors)
    weights = np.sqrt(np.array([part.n for part in parts]) / sum(part.n for part in parts))
    factors = np.concatenate([w * part.factors for w, part in zip(weights, parts, strict=True)])
    return OrganStyles(
        name,
        np.concatenate([part.tiles for part in parts]),
        np.concatenate([part.counts for part in parts]),
        factors.astype(np.float32),
    )

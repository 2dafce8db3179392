"""What is known of the nuclei of each organ, in numbers: the format "sian.nuclei/1" and its files.

An organ is a list of tissues, one for each real tile: tiles of one organ differ more from one another than
organs do (a kidney's tubules and its tumours), so a mask takes one of them and draws everything else from it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sian.errors import BadInput, nearest
from sian.files import write_text

FORMAT = "sian.nuclei/1"
QUANTILES = np.array([0, 0.01, 0.025, 0.05, *np.arange(0.1, 0.95, 0.1), 0.95, 0.975, 0.99, 1])
MAX_AREA = 100_000.0  # px
LIST_OF_NUMBERS = re.compile(r"\[[^\[\]{}]*\]")

Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(gt=0, le=10_000)]
Correlation = Annotated[float, Field(ge=-1, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Tissue(_Part):
    """The nuclei of one tile.

    Area, aspect and irregularity are given by their values at `QUANTILES`; how they go together, by the
    correlations of their normal scores (a Gaussian copula). "Coherence" is the part of a quantity's
    variance (for directions: the mean cosine of twice the angle between neighbours) that neighbours share.

    Attributes:
        name: the tile.
        nuclei: how many were measured.
        density: centres per million pixels.
        patchiness: standard deviation of the logarithm of the local density; 0 is even.
        patch_length: px over which the local density stays alike.
        area: px, at the quantiles.
        aspect: length over breadth, at the quantiles.
        irregularity: part of the nucleus outside of its ellipse, at the quantiles.
        correlations: area with aspect, area with irregularity, aspect with irregularity.
        size_coherence: of the areas' normal scores.
        size_length: px.
        direction_coherence: of long axes.
        direction_length: px.
        attached: part of the nuclei that joins a cluster another one began: 1 - clusters / nuclei.
    """

    name: str
    nuclei: Annotated[int, Field(ge=0)]
    density: Annotated[float, Field(ge=0, le=100_000)]
    patchiness: Annotated[float, Field(ge=0, le=3)]
    patch_length: Length
    area: tuple[Annotated[float, Field(ge=1, le=MAX_AREA)], ...]
    aspect: tuple[Annotated[float, Field(ge=1, le=100)], ...]
    irregularity: tuple[Share, ...]
    correlations: tuple[Correlation, Correlation, Correlation]
    size_coherence: Share
    size_length: Length
    direction_coherence: Share
    direction_length: Length
    attached: Share

    @field_validator("area", "aspect", "irregularity", "correlations", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("area", "aspect", "irregularity")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) != len(QUANTILES) or any(b < a for a, b in pairwise(value)):
            raise ValueError(f"expected {len(QUANTILES)} ascending values")
        return value

    @field_validator("correlations")
    @classmethod
    def _possible(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if np.linalg.eigvalsh(correlation_matrix(value)).min() < 0:
            raise ValueError("expected correlations that can occur together")
        return value


class Organ(_Part):
    """An organ's tissues; a mask is drawn from one of them."""

    name: str
    tissues: Annotated[tuple[Tissue, ...], Field(min_length=1)]

    @field_validator("tissues", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Fit(_Part):
    """What was fitted to real masks.

    Attributes:
        format: always "sian.nuclei/1".
        source: the masks that it was fitted to, in words.
        licence: of these masks.
        mpp: micrometres per pixel of these masks, None if unknown; the numbers are in pixels.
        organs: by name.
    """

    format: Literal["sian.nuclei/1"] = "sian.nuclei/1"
    source: str = ""
    licence: str = "unknown"
    mpp: Annotated[float, Field(gt=0, le=100)] | None = None
    organs: Annotated[dict[str, Organ], Field(min_length=1)]

    def organ(self, name: str) -> Organ:
        """One organ.

        Raises:
            BadInput: there is none of this name; the nearest is offered.
        """
        if name not in self.organs:
            raise BadInput(f"no nuclei are known of the organ {name!r}{nearest(name, self.organs)}")
        return self.organs[name]


def correlation_matrix(correlations: tuple[float, float, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(3, 3) of area, aspect and irregularity."""
    first, second, third = correlations
    return np.array([[1, first, second], [first, 1, third], [second, third, 1]])


@cache
def default_fit() -> Fit:
    """The bundled fit to the training tiles of MoNuSeg (CC BY-NC-SA 4.0): seven organs at 0.25 um per pixel."""
    return read_fit(Path(str(resources.files("sian") / "assets" / "nuclei.json")))


def read_fit(path: str | Path) -> Fit:
    """Read a fit from a JSON file.

    Raises:
        BadInput: no such file, not JSON, or numbers out of range.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file; fit nuclei to a data set with `sian masks --like DATASET`") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: cannot be read as JSON, expected a fit of format {FORMAT}; fit again") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BadInput(f"{path}: found format {found!r}, expected {FORMAT!r}; fit again with `sian masks --like`")
    try:
        return Fit.model_validate(content)
    except ValidationError as error:
        details = error.errors()
        first = f"{'.'.join(map(str, details[0]['loc']))}: {details[0]['msg'].removeprefix('Value error, ')}"
        more = f" and {len(details) - 1} more" if len(details) > 1 else ""
        raise BadInput(f"{path}: {first}{more}; fit again with `sian masks --like DATASET`") from error


def write_fit(path: str | Path, fit: Fit) -> None:
    """Write a fit as JSON, atomically; each quantity of a tissue has a line."""
    text = json.dumps(fit.model_dump(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, LIST_OF_NUMBERS.sub(lambda found: " ".join(found[0].split()), text) + "\n")

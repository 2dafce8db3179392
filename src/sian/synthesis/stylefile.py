"""A style vector as a file: what `sian style` fits once, every command that takes a style can paint in.

JSON: a vector belongs to the model that made it, so the file names that model, and no other one takes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sian.errors import BadInput
from sian.files import write_json
from sian.files.jsonfiles import SUFFIX, read_json
from sian.synthesis.styles import Style

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SUFFIX", "StyleFile", "read_style", "write_style"]

MOST_BYTES = 1 << 20  # a vector of 4,096 numbers is a tenth of it

_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Number = Annotated[float, Field(strict=True, ge=-1e6, le=1e6, allow_inf_nan=False)]  # far from float32's end


class StyleFile(BaseModel):
    """What the file holds.

    Attributes:
        model: SHA-256 of the model's file.
        vector: (D,) numbers.
        reference: SHA-256 of the picture that it was fitted to.
        before: the encoder's distance from the reference in stain, see `sian.synthesis.style_fitting.Fitted`.
        after: this vector's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["sian.style/1"] = "sian.style/1"
    model: _Sha256
    vector: list[_Number] = Field(min_length=1, max_length=4096)
    reference: _Sha256 | None = None
    before: _Number | None = None
    after: _Number | None = None


def write_style(path: Path, content: StyleFile) -> None:
    """Write a style's file."""
    write_json(path, content.model_dump())


def read_style(path: Path, model_sha256: str, dimensions: int) -> Style:
    """A style from its file, called as the file is.

    Raises:
        BadInput: no such file, not a style's, or of another model.
    """
    try:
        content = StyleFile.model_validate(read_json(path, MOST_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        where = (
            ".".join(str(part) if str(part).isprintable() else repr(part) for part in first["loc"])[:80]
            or "its content"
        )
        raise BadInput(
            f"{path}: is not a style's file ({where}: {first['msg']}), expected one that `sian style` has written"
        ) from None
    if content.model != model_sha256:
        raise BadInput(
            f"{path}: is a style of the model {content.model[:12]}..., found the model {model_sha256[:12]}...; name "
            "that model, or fit it again with `sian style REFERENCE --model MODEL` (numbers added to a model's file "
            "make it another one)"
        )
    if len(content.vector) != dimensions:
        raise BadInput(f"{path}: found a vector of {len(content.vector)} numbers, expected {dimensions}; fit it again")
    return Style(np.array(content.vector, np.float32), path.stem)

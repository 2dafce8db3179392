"""Styles that were added in the studio, kept beside the autosave: a restart must not lose what took minutes to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sian.errors import BadInput, warn
from sian.files import write_json
from sian.files.jsonfiles import read_json
from sian.studio_app.shelf import MARK, MOST_ADDED
from sian.synthesis.styles import Style

if TYPE_CHECKING:
    from pathlib import Path

    from sian.studio_app.shelf import Shelf
    from sian.synthesis import Model

MOST_BYTES = 64 << 20

_Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=f"^{MARK}.{{1,60}}$")]
    vector: list[_Number] = Field(min_length=1, max_length=4096)
    quantile: _Number | None = None
    note: Annotated[str, Field(max_length=1000)] = ""
    passing: bool = False


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["sian.studio.styles/1"] = "sian.studio.styles/1"
    model: str
    styles: list[_Kept] = Field(max_length=MOST_ADDED)


def keep_styles(folder: Path, shelf: Shelf, model: Model) -> None:
    """Write what was added to a shelf into the folder of the autosave."""
    kept = [
        _Kept(
            name=name,
            vector=style.vector.tolist(),
            quantile=style.quantile,
            note=shelf.notes.get(name, ""),
            passing=name in shelf.passing,
        )
        for name, style in shelf.added.items()
    ]
    write_json(_path(folder, model), _File(model=model.sha256, styles=kept).model_dump())


def bring_back(folder: Path, shelf: Shelf, model: Model) -> None:
    """Put on the shelf what was kept of this model's; a file that cannot be read is said."""
    path = _path(folder, model)
    if not path.is_file() or not model.has_style:
        return
    try:
        found = _File.model_validate(read_json(path, MOST_BYTES))
    except (BadInput, ValidationError) as error:
        warn(f"{path}: holds no styles that can be read ({str(error).splitlines()[0]}); those added before are lost")
        return
    size = model.painter.generator.style_dim
    for kept in found.styles:
        if found.model == model.sha256 and len(kept.vector) == size:
            vector = np.array(kept.vector, np.float32)
            shelf.added[kept.name] = Style(vector, kept.name.removeprefix(MARK), kept.quantile)
            shelf.notes[kept.name] = kept.note
            shelf.passing += [kept.name] * kept.passing


def _path(folder: Path, model: Model) -> Path:
    """A style belongs to its model, and so does the file."""
    return folder / f"styles-{model.sha256[:12]}.json"

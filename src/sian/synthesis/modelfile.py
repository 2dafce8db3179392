"""The model file: one `.safetensors` with generator, encoder, style bank and training facts (docs/design.md).

Spectral norm is folded into the weights and batch norm's statistics are estimated for them, so that a file is painted
with as it is. Everything in it is checked before it is used; there is no pickle in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sian.errors import BadInput, first_line
from sian.files import sha256_file, write_bytes
from sian.networks.soundness import weight_problem
from sian.synthesis.storage import Storage, narrowed, storage_of, widened

FORMAT = "sian.model/1"
_KEY = "sian"  # of the JSON among the file's metadata


class TrainingFacts(BaseModel):
    """What a model saw, and where.

    Attributes:
        held_out: tiles that it was watched by and did not learn from; they are in the bank.
        base: the model that it was fine-tuned from; what that one saw comes on top.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    tiles: list[str]
    images: int
    hours: float
    device: str
    commit: str
    version: str
    held_out: list[str] = []
    base: BaseModelFacts | None = None


class BaseModelFacts(BaseModel):
    """The model that another one was fine-tuned from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    name: str
    mpp: float | None = None
    median_nucleus_area: float
    licence: str
    training: TrainingFacts


class ReferenceDistances(BaseModel):
    """Quantiles of the distance of training windows to a bank without their own tile, see `Styles.distance`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    median: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)  # 99 %


class ModelInfo(BaseModel):
    """What a model file says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    name: str
    recipe: dict[str, Any]
    organs: list[str]
    aliases: dict[str, str] = {}
    mpp: float | None
    median_nucleus_area: float = Field(gt=0, allow_inf_nan=False)
    reference_distances: ReferenceDistances
    training: TrainingFacts
    metrics: dict[str, Any] = {}
    licence: str
    classes: list[str] = []

    def __repr__(self) -> str:
        """What one wants to know first; `model_dump` has the rest."""
        mpp = f"{self.mpp:g} um a pixel" if self.mpp else "unknown magnification"
        tiles = len(self.training.tiles)
        return f"ModelInfo({self.name!r}, {', '.join(self.organs)}; {mpp}; {tiles} training tiles; {self.licence})"


@dataclass(frozen=True)
class ModelContent:
    """A model file's content.

    Attributes:
        info: what it says of itself.
        weights: the painter's state dict, spectral norm folded in.
        bank: tensors of the style bank, named ORGAN/PREPARATION.PART.
        sha256: of the file.
        discriminator: its state dict, spectral norm folded in; empty in most files.
        looks: tensors of what the training windows look like (`sian.synthesis.looks`); empty in older files.
        tissue: how often the tiles of a style have what between their nuclei (`sian.networks.drawn_tissue`), by
            ORGAN/PREPARATION; empty where the model takes no tissue maps.
        storage: how the weights lie in the file.
    """

    info: ModelInfo
    weights: dict[str, Tensor]
    bank: dict[str, Tensor]
    sha256: str
    discriminator: dict[str, Tensor]
    looks: dict[str, Tensor]
    tissue: dict[str, Tensor]
    storage: Storage


def write_model(
    path: str | Path,
    info: ModelInfo,
    weights: dict[str, Tensor],
    bank: dict[str, Tensor],
    *,
    discriminator: Mapping[str, Tensor] | None = None,
    looks: Mapping[str, Tensor] | None = None,
    tissue: Mapping[str, Tensor] | None = None,
    storage: Storage = "float16",
) -> None:
    """Write a model file atomically.

    Args:
        path: the file to make.
        info: what it says of itself.
        weights: the painter's state dict without spectral norm.
        bank: tensors of the style bank.
        discriminator: its state dict without spectral norm, for a fine-tuning; painting needs none.
        looks: tensors of what the training windows look like.
        tissue: (3, 33) of each style, see `sian.networks.drawn_tissue.tissue_law`.
        storage: how weights are stored, see `sian.synthesis.storage`; they come back in fp32.
    """
    tensors = {f"bank.{name}": tensor.float().contiguous() for name, tensor in bank.items()}
    tensors |= {f"looks.{name}": tensor.float().contiguous() for name, tensor in (looks or {}).items()}
    tensors |= {f"tissue.{name}": tensor.float().contiguous() for name, tensor in (tissue or {}).items()}
    networks = {f"painter.{name}": tensor for name, tensor in weights.items()}
    networks |= {f"discriminator.{name}": tensor for name, tensor in (discriminator or {}).items()}
    for name, tensor in networks.items():
        tensors |= narrowed(name, tensor, storage)
    # Written like any other file: safetensors' own writer makes files that only their owner may read.
    write_bytes(path, save(tensors, metadata={_KEY: info.model_dump_json()}))


def read_model(path: str | Path) -> ModelContent:
    """Read and check a model file; weights come back in fp32.

    Raises:
        BadInput: no such file, not a model of this format, or damaged.
    """
    path = Path(path)
    with _opened(path) as file:
        info = _info(path, (file.metadata() or {}).get(_KEY))
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is not a dict
    try:
        wide = widened(tensors)
    except BadInput as error:
        raise BadInput(f"{path}: {error}; export the model again") from None
    weights, bank, discriminator, looks, tissue = (
        {key.removeprefix(prefix): t for key, t in wide.items() if key.startswith(prefix)}
        for prefix in ("painter.", "bank.", "discriminator.", "looks.", "tissue.")
    )
    for name, tensor in {**bank, **looks, **tissue}.items():
        if not bool(torch.isfinite(tensor.sum(dtype=torch.float64))):  # one pass; finite fp32 cannot overflow it
            raise BadInput(f"{path}: tensor {name!r} holds values that are not finite; export the model again")
    for name, tensor in {**weights, **discriminator}.items():
        if problem := weight_problem(name, tensor):
            raise BadInput(f"{path}: tensor {name!r} holds {problem}; export the model again")
    return ModelContent(info, weights, bank, sha256_file(path), discriminator, looks, tissue, storage_of(tensors))


def read_info(path: str | Path) -> ModelInfo:
    """What a model file says of itself, without its weights.

    Raises:
        BadInput: no such file, not a model of this format, or damaged.
    """
    path = Path(path)
    with _opened(path) as file:
        return _info(path, (file.metadata() or {}).get(_KEY))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A model file to read from; whatever is wrong with it becomes one sentence."""
    if path.is_dir():
        raise BadInput(f"{path}: found a folder, expected a model file, e.g. {path / 'model.safetensors'}")
    if not path.is_file():
        raise BadInput(f"{path}: no such file, expected a model (.safetensors, format {FORMAT}); check the path")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            f"{path}: expected a model of format {FORMAT}, found {first_line(error)}; copy or export it again"
        ) from None


def _info(path: Path, text: str | None) -> ModelInfo:
    try:
        content = json.loads(text or "null")
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            what = f"format {found!r}" if found else "a file without SIAN's description"
            raise BadInput(f"{path}: expected a model of format {FORMAT!r}, found {what}; export it with `sian export`")
        return ModelInfo.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        reason = f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].lower()}"
        raise BadInput(f"{path}: its description is damaged ({reason}); export the model again") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: its description is damaged ({first_line(error)}); export the model again") from None

"""Checkpoints: a folder that appears whole or not at all, read without pickle.

::

    RUN/checkpoints/000012000/      images seen
      state.json                    format, images, step, recipe's hash, scalars, optimisers' settings, code version
      networks.safetensors          weights of all networks, raw (spectral norm's u and v among them)
      average.safetensors           EMA of the painter
      optimisers.safetensors        Adam's moments

Random numbers need no state: each step derives its own from (seed, purpose, step), see `sian.seeds`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sian.errors import BadInput, MissingResource, first_line

FORMAT = "sian.checkpoint/1"
_PART = ".part"  # suffix of a folder that is being written
_KINDS = {"images": int, "step": int, "recipe": str, "version": str, "scalars": dict}  # of State's fields


@dataclass
class State:
    """What goes into and comes out of a checkpoint beside the tensors."""

    images: int
    step: int
    recipe: str  # the resolved recipe, as YAML
    version: str
    scalars: dict[str, float] = field(default_factory=dict)


def save(
    folder: Path,
    state: State,
    networks: Mapping[str, nn.Module],
    average: nn.Module,
    optimisers: Mapping[str, torch.optim.Optimizer],
    keep: int,
) -> Path:
    """Write a checkpoint and remove all but the newest `keep`; returns its folder.

    Args:
        folder: the run's `checkpoints` folder.
        state: where the run is.
        networks: by name; their state dicts are kept raw.
        average: the EMA network.
        optimisers: by name.
        keep: how many checkpoints stay.

    Raises:
        MissingResource: it cannot be written, e.g. since the disk is full; older checkpoints stay.
    """
    target = folder / f"{state.images:09d}"
    part = folder / f".{target.name}{_PART}"
    for leftover in folder.glob(f".*{_PART}"):  # of a run that was killed while it saved
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    moments, settings = _flatten(optimisers)
    tensors = {f"{name}.{key}": t for name, net in networks.items() for key, t in net.state_dict().items()}
    for file, content in (("networks", tensors), ("average", average.state_dict()), ("optimisers", moments)):
        _write_tensors(part / f"{file}.safetensors", content)
    record = {"format": FORMAT, **state.__dict__, "optimisers": settings}
    (part / "state.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    for written in part.iterdir():
        _flush(written)
    replaced = folder / f".{target.name}.old{_PART}"  # a leftover of this name is removed by the next save
    if target.is_dir():
        os.replace(target, replaced)
    os.replace(part, target)
    shutil.rmtree(replaced, ignore_errors=True)
    for old in found(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def found(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.name.isdigit() and entry.is_dir())


def read_state(checkpoint: Path) -> tuple[State, dict[str, Any]]:
    """The state and the optimisers' settings of a checkpoint.

    Raises:
        BadInput: a file is missing, damaged, or of another format.
    """
    path = checkpoint / "state.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("format") != FORMAT:
            raise ValueError(f"not {FORMAT}")
        settings, state = record.pop("optimisers"), State(**record)
        if any(type(getattr(state, name)) is not kind for name, kind in _KINDS.items()):
            raise ValueError(f"other types than {', '.join(_KINDS)} have")
        return state, settings
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        BadInput: the file is missing, cut short or something else.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise _damaged(path, error) from None


def load(
    checkpoint: Path,
    networks: Mapping[str, nn.Module],
    average: nn.Module,
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> State:
    """Put a checkpoint's tensors into networks, average and optimisers; returns its state.

    Raises:
        BadInput: the checkpoint is damaged, or of networks of another shape.
    """
    state, settings = read_state(checkpoint)
    tensors = read_tensors(checkpoint / "networks.safetensors")
    try:
        for name, network in networks.items():
            prefix = f"{name}."
            network.load_state_dict({k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)})
        average.load_state_dict(read_tensors(checkpoint / "average.safetensors"))
        moments = read_tensors(checkpoint / "optimisers.safetensors")
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict({"state": _nested(moments, name), "param_groups": settings[name]})
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(checkpoint, error) from None
    return state


def _flatten(
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> tuple[dict[str, Tensor], dict[str, list[dict[str, Any]]]]:
    """Optimisers as tensors "name.parameter.moment" and plain settings."""
    tensors: dict[str, Tensor] = {}
    settings = {}
    for name, optimiser in optimisers.items():
        content = optimiser.state_dict()
        settings[name] = content["param_groups"]
        for parameter, moments in content["state"].items():
            for moment, value in moments.items():
                tensors[f"{name}.{parameter}.{moment}"] = torch.as_tensor(value)
    return tensors, settings


def _nested(tensors: Mapping[str, Tensor], name: str) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        owner, parameter, moment = key.split(".")
        if owner == name:
            state.setdefault(int(parameter), {})[moment] = tensor
    return state


def _write_tensors(path: Path, content: Mapping[str, Tensor]) -> None:
    try:
        save_file({key: t.detach().cpu().contiguous() for key, t in content.items()}, path)
    except SafetensorError as error:  # the library hides the system's error in a text
        raise MissingResource(f"{path}: cannot be written ({error}); free some space and go on with --resume") from None


def _flush(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(
        f"{path}: expected a whole checkpoint of this run, found {first_line(error)}; remove that checkpoint's folder "
        "to go on from the one before"
    )

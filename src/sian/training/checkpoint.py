"""Checkpoints: a folder that appears whole or not at all, read without pickle.

::

    RUN/checkpoints/000012000/      images seen
      state.json                    format, images, step, recipe's hash, scalars, optimisers' settings, code version,
                                    SHA-256 of the other files and of itself
      networks.safetensors          weights of all networks, raw (spectral norm's u and v among them)
      average.safetensors           EMA of the painter
      optimisers.safetensors        Adam's moments

Random numbers need no state: each step derives its own from (seed, purpose, step), see `sian.seeds`.
"""

from __future__ import annotations

import hashlib
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
from sian.files.hashing import sha256_file

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
    record["sha256"] = {file.name: sha256_file(file) for file in sorted(part.iterdir())}
    (part / "state.json").write_text(json.dumps(record | {"sha256_state": _own_hash(record)}, indent=1), "utf-8")
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


def chosen(folder: Path, images: int | None = None, write: bool = True) -> Path | None:
    """The checkpoint to go on from; None without any.

    Args:
        folder: the run's `checkpoints` folder.
        images: of the checkpoint that is wanted instead of the newest; newer ones are set aside, as NAME.aside.
        write: whether this process is the one that may do so.

    Raises:
        BadInput: none has seen so many images.
    """
    complete = found(folder)
    if images is None:
        return complete[-1] if complete else None
    wanted = next((entry for entry in complete if int(entry.name) == images), None)
    if wanted is None:
        there = ", ".join(str(int(entry.name)) for entry in complete) or "none"
        raise BadInput(f"{folder}: found no checkpoint of {images} images, expected one of these: {there}")
    for newer in complete[complete.index(wanted) + 1 :] if write else ():
        aside = newer.with_name(f"{newer.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        newer.rename(aside)
    return wanted


def read_state(checkpoint: Path) -> tuple[State, dict[str, Any]]:
    """The state and the optimisers' settings of a checkpoint.

    Raises:
        BadInput: a file is missing, damaged, or of another format.
    """
    path = checkpoint / "state.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("format") != FORMAT:
            raise ValueError(f"not {FORMAT}")
        expected = record.pop("sha256_state", None)
        if expected is not None and _own_hash(record) != expected:
            raise ValueError("another content than was written")
        del record["format"]
        record.pop("sha256", None)
        settings, state = record.pop("optimisers"), State(**record)
        if any(type(getattr(state, name)) is not kind for name, kind in _KINDS.items()):
            raise ValueError(f"other types than {', '.join(_KINDS)} have")
        return state, settings
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; one of a checkpoint is compared with the SHA-256 that was written with it.

    Raises:
        BadInput: the file is missing, cut short, changed or something else.
    """
    try:
        expected = _expected_hash(path)
        if expected is not None and sha256_file(path) != expected:
            raise ValueError("another content than was written")
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


def _own_hash(record: Mapping[str, Any]) -> str:
    """Of all that `state.json` says."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _expected_hash(path: Path) -> str | None:
    """What `state.json` beside a file says of it; None where the file does not say it."""
    state = path.with_name("state.json")
    if not (path.parent.name.isdigit() and state.is_file()):
        return None
    record = json.loads(state.read_text(encoding="utf-8"))
    known = record.get("sha256", {}) if isinstance(record, dict) else {}
    return known.get(path.name) if isinstance(known, dict) else None


def _damaged(path: Path, error: Exception) -> BadInput:
    folder = path if path.name.isdigit() else path.parent
    before = [int(entry.name) for entry in found(folder.parent) if entry.name < folder.name]
    advice = f"go on from the one before with --resume --from {before[-1]}" if before else "start the run anew"
    return BadInput(f"{path}: expected a whole checkpoint of this run, found {first_line(error)}; {advice}")

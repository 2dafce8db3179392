"""Fetch or take the public originals of VGG19 and of the FID Inception, and convert them to our safetensors.

The originals are PyTorch state dicts; they are read with ``weights_only=True``, so that no code in them runs.
A download counts only when its SHA-256 begins with the digits in its public file name. Which file is used
where is `sian.files.weights`' affair.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sian.errors import BadInput, MissingResource
from sian.files.atomic import atomic_file, write_bytes, write_text
from sian.files.fetching import fetch
from sian.files.hashing import sha256_file
from sian.files.regular import check_regular
from sian.files.weights import RECEIPTS, WeightsName, cache_folder, is_known, read_metadata, receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True)
class Original:
    """A public file of weights.

    Attributes:
        url: where it can be had.
        sha256_prefix: the first digits of its SHA-256, which its publisher put into the file name.
        megabytes: about how large it is.
    """

    url: str
    sha256_prefix: str
    megabytes: int


ORIGINALS: dict[WeightsName, Original] = {
    "vgg19": Original("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d", 548),
    "inception_fid": Original(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        91,
    ),
}

VGG19_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))  # channels, convolutions; up to conv5_1
INCEPTION_ENTRIES = 94 * 5  # 94 convolutions, each with a weight and the four tensors of its batch norm
INCEPTION_SHAPES = {
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
    "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
}


def download(
    name: WeightsName,
    folder: Path | None = None,
    report: Callable[[int, int], None] | None = None,
    opener: Callable[..., Any] = urllib.request.urlopen,
) -> Path:
    """Download the public original of `name`, verify it and convert it.

    Args:
        name: ``"vgg19"`` or ``"inception_fid"``.
        folder: where the converted file goes; the user's cache unless given.
        report: called with (megabytes so far, megabytes in all).
        opener: opens a URL, ``opener(url, timeout=seconds)``.

    Returns:
        The path of the converted file.

    Raises:
        MissingResource: the address cannot be reached, or the disk is full.
        BadInput: what came is not the original.
    """
    folder = folder or cache_folder()
    original = ORIGINALS[name]
    target = folder / urlsplit(original.url).path.rsplit("/", 1)[-1]
    with atomic_file(target) as temporary:
        _fetch(original, temporary, report, opener)
    try:
        return import_weights(target, folder)
    finally:
        target.unlink()


def _fetch(
    original: Original, target: Path, report: Callable[[int, int], None] | None, opener: Callable[..., Any]
) -> None:
    def say(done: int) -> None:
        if report is not None:
            report(done >> 20, max(original.megabytes, done >> 20))

    try:
        fetch(original.url, target, opener, say)
    except OSError as error:  # URLError, HTTPError and time-outs are OSErrors
        if error.filename == str(target):
            raise
        raise MissingResource(
            f"{original.url}: could not be downloaded ({getattr(error, 'reason', error)}); "
            "download it on a machine that reaches it, then run `sian weights import FILE`"
        ) from error


def import_weights(file: Path, folder: Path | None = None, trust: bool = False) -> Path:
    """Convert an original that the user has, or take over a file that is converted already.

    Args:
        file: torchvision's VGG19 or pytorch-fid's Inception (``.pth``), or a ``.safetensors`` of SIAN's own.
        folder: where the converted file goes; the user's cache unless given.
        trust: take a file whose SHA-256 is unknown.

    Returns:
        The path of the converted file, which `find_weights` now accepts.

    Raises:
        BadInput: the file is none of these, or its SHA-256 is unknown and `trust` isn't given.
    """
    folder = folder or cache_folder()
    check_regular(file, "weights")
    sha256 = sha256_file(file)
    if file.suffix == ".safetensors":
        name = _name_of_converted(file)
        _check(file, name, sha256, is_known(name, sha256) or trust)
        target = folder / f"{name}.safetensors"
        if not (target.exists() and target.samefile(file)):
            with atomic_file(target) as temporary:
                shutil.copyfile(file, temporary)
    else:
        name, tensors = convert(_load(file), file)
        _check(file, name, sha256, sha256.startswith(ORIGINALS[name].sha256_prefix) or trust)
        target = folder / f"{name}.safetensors"
        _save(tensors, {**METADATA[name], "source": file.name, "source_sha256": sha256}, target)
    _remember(name, sha256_file(target))
    return target


def _check(file: Path, name: WeightsName, sha256: str, accepted: bool) -> None:
    if not accepted:
        raise BadInput(
            f"{file}: looks like {name}, but its SHA-256 {sha256[:12]}... is not the public "
            f"original's; take it from {ORIGINALS[name].url}, or give --trust-weights"
        )


def _name_of_converted(file: Path) -> WeightsName:
    from safetensors import safe_open

    read_metadata(file)
    with safe_open(file, framework="numpy") as tensors:
        keys = set(tensors.keys())
    if "conv5_1.weight" in keys:
        return "vgg19"
    if "Mixed_7c.branch_pool.conv.weight" in keys:
        return "inception_fid"
    raise BadInput(f"{file}: {_EXPECTED}, found {len(keys)} tensors of something else")


_EXPECTED = "expected torchvision's VGG19 or pytorch-fid's Inception"


def _load(file: Path) -> dict[str, Tensor]:
    """A PyTorch state dict, read without running what its pickle says."""
    import torch

    _check_archive(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = type(error).__name__
        raise BadInput(
            f"{file}: {_EXPECTED}, found a file that is not a plain PyTorch state dict ({reason})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BadInput(f"{file}: {_EXPECTED}, found no dictionary of tensors; save the network's state_dict()")
    for key, value in state.items():
        strided = value.layout == torch.strided
        if not strided or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise BadInput(
                f"{file}: {_EXPECTED}, found {key} of {tuple(value.shape)}, which is not stored number by number"
            )
    return {str(key): value for key, value in state.items()}


def _check_archive(file: Path) -> None:
    """Refuse a zip whose parts are packed, which PyTorch never does: a small one could fill the memory."""
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile:
        return  # PyTorch's older form, which is not an archive
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(p.file_size for p in parts) > size:
        raise BadInput(
            f"{file}: {_EXPECTED}, found an archive whose parts are packed; save the state_dict with torch.save"
        )


def convert(state: dict[str, Tensor], file: Path) -> tuple[WeightsName, dict[str, Tensor]]:
    """Rename a state dict's tensors to the names that our networks use.

    Args:
        state: torchvision's VGG19 or pytorch-fid's Inception.
        file: where it came from, for the error's sentence.

    Returns:
        ``"vgg19"`` with ``conv1_1.weight`` to ``conv5_1.bias``, or ``"inception_fid"`` without classifier.

    Raises:
        BadInput: it is neither, e.g. the batch-norm VGG or torchvision's own Inception.
    """
    if "features.0.weight" in state:
        return "vgg19", _convert_vgg19(state, file)
    if "Conv2d_1a_3x3.conv.weight" in state:
        return "inception_fid", _convert_inception(state, file)
    raise BadInput(f"{file}: {_EXPECTED}, found tensors such as {', '.join(list(state)[:3]) or 'none'}")


def _convert_vgg19(state: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    channels = 3
    for place, name, out in _vgg19_convolutions():
        weight, bias = state.get(f"features.{place}.weight"), state.get(f"features.{place}.bias")
        if weight is None or bias is None or weight.shape != (out, channels, 3, 3):
            raise BadInput(
                f"{file}: expected the convolution {name} of torchvision's VGG19 as features.{place}, "
                "found another network; take VGG19 without batch norm"
            )
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight.float(), bias.float()
        channels = out
    return tensors


def _vgg19_convolutions() -> Iterator[tuple[int, str, int]]:
    """The place of each convolution in torchvision's ``features``, its name, its channels out."""
    place = 0
    for stage, (channels, count) in enumerate(VGG19_STAGES, start=1):
        for number in range(1, count + 1):
            yield place, f"conv{stage}_{number}", channels
            place += 2  # the convolution and its ReLU
        place += 1  # the max pool


def _convert_inception(state: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    kept = {
        key: value.float()
        for key, value in state.items()
        if not key.startswith("fc.") and not key.endswith("num_batches_tracked")
    }
    fits = all(key in kept and kept[key].shape == shape for key, shape in INCEPTION_SHAPES.items())
    if len(kept) != INCEPTION_ENTRIES or not fits:
        raise BadInput(
            f"{file}: expected the {INCEPTION_ENTRIES} tensors of the FID Inception, found {len(kept)}; "
            "torchvision's own Inception is another network, take pytorch-fid's"
        )
    return kept


METADATA: dict[WeightsName, dict[str, str]] = {
    "vgg19": {
        "activation_scale": "torchvision",
        "colour_order": "RGB",
        "layout": "OIHW",
        "dtype": "float32",
        "architecture": "VGG19 convolutions conv1_1 .. conv5_1, 3x3 pad 1 + ReLU, 2x2 max pool",
    },
    "inception_fid": {
        "keys": "as in pytorch-fid's state dict; fc.* and num_batches_tracked left out",
        "preprocessing": "RGB 0..255, resized to 299x299 bilinear (align_corners=False), then (x-128)/128",
        "dtype": "float32",
        "architecture": "the Inception of TensorFlow's 2015-12-05 graph, 2048-d pool",
    },
}


def _save(tensors: dict[str, Tensor], metadata: dict[str, str], target: Path) -> None:
    from safetensors.torch import save

    # Written like any other file: safetensors' own writer makes files that only their owner may read.
    write_bytes(target, save({key: value.contiguous() for key, value in tensors.items()}, metadata=metadata))


def _remember(name: WeightsName, sha256: str) -> None:
    """Note in the user's cache that a file with this SHA-256 was made or trusted here."""
    if not is_known(name, sha256):
        write_text(cache_folder() / RECEIPTS, json.dumps({**receipts(), sha256: name}, indent=2) + "\n")

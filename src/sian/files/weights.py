"""Where the weights of other people's networks lie: VGG19 for the perceptual loss, Inception for FID and KID.

They are looked up in a folder that the user names, in ``$SIAN_WEIGHTS`` and in the user's cache, and used
when their SHA-256 is known (docs/design.md, "Weights"). Synthesis needs neither. How they get there is
`sian.files.originals`' affair.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from sian.errors import BadInput, MissingResource
from sian.files.hashing import sha256_file

WeightsName = Literal["vgg19", "inception_fid"]
ActivationScale = Literal["torchvision", "normalised"]

NAMES: tuple[WeightsName, ...] = ("vgg19", "inception_fid")
ENVIRONMENT = "SIAN_WEIGHTS"
RECEIPTS = "receipts.json"  # in the cache: the SHA-256 of every file that this user converted or trusted

# SHA-256 of a file -> what it is.
KNOWN: dict[WeightsName, dict[str, str]] = {
    "vgg19": {
        "7b0f6457c4f71735d5059cb360a82a24e81d9dd734d2d73fe91ecf07619a81d3": "normalised VGG19, float16",
    },
    "inception_fid": {
        "41c2d419d5d7578b776e938b394a26de17956b0c8b578fc13780e5890e2e2685": "FID Inception, float16",
    },
}


def find_weights(name: WeightsName, folder: Path | None = None, trust: bool = False) -> Path:
    """The file that holds the weights `name`, checked.

    Args:
        name: ``"vgg19"`` or ``"inception_fid"``.
        folder: where to look first (``--weights DIR``).
        trust: take a file whose SHA-256 is unknown (``--trust-weights``).

    Returns:
        The path of a ``.safetensors`` file.

    Raises:
        BadInput: `folder` is not a folder, or the first file found has an unknown SHA-256.
        MissingResource: none of the places has the file.
    """
    if folder is not None and not folder.is_dir():
        raise BadInput(f"{folder}: found no folder; expected the folder that holds {name}.safetensors")
    path = locate(name, folder)
    if path is None:
        raise _missing(name, folder)
    if not trust:
        _check_hash(name, path)
    return path


def locate(name: WeightsName, folder: Path | None = None) -> Path | None:
    """The first file of that name in the places that are looked at, unchecked; None when there is none."""
    candidates = (place / f"{name}.safetensors" for _, place in places(folder))
    return next((path for path in candidates if path.is_file()), None)


def places(folder: Path | None = None) -> list[tuple[str, Path]]:
    """The folders that are looked at, in order, each with the name that a user knows it by."""
    found = [("--weights", folder)] if folder is not None else []
    if value := os.environ.get(ENVIRONMENT):
        found.append((f"${ENVIRONMENT}", Path(value)))
    return [*found, ("the user cache", cache_folder())]


def cache_folder() -> Path:
    """The user's own folder for weights; need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("sian", appauthor=False) / "weights"


def is_known(name: WeightsName, sha256: str) -> bool:
    """Whether a file with this SHA-256 is one that SIAN knows or that this user converted or trusted."""
    return sha256 in KNOWN[name] or receipts().get(sha256) == name


def receipts() -> dict[str, str]:
    """SHA-256 -> name of the files that this user converted or trusted."""
    try:
        entries = json.loads((cache_folder() / RECEIPTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in entries.items()} if isinstance(entries, dict) else {}


def activation_scale(path: Path) -> ActivationScale:
    """Whose activations a VGG19 file makes: torchvision's, or ones normalised to a mean of 1 (Gatys).

    Args:
        path: a ``vgg19.safetensors``.

    Raises:
        BadInput: the file is not safetensors or its metadata names no scale.
    """
    metadata = read_metadata(path)
    words = metadata.get("activation_scale", "").lower()
    if words.startswith("normalised"):
        return "normalised"
    if words.startswith("torchvision"):
        return "torchvision"
    raise BadInput(
        f"{path}: expected metadata activation_scale 'torchvision' or 'normalised', found {words or 'none'}; "
        "convert the original with `sian weights import FILE`"
    )


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; the tensors stay on the disk.

    Raises:
        BadInput: the file cannot be read or is not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: expected a safetensors file, found one that cannot be read ({error})") from error


def _check_hash(name: WeightsName, path: Path) -> None:
    sha256 = sha256_file(path)
    if not is_known(name, sha256):
        raise BadInput(
            f"{path}: its SHA-256 {sha256[:12]}... is not one that SIAN knows, so its numbers may "
            "not compare with anyone else's; make it with `sian weights get` or `sian weights "
            "import FILE`, or give --trust-weights"
        )


def _missing(name: WeightsName, folder: Path | None) -> MissingResource:
    looked = ", ".join(f"{label} ({place})" for label, place in places(folder))
    unset = "" if os.environ.get(ENVIRONMENT) else f"; ${ENVIRONMENT} is not set"
    return MissingResource(
        f"{name}.safetensors: not found in {looked}{unset}; "
        f"get it with `sian weights get {name}`, or convert an original that "
        f"you have with `sian weights import FILE`{'' if folder else ', or say where it lies: --weights DIR'}"
    )

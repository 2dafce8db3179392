"""What a job needs, in folders small enough to be sent: data recompressed, weights in half precision, code, wheels.

    PACK/pack.json            every file with its SHA-256, and which code it is
    PACK/job.py               starts the job with what lies beside it
    PACK/data/                the data set: training images as lossy webp, test images without loss
    PACK/weights/             VGG19, and Inception if it is measured there
    PACK/sian/                this code, without the bundled model
    PACK/maintainers/         these tools
    PACK/wheels/              packages that the machine lacks

Larger packs are sent in several transfers, PACK/1, PACK/2, ...; put together in one folder they are one pack.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save

import sian
from maintainers.borrowed_gpu.collecting import check_empty
from sian.data.dataset import ITEMS, MANIFEST
from sian.errors import BadInput
from sian.files import sha256_pixels, write_bytes
from sian.files.code_and_machine import commit
from sian.files.weights import NAMES, find_weights, read_metadata

if TYPE_CHECKING:
    from sian.data.dataset import Dataset, Item

FORMAT = "sian.pack/1"
TRANSFER_BYTES = 64 << 20
LEFT_OUT = ("assets/model.safetensors",)  # 16 MB that a job does not use
START = """\
# Starts a job with the data, the weights, the code and the wheels that lie beside this file.
#     python job.py sian --scale small --minutes 25 -o out
import runpy
import sys
import zipfile
from pathlib import Path

here = Path(__file__).resolve().parent
site = here / "site"
for wheel in sorted((here / "wheels").glob("*.whl")):
    if not (site / wheel.name).exists():  # a marker: unpacked already
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        (site / wheel.name).touch()
sys.path[:0] = [str(here), str(site)]
given = ["--data", str(here / "data"), "--weights", str(here / "weights"), "--trust-weights"]
sys.argv = ["borrowed_gpu", "row", *sys.argv[1:], *given]
runpy.run_module("maintainers.borrowed_gpu", run_name="__main__")
"""


@dataclass(frozen=True)
class Packed:
    """A file of a pack."""

    name: str  # with / between folders
    content: bytes


def pack(
    data: Dataset,
    target: Path,
    *,
    weights: Path | None = None,
    trust_weights: bool = False,
    inception: bool = True,
    quality: int = 90,
    wheels: Path | None = None,
    transfers: int = 1,
) -> list[tuple[Path, int]]:
    """Write a pack.

    Args:
        data: with a split "train" and, if it is measured there, a split "test".
        target: a new or empty folder.
        weights: a folder with VGG19 and Inception, searched first.
        trust_weights: take weights of an unknown SHA-256.
        inception: pack what measuring needs: Inception and the test tiles.
        quality: of the training images' webp, 1 to 100.
        wheels: a folder of .whl files to take along.
        transfers: how many folders of at most 64 MiB it may take.

    Returns:
        The folders and their bytes.

    Raises:
        BadInput: it does not fit.
        MissingResource: the weights are not on this machine.
    """
    check_empty(target)
    files = [
        *_code(),
        *_weights(weights, trust_weights, inception),
        *_data(data, quality, test=inception),
        *_wheels(wheels),
        Packed("job.py", START.encode()),
    ]
    listed = {file.name: hashlib.sha256(file.content).hexdigest() for file in files}
    facts = {"format": FORMAT, "commit": commit(), "version": sian.__version__, "quality": quality, "files": listed}
    files.append(Packed("pack.json", json.dumps(facts, indent=1).encode()))
    parts = _in_transfers(files, transfers, target)
    folders = []
    for number, part in enumerate(parts, 1):
        folder = target if len(parts) == 1 else target / str(number)
        for file in part:
            write_bytes(folder / file.name, file.content)
        folders.append((folder, sum(len(file.content) for file in part)))
    return folders


def _code() -> Iterator[Packed]:
    for package in (Path(sian.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(package.rglob("*")):
            name = path.relative_to(package).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and name not in LEFT_OUT:
                yield Packed(f"{package.name}/{name}", path.read_bytes())


def _weights(folder: Path | None, trust: bool, inception: bool) -> Iterator[Packed]:
    """In half precision; files that are already so stay to the byte."""
    for name in NAMES if inception else NAMES[:1]:
        path = find_weights(name, folder, trust)
        tensors = load_file(path)
        if all(tensor.dtype != torch.float32 for tensor in tensors.values()):
            yield Packed(f"weights/{path.name}", path.read_bytes())
            continue
        half = {key: t.half() if t.is_floating_point() else t for key, t in tensors.items()}
        yield Packed(f"weights/{path.name}", save(half, read_metadata(path)))


def _data(data: Dataset, quality: int, *, test: bool) -> Iterator[Packed]:
    lines = []
    for item in data:
        if item.split == "train" or (test and item.split == "test"):
            content, packed = _recompressed(data, item, None if item.split == "test" else quality)
            yield Packed(f"data/{packed.image}", content)
            yield Packed(f"data/{packed.mask}", data.path(item.mask).read_bytes())
            lines.append(json.dumps(packed.model_dump(exclude_none=True), ensure_ascii=False) + "\n")
    yield Packed(f"data/{MANIFEST}", json.dumps(data.info.model_dump()).encode())
    yield Packed(f"data/{ITEMS}", "".join(lines).encode())


def _recompressed(data: Dataset, item: Item, quality: int | None) -> tuple[bytes, Item]:
    """An image as webp, without loss if there is no quality, and its line."""
    stream = io.BytesIO()
    picture = Image.fromarray(data.image(item))
    if quality is None:
        picture.save(stream, "WEBP", lossless=True, method=4)
    else:
        picture.save(stream, "WEBP", quality=quality, method=4)
    with Image.open(io.BytesIO(stream.getvalue())) as again:
        pixels = np.asarray(again.convert("RGB"))
    changes = {"image": f"images/{item.id}.webp", "sha256_image": sha256_pixels(pixels)}
    return stream.getvalue(), item.model_copy(update=changes)


def _wheels(folder: Path | None) -> Iterator[Packed]:
    if folder is None:
        return
    found = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if not found:
        raise BadInput(f"{folder}: holds no wheels, expected .whl files; fetch them with `pip download`")
    for path in found:
        yield Packed(f"wheels/{path.name}", path.read_bytes())


def _in_transfers(files: list[Packed], transfers: int, target: Path) -> list[list[Packed]]:
    """The files in as few parts as they fit into, the largest first; refused if these are too many."""
    parts: list[list[Packed]] = []
    for file in sorted(files, key=lambda file: -len(file.content)):
        fits = (p for p in parts if sum(len(other.content) for other in p) + len(file.content) <= TRANSFER_BYTES)
        part = next(fits, None)
        if part is None:
            parts.append(part := [])
        part.append(file)
    largest = max(len(file.content) for file in files)
    if len(parts) > transfers or largest > TRANSFER_BYTES:
        folders: dict[str, int] = {}
        for file in files:
            folder = file.name.partition("/")[0]
            folders[folder] = folders.get(folder, 0) + len(file.content)
        sizes = ", ".join(
            f"{name} {size / (1 << 20):.1f}" for name, size in sorted(folders.items(), key=lambda s: -s[1])
        )
        raise BadInput(
            f"{target}: needs {len(parts)} transfers of {TRANSFER_BYTES >> 20} MiB (MiB: {sizes}), expected at most "
            f"{transfers}; give --transfers {len(parts)}, --no-inception or a lower --quality"
        )
    return parts

"""WebDataset's shards: SPLIT-000000.tar with ID.image.png, ID.mask.png16 (16-bit ids) and ID.json for each item.

A mask is a PNG, and its ending keeps WebDataset from taking it for a picture: ``.decode("pil")`` reads all that ends in
.png as 8-bit RGB and would cut the ids. Shards with ID.mask.png, as SIAN wrote them before, are read as well.

Also what `sian dataset` writes. The bytes depend on the items alone: headers carry no time, no owner and no machine.
Members are read by their place in the tar file; nothing is unpacked, so no name in it can lead anywhere.
"""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sian.data.dataset import Item
from sian.data.formats.format import Format, Sample, files_in, folders_below
from sian.data.formats.shard_items import read_ids, read_items, read_picture, read_record
from sian.data.pairs import Annotated, Pair
from sian.data.provenance import FURTHER, PER_ITEM, origin_text
from sian.errors import BadInput, warn
from sian.files import encode_png
from sian.masks.files import MAX_PNG_ID, encode_mask_png, write_mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from sian.data.dataset import Dataset
    from sian.data.provenance import Provenance
    from sian.files.tar import Member

KEYS = ("image.png", "mask.png16", "json")  # after an item's id and a dot
LARGE_MASK = "mask.tif"  # 32-bit, where ids go beyond 65,535
PNG_MAGIC = b"\x89PNG"
SHARD_ITEMS = 100
PATHS = ("image", "mask")  # keys of a record that name files of a data set's folder, of which a tar has none


@dataclass(frozen=True)
class Packed:
    """One item as it goes into a shard.

    Attributes:
        id: without a dot, at which WebDataset splits names.
        image: PNG.
        mask: PNG, or TIFF if there are ids beyond 65,535.
        record: what is known of it.
    """

    id: str
    image: bytes
    mask: bytes
    record: dict[str, Any]


def tar_bytes(items: Iterable[Packed]) -> bytes:
    """A shard as the bytes of a tar file (USTAR; mode 0644, no owner, time 0)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for item in items:
            mask_key = KEYS[1] if item.mask.startswith(PNG_MAGIC) else LARGE_MASK
            contents = {KEYS[0]: item.image, mask_key: item.mask, KEYS[2]: record_bytes(item.record)}
            for key, content in contents.items():
                member = tarfile.TarInfo(f"{item.id}.{key}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def record_bytes(record: dict[str, Any]) -> bytes:
    """A record as JSON, the same bytes for the same record."""
    kept = {key: value for key, value in record.items() if key not in PATHS}
    return json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False).encode()


def write(folder: Path, dataset: Dataset, samples: Iterable[Sample]) -> None:
    """Write a data set; see `Format.write`."""
    full: dict[str, list[Packed]] = {}
    written: dict[str, int] = {}

    def flush(split: str) -> None:
        (folder / f"{split}-{written.get(split, 0):06d}.tar").write_bytes(tar_bytes(full.pop(split)))
        written[split] = written.get(split, 0) + 1

    for sample in samples:
        item = sample.item
        record = item.model_dump(exclude_none=True)
        record |= {"synthetic": dataset.info.synthetic, "licence": dataset.info.licence}
        image = encode_png(sample.image, origin_text(item, dataset.info))
        full.setdefault(item.split, []).append(Packed(item.id, image, _mask_bytes(sample.mask), record))
        if len(full[item.split]) == SHARD_ITEMS:
            flush(item.split)
    for split in list(full):
        flush(split)


def _mask_bytes(mask: npt.NDArray[np.int32]) -> bytes:
    if int(mask.max(initial=0)) <= MAX_PNG_ID:
        return encode_mask_png(mask)
    with tempfile.TemporaryDirectory() as folder:
        return write_mask(Path(folder) / "mask.tif", mask).read_bytes()


def problems(dataset: Dataset) -> list[str]:
    """Why a data set can't be written in this format."""
    dotted = next((item.id for item in dataset if "." in item.id), None)
    return [] if dotted is None else [f"found the id {dotted!r}, expected ids without a dot, at which names are split"]


def find(source: Path, provenance: Provenance | None) -> list[Pair] | None:
    """Find the items of the tar files below a folder that hold masks; see `Format.find`."""
    if provenance is not None and provenance.layout != FORMAT.name:
        return None
    shards = [file for folder in folders_below(source) for file in files_in(folder, (".tar",))]
    pairs = [pair for shard in shards for pair in _pairs(shard, ours=provenance is not None)]
    return pairs or None


def _pairs(path: Path, *, ours: bool) -> Iterator[Pair]:
    items = read_items(path)
    if not ours and all(item.mask is None for item in items):  # some archive that lies beside the tiles
        if any(item.image is not None for item in items):
            warn(f"{path}: holds pictures without masks and is left out")
        return
    for item in items:
        if item.image is None and item.mask is None:
            continue
        if item.image is None or item.mask is None:
            key = KEYS[0] if item.image is None else KEYS[1]
            raise BadInput(f"{path}: {item.name} has no {key}, expected {item.name}.{key}; make the shard again")
        known: dict[str, Any] = {"source": f"{path.name}: {item.name}", **_known(item.record)}
        yield Pair(
            item.name,
            path,
            path,
            read_picture=partial(read_picture, item.image),
            read_annotation=partial(_annotation, item.mask),
            part=item.name,
            **known,
        )


def _annotation(mask: Member, path: Path, height: int, width: int) -> Annotated:  # noqa: ARG001 - an `AnnotationReader`
    ids = read_ids(mask)
    if ids.shape != (height, width):
        raise BadInput(f"{mask}: found {ids.shape[0]} x {ids.shape[1]} pixels, expected {height} x {width}")
    return Annotated(ids)


def _known(member: Member | None) -> dict[str, Any]:
    """Fields of `Pair` that an item's JSON tells, if it is one of SIAN's; others' are left alone."""
    record = read_record(member)
    if "sha256_mask" not in record:
        return {}
    fields = {key: value for key, value in record.items() if key in Item.model_fields}
    try:
        item = Item.model_validate(fields | {"image": "images/x.png", "mask": "masks/x.png"})
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise BadInput(f"{member}: {where}: {problem['msg']}; make the shard again") from None
    facts = {key: getattr(item, key) for key in (*FURTHER, "classes", "sha256_mask")}
    return {**{key: getattr(item, key) for key in PER_ITEM}, "facts": facts}


FORMAT = Format(
    name="webdataset",
    describes="WebDataset: SPLIT-000000.tar with ID.image.png, ID.mask.png16 (16-bit ids) and ID.json",
    losses="Holds pixels, ids (beyond 65,535 as .tif) and what is known of an item; the rest only in provenance.json.",
    write=write,
    find=find,
    problems=problems,
)

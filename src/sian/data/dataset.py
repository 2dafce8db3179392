"""The data set on disk, format "sian.dataset/1" (docs/design.md, "Data set"): read it, and trust nothing that it says.

    DATASET/dataset.json   what the whole set is
    DATASET/items.jsonl    one line an item; the line is what makes the item exist
    DATASET/images/ID.png  (H, W, 3) uint8
    DATASET/masks/ID.png   instance mask, 16-bit grey (ID.tif, 32-bit, beyond 65,535 ids)

`sian.data.writing` writes it.
"""

from __future__ import annotations

import difflib
import json
import re
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sian.data.dataset_line import in_a_line
from sian.errors import BadInput, nearest
from sian.files import read_image
from sian.files.images import SCANNER_SUFFIXES, ZARR_SUFFIXES
from sian.files.packed_lines import PackedLines
from sian.files.real_places import is_inside
from sian.masks import read_mask
from sian.masks.checking import MAX_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

FORMAT = "sian.dataset/1"
MANIFEST = "dataset.json"
ITEMS = "items.jsonl"
ID_PATTERN = re.compile(r"[\w(\[][\w .,()\[\]+=@#&'~!-]{0,199}")  # no slash, no colon, no leading dot
PLAIN_PATH = re.compile(r"\w+/[\w(][\w ,()+=@#-]*(\.[\w ,()+=@#-]+)*")  # a folder and a name in it
TCGA_BARCODE = re.compile(r"(TCGA-\w{2}-\w{4})(?:-\d{2}[A-Z](?:-\d{2}(?:-([A-Z]{2})\w?)?)?)?")

MOST_COMPARED = 10_000  # names that a wrong one is compared with: a quarter of a second
Preparation = Literal["ffpe", "frozen", "unknown"]
PREPARATIONS: tuple[Preparation, ...] = ("ffpe", "frozen", "unknown")
SLIDE_CODES: dict[str, Preparation] = {"DX": "ffpe", "TS": "frozen", "BS": "frozen", "MS": "frozen"}

_Model = TypeVar("_Model", bound=BaseModel)


class Item(BaseModel):
    """One image with its instance mask.

    Attributes:
        id: unique in the data set; a legal file name.
        image: path inside the data set, e.g. ``images/ID.png``.
        mask: path inside the data set, e.g. ``masks/ID.png``.
        organ: lower-case English, as the data set names it; "unknown" if it does not say.
        split: "train", "test" or another name.
        preparation: "ffpe", "frozen" or "unknown".
        patient: who the tissue is from; for TCGA the first three fields of the barcode.
        mpp: micrometres per pixel, None if unknown.
        width: of the image in pixels.
        height: of the image in pixels.
        nuclei: how many ids the mask holds.
        overlaps: outlines that lost pixels to outlines drawn before; 0 where the source was a mask.
        lost_pixels: how many pixels these lost.
        dropped_regions: what its annotation held and was not drawn, all kinds together.
        left_out: the same by kind, e.g. {"tile": 3, "line": 2}; None if there was nothing.
        source: where the item came from, in words.
        sha256_image: of the image's raw R G B bytes (`sian.files.sha256_pixels`).
        sha256_mask: of the mask's ids as little-endian int32, row by row.
        sha256_source: of the files that were imported, so that a rerun sees what is done.
        model: for synthetic items, the SHA-256 of the model file.
        style: for synthetic items, the style that was asked for.
        seed: for synthetic items.
        plan: for synthetic items, the item's number in its plan.
        classes: ids by class name, of the nuclei whose class is known; None without classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str
    image: str
    mask: str
    organ: str = "unknown"
    split: str = "train"
    preparation: Preparation = "unknown"
    patient: str | None = None
    mpp: float | None = Field(default=None, gt=0, le=100)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    nuclei: int = Field(ge=0)
    overlaps: int = Field(default=0, ge=0)
    lost_pixels: int = Field(default=0, ge=0)
    dropped_regions: int = Field(default=0, ge=0)
    left_out: dict[str, Annotated[int, Field(gt=0)]] | None = None
    source: str = ""
    sha256_image: str = Field(pattern=r"^[0-9a-f]{64}$")
    sha256_mask: str = Field(pattern=r"^[0-9a-f]{64}$")
    sha256_source: str | None = None
    model: str | None = None
    style: str | list[float] | dict[str, float] | None = None
    seed: int | None = None
    plan: int | None = None
    classes: dict[str, list[int]] | None = None

    @field_validator("id")
    @classmethod
    def _legal_id(cls, value: str) -> str:
        if not ID_PATTERN.fullmatch(value):
            raise ValueError(f"id {value!r} is not a plain file name")
        return value

    @field_validator("image", "mask")
    @classmethod
    def _inside(cls, value: str) -> str:
        if PLAIN_PATH.fullmatch(value):  # nearly all; a path object costs more than all else in a line
            return value
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value or len(path.parts) < 1:
            raise ValueError(f"path {value!r} leaves the data set")
        return value

    @field_validator("classes")
    @classmethod
    def _one_class_a_nucleus(cls, value: dict[str, list[int]] | None) -> dict[str, list[int]] | None:
        listed = [number for ids in (value or {}).values() for number in ids]
        if len(set(listed)) != len(listed) or any(not 0 < number <= MAX_ID for number in listed):
            raise ValueError("found an id in two classes, or one below 1")
        if any(not name.strip() for name in value or {}):
            raise ValueError("found a class without a name")
        return value

    @property
    def class_by_id(self) -> dict[int, str]:
        """The class name of each nucleus whose class is known."""
        return {number: name for name, ids in (self.classes or {}).items() for number in ids}


class DatasetInfo(BaseModel):
    """What ``dataset.json`` says about the whole set.

    Attributes:
        format: always "sian.dataset/1".
        name: a short name.
        mpp: micrometres per pixel that hold for the set as a whole, None if unknown or mixed.
        licence: of images and masks.
        source: where they come from, in words.
        synthetic: True when the images were painted.
        classes: names of the nuclear classes, if there are any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["sian.dataset/1"] = "sian.dataset/1"
    name: str
    mpp: float | None = Field(default=None, gt=0, le=100)
    licence: str = "unknown"
    source: str = ""
    synthetic: bool = False
    classes: list[str] = Field(default_factory=list)


class Dataset:
    """An opened data set, or the part of one that `split` chose; iterating it gives items.

    Attributes:
        folder: where it is.
        info: what ``dataset.json`` says.
        items: what it holds, in the order of writing; of a data set on disk an item is made when it is asked for.
    """

    def __init__(self, folder: Path, info: DatasetInfo, items: Iterable[Item]) -> None:
        self.folder = folder
        self.info = info
        self.items: Sequence[Item] = items if isinstance(items, PackedLines) else tuple(items)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __getitem__(self, item_id: str) -> Item:
        if item_id not in self._places:
            names = list(islice(self._places, MOST_COMPARED))
            shown = difflib.get_close_matches(item_id, names, n=5) or names[:5]
            raise BadInput(f"{self.folder}: no item {item_id!r} among {len(self)}{nearest(item_id, shown)}")
        return self.items[self._places[item_id]]

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._places

    def __repr__(self) -> str:
        return in_a_line(self.folder, self.info.mpp, self.items)

    @cached_property
    def organs(self) -> tuple[str, ...]:
        """The organs of its items, in alphabetical order."""
        return tuple(sorted({item.organ for item in self.items}))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits of its items, in the order in which they appear."""
        return tuple(dict.fromkeys(item.split for item in self.items))

    def split(self, name: str) -> Dataset:
        """The items of one split, as a data set.

        Raises:
            BadInput: there is no such split; the ones that exist are named.
        """
        if name not in self.splits:
            raise BadInput(
                f"{self.folder}: no items of split {name!r}{nearest(name, self.splits)}; take another (--split), or "
                f"import tiles as {name!r} (`sian data import TILES -o DATA --split {name}`)"
            )
        if isinstance(self.items, PackedLines):
            return Dataset(self.folder, self.info, self.items.where(lambda item: item.split == name))
        return Dataset(self.folder, self.info, (item for item in self.items if item.split == name))

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where in `items` an id is."""
        return {item.id: place for place, item in enumerate(self.items)}

    def image(self, item: Item) -> npt.NDArray[np.uint8]:
        """An item's image: (H, W, 3) uint8; its size is checked against the manifest."""
        path = self.path(item.image)
        image = read_image(path)
        check_size(path, image.shape, item)
        return image

    def mask(self, item: Item) -> npt.NDArray[np.int32]:
        """An item's instance mask: (H, W) int32; its size is checked against the manifest."""
        path = self.path(item.mask)
        mask = read_mask(path, numbered=True)
        check_size(path, mask.shape, item)
        return mask

    def path(self, name: str) -> Path:
        """Where a file of the data set lies; links that lead out of the data set are refused."""
        path = self.folder / name
        if not is_inside(path, self.folder):
            raise BadInput(f"{path}: leads out of the data set, expected a file inside it; copy the file there")
        return path


def open_dataset(folder: str | Path) -> Dataset:
    """Open a data set on disk.

    Only the manifest is read here; images and masks are read, and checked, when they are asked for.
    `sian.data.inspect_dataset` checks all of it.

    Raises:
        BadInput: no such folder, no data set in it, or a manifest that is wrong; all problems are named.
    """
    folder = Path(folder)
    if folder.suffix.lower() in (*SCANNER_SUFFIXES, *ZARR_SUFFIXES) or folder.is_file():
        raise BadInput(f"{folder}: is not the folder of a data set; `sian data import` makes one of a slide's regions")
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder, expected a data set; make one with `sian data import`")
    return Dataset(folder, read_info(folder), packed_items(folder))


def read_info(folder: Path) -> DatasetInfo:
    """Read and check ``dataset.json``."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BadInput(
            f"{folder}: holds no {MANIFEST}, expected a data set of format {FORMAT}; "
            "make one with `sian data import SOURCE -o DATASET`"
        )
    content = _parse_json(str(path), _read_text(path))
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BadInput(f"{path}: found format {found!r}, expected {FORMAT!r}; import the data again")
    return _validated(DatasetInfo, content, str(path))


def read_items(folder: Path) -> list[Item]:
    """Read and check ``items.jsonl``; a last line that was cut off by a killed writer does not exist."""
    return list(packed_items(folder))


def packed_items(folder: Path) -> PackedLines[Item]:
    """The same, for more items than fit in memory as objects: each is checked now, and made when it is asked for."""
    path = folder / ITEMS
    problems: list[str] = []
    twice: list[str] = []

    def sound() -> Iterator[bytes]:
        seen: set[str] = set()
        for number, line in _numbered_lines(path):
            try:
                name = _item(f"{path}, line {number}", line).id
            except BadInput as problem:
                problems.append(str(problem))
                continue
            if name.casefold() in seen:  # file systems of macOS and Windows do not tell cases apart
                twice.append(f"{path}: found the id {name!r} twice, expected each once")
            seen.add(name.casefold())
            yield line

    items = PackedLines(sound(), Item.model_validate_json)
    if problems or twice:
        raise BadInput("; ".join(problems + twice))
    return items


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that end in a newline, without it, and their numbers from 1; none of a file that is not there."""
    if not path.is_file():
        return
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.endswith(b"\n") and line.strip():
                    yield number, line[:-1]
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); check the file") from error


def _item(where: str, line: bytes) -> Item:
    try:
        return Item.model_validate_json(line)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]  # in our own words, where we have some
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadInput(f"{where}: is not UTF-8 text; import the data again") from None
    _validated(Item, _parse_json(where, text), where)
    raise BadInput(f"{where}: {reason}; import the data again")


def complete_lines(text: str) -> list[str]:
    """The lines of a journal that end in a newline; what a killed writer left behind it does not count."""
    return [line for line in text[: text.rfind("\n") + 1].split("\n") if line.strip()]


def tcga_patient(name: str) -> str | None:
    """The patient in a name that starts with a TCGA barcode, else None.

    >>> tcga_patient("TCGA-A7-A13E-01Z-00-DX1")
    'TCGA-A7-A13E'
    """
    found = TCGA_BARCODE.match(name)
    return found[1] if found else None


def tcga_preparation(name: str) -> Preparation:
    """How the slide of a TCGA barcode was prepared: DX is ffpe; TS, BS and MS are frozen.

    >>> tcga_preparation("TCGA-A7-A13E-01Z-00-DX1"), tcga_preparation("TCGA-ZF-A9R5-01A-01-TS1")
    ('ffpe', 'frozen')
    """
    found = TCGA_BARCODE.match(name)
    return SLIDE_CODES.get(found[2] or "", "unknown") if found else "unknown"


def check_size(path: Path, shape: tuple[int, ...], item: Item) -> None:
    """Refuse an image or a mask of another size than the item's line says."""
    if shape[:2] != (item.height, item.width):
        raise BadInput(
            f"{path}: found {shape[0]} x {shape[1]} pixels, expected {item.height} x {item.width} "
            f"as {ITEMS} says; import the item again"
        )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text; expected a manifest; import the data again") from error


def _parse_json(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: is not JSON ({error}); import the data again") from error


def _validated(model: type[_Model], content: Any, where: str) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [_problem(detail, model) for detail in error.errors()]
        raise BadInput(f"{where}: {', '.join(problems)}") from error


def _problem(detail: Any, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "the line"
    if detail["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(key, model.model_fields)}"
    return f"{key}: {detail['msg'].removeprefix('Value error, ')}"

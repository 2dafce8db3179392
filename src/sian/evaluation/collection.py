"""Named pictures to evaluate: a folder of files, a data set, slides, or pictures that are painted in memory.

Pictures are read one at a time when they are asked for, so a set may be larger than memory. A picture's name
is its file name without the suffix; that is what pairs a fake with its real image and its mask.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sian.errors import BadInput
from sian.evaluation.arrays import Image, Mask
from sian.evaluation.slide_windows import Cut, digest_of, is_slide, slide_windows
from sian.files.compression import LOSSLESS, compression
from sian.files.images import IMAGE_SUFFIXES, PICTURE_SUFFIXES
from sian.masks.files import MASK_SUFFIXES

Read: TypeAlias = Callable[[], Any]


@dataclass(frozen=True)
class Entry:
    """One picture.

    Attributes:
        read: reads or makes it.
        organ: the tissue's origin, if known.
        group: what it was cut from; pictures of one group are not independent.
    """

    read: Read
    organ: str | None = None
    group: str | None = None


class Collection:
    """Pictures by name, in the order of their names.

    Attributes:
        label: what reports call it: the folder's path, usually.
        sha256: a hash of names and files, or "" for pictures that exist in memory only.
        compression: how most of its files are compressed, in words; "" if unknown.
    """

    def __init__(self, label: str, entries: Mapping[str, Entry], sha256: str = "", compression: str = "") -> None:
        self.compression = compression
        self.label = label
        self.entries = dict(sorted(entries.items()))
        self.sha256 = sha256

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    @property
    def names(self) -> list[str]:
        """The names, sorted."""
        return list(self.entries)

    def read(self, name: str) -> Any:
        """The picture of that name: (H, W, 3) uint8, or (H, W) int32 if these are masks."""
        return self.entries[name].read()

    def organ(self, name: str) -> str | None:
        """The picture's organ, or None."""
        return self.entries[name].organ

    def group(self, name: str) -> str:
        """What the picture was cut from; itself when that is not known."""
        return self.entries[name].group or name

    def pictures(self) -> Pictures:
        """The pictures as a sequence that reads each one when it is asked for."""
        return Pictures(self)

    def describe(self) -> dict[str, object]:
        """What a report says of it."""
        described: dict[str, object] = {"path": self.label, "items": len(self)}
        return {**described, "sha256": self.sha256} if self.sha256 else described


class Pictures(Sequence[Any]):
    """The pictures of a collection, read one at a time."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.names = collection.names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        return self.collection.read(self.names[index])

    def __iter__(self) -> Iterator[Any]:
        return (self.collection.read(name) for name in self.names)


def open_images(path: Path | str, split: str | None = None, cut: Cut | None = None) -> Collection:
    """The images of a folder, of a data set on disk, or of slides.

    Args:
        path: a folder of .png, .tif, .webp or .jpg files, a data set (a folder that holds ``dataset.json``), a slide,
            or a folder that holds slides as well; of a slide it is windows of its tissue.
        split: of a data set: its items of this split only.
        cut: how slides are cut into windows; `Cut`'s defaults if not given.

    Raises:
        BadInput: no such folder, none in it, two files of one name, or a slide that has no tissue or is too small.
    """
    path = Path(path)
    if is_slide(path) and path.exists():
        _no_split(path, split)
        return _of_files(path, [path], cut or Cut())
    return _open(path, split, "image", cut)


def open_masks(path: Path | str, split: str | None = None) -> Collection:
    """The instance masks of a folder, or of a data set on disk; see `open_images`."""
    return _open(Path(path), split, "mask")


def from_images(label: str, images: Mapping[str, Image | Mask]) -> Collection:
    """A collection of pictures in memory."""
    return Collection(label, {name: Entry(_constant(image)) for name, image in images.items()})


def _constant(picture: Image | Mask) -> Read:
    return lambda: picture


def _open(path: Path, split: str | None, kind: str, cut: Cut | None = None) -> Collection:
    if (path / "dataset.json").is_file():
        return _open_dataset(path, split, kind)
    if not path.is_dir():
        raise BadInput(f"{path}: no such folder, expected one that holds {kind}s or a data set; check the path")
    _no_split(path, split)
    suffixes = PICTURE_SUFFIXES if kind == "image" else MASK_SUFFIXES
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in suffixes and not f.name.startswith("."))
    if not files:
        known = IMAGE_SUFFIXES if kind == "image" else MASK_SUFFIXES
        raise BadInput(f"{path}: found no {kind}s, expected {', '.join(known)} files; name the folder they lie in")
    return _of_files(path, files, (cut or Cut()) if kind == "image" else None)


def _no_split(path: Path, split: str | None) -> None:
    if split is not None:
        raise BadInput(f"{path}: holds no data set, so it has no split {split!r}; leave the split out")


def _of_files(path: Path, files: list[Path], cut: Cut | None) -> Collection:
    """Pictures, the windows of slides, or masks if there is no `cut`."""
    from sian.files import read_image
    from sian.masks import read_mask

    reader: Callable[[Path], Any] = read_mask if cut is None else read_image
    entries: dict[str, Entry] = {}
    stems: set[str] = set()
    slides = [file for file in files if cut is not None and is_slide(file)]
    for file in files:
        if file.stem in stems:
            raise BadInput(
                f"{file}: found two files called {file.stem!r}, expected one; a name pairs images, so rename"
            )
        stems.add(file.stem)
        if cut is not None and file in slides:
            windows = slide_windows(file, cut)
            entries |= {name: Entry(read, None, file.stem) for name, read in windows.items()}
        else:
            entries[file.stem] = Entry(_reading(reader, file))
    lines = [f"{file.stem} {digest_of(file)}" for file in files] + [str(cut)] * bool(slides)
    sha256 = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Collection(str(path), entries, sha256, _compression(files, slides) if cut is not None else "")


def _compression(files: list[Path], slides: list[Path]) -> str:
    """Of most pictures; nobody knows it of slides."""
    found = Counter(compression(file) for file in files if file not in slides)
    return found.most_common(1)[0][0] if found and not slides else ""


def _open_dataset(path: Path, split: str | None, kind: str) -> Collection:
    from sian.data import open_dataset

    data = open_dataset(path)
    data = data.split(split) if split is not None else data
    if not len(data):
        raise BadInput(f"{path}: the data set holds no items, expected at least one; import tiles into it first")
    reader: Callable[[Any], Any] = data.image if kind == "image" else data.mask
    entries = {item.id: Entry(_reading(reader, item), item.organ, item.id) for item in data}
    were_jpeg = sum(item.source.lower().endswith((".jpg", ".jpeg")) for item in data) > len(data) / 2
    lines = (f"{i.id} {i.sha256_image if kind == 'image' else i.sha256_mask}" for i in data)
    sha256 = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Collection(str(path), entries, sha256, "without loss, imported from JPEG" if were_jpeg else LOSSLESS)


def _reading(reader: Callable[[Any], Any], source: Any) -> Read:
    return lambda: reader(source)

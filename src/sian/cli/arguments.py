"""What several verbs are given: options, KEY=VALUE pairs, files and folders of pictures; and what is checked first.

An option that means the same to several verbs is written here once. Nothing here loads torch: a wrong name is said at
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sian.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The choices stand again where they are made (sian.synthesis.brushes, sian.synthesis.storage,
# sian.evaluation.reconstruction, sian.training.device, sian.reproduce): those files load torch. A test compares them.
Backend = Literal["torch", "openvino", "openvino-bf16"]
Storage = Literal["float32", "float16", "int8"]
Kept = Literal["none", "heads", "whole"]
StyleSetting = Literal["paired", "sibling", "exemplar", "prior"]
Keep = Literal["nuclei", "tissue"]
Precision = Literal["32-true", "bf16-mixed", "auto"]
Scale = Literal["tiny", "core", "small", "paper"]  # of the paper's tables
Scale4 = Literal["tiny", "small", "paper"]  # of Table 4

ModelFile = Annotated[Path | None, typer.Option("--model", help="Model file; the bundled one if not given.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all cores if not given.")]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="DIR", help="A folder that holds VGG19 or Inception; searched first."),
]
TrustWeights = Annotated[bool, typer.Option("--trust-weights", help="Also use weights whose SHA-256 is not known.")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="Processes that prepare windows ahead of time.")]
PrecisionName = Annotated[
    Precision | None,
    typer.Option(
        "--precision", help="bf16-mixed is the default on CUDA; auto also takes it on CPUs that are faster in it."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")]
GoOnFrom = Annotated[
    int | None,
    typer.Option("--from", min=1, metavar="IMAGES", help="With --resume: go on from this checkpoint, not the newest."),
]
StyleFrom = Annotated[StyleSetting, typer.Option("--style-from", help="Where a window's style is taken from.")]
Noise = Annotated[float, typer.Option("--noise", min=0.0, max=2.0, help="Strength of the texture's noise.")]
BackendName = Annotated[
    Backend,
    typer.Option("--backend", help="What computes. openvino is faster; its pixels differ by one grey level at most."),
]
PictureSegmenter = Annotated[
    Path | None,
    typer.Option("--segmenter", metavar="MODEL", help="What finds nuclei: 'bundled' if not given, 'judge', or a file."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done; write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Aliases = Annotated[
    list[str] | None,
    typer.Option("--alias", metavar="NEW=ORGAN", help="Another name of an organ's style, e.g. lung=liver."),
]


def parse_pairs(option: str, words: Iterable[str] | None, form: str, example: str) -> dict[str, str]:
    """KEY=VALUE words of an option that may be repeated, as a mapping.

    Args:
        option: its name, e.g. "--set".
        words: what was given.
        form: how a word should look, e.g. "KEY=VALUE".
        example: one that is right.

    Raises:
        BadInput: a word without something on both sides of its first "=".

    >>> parse_pairs("--set", ["seed=1", "a.b=[c=d]"], "KEY=VALUE", "seed=1")
    {'seed': '1', 'a.b': '[c=d]'}
    """
    pairs = {}
    for word in words or ():
        key, _, value = word.partition("=")
        if not key or not value:
            raise BadInput(f"{option}: expected {form}, found {word!r}; write e.g. {option} {example}")
        pairs[key] = value
    return pairs


def parse_changes(words: Iterable[str] | None, example: str) -> dict[str, str]:
    """``--set KEY=VALUE``: changes of a recipe."""
    return parse_pairs("--set", words, "KEY=VALUE", example)


def parse_aliases(words: Iterable[str] | None) -> dict[str, str]:
    """``--alias NEW=ORGAN``: other names of organs, in lower case as organs are."""
    pairs = parse_pairs("--alias", words, "NEW=ORGAN", "lung=liver")
    return {new.strip().lower(): organ.strip().lower() for new, organ in pairs.items()}


def use_threads(threads: int | None) -> None:
    """Let torch compute on so many threads; None leaves it as it is."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def check_there(kind: Literal["file", "folder"], *paths: Path | None, bundled: bool = False) -> None:
    """Refuse names of nothing at once, before the seconds in which torch is loaded.

    Args:
        kind: what they should be.
        paths: None for an option that was not given.
        bundled: whether words such as "bundled" are names of files in the package.

    Raises:
        BadInput: there is nothing of that name.
    """
    from sian.files.bundled import MODELS, SEGMENTERS

    for path in paths:
        if path is not None and not path.exists() and not (bundled and str(path) in {*MODELS, *SEGMENTERS}):
            raise BadInput(f"{path}: no such {kind}; check the path")


def check_recipe(name: str | None, folder: str = "recipes", kind: str = "recipe") -> None:
    """Refuse a recipe that is not there: the path of a .yaml file, or the name of a bundled one.

    Args:
        name: None for one that was not given.
        folder: of the package; it holds the bundled ones.
        kind: what the error calls it.

    Raises:
        BadInput: there is no such file, or no such name.
    """
    if name is not None and name.lower().endswith((".yaml", ".yml")):
        check_there("file", Path(name))
    elif name is not None:
        from sian.training.baserecipe import check_bundled

        check_bundled(name, folder, kind)


def named_files(given: Sequence[Path], suffixes: tuple[str, ...], kind: str) -> list[Path]:
    """The files that were named, and those that the named folders hold.

    Args:
        given: files and folders.
        suffixes: what counts in a folder, in lower case; hidden files never do.
        kind: what they are, e.g. "mask".

    Raises:
        BadInput: nothing there, or two files of one name: what is made of them would be called alike.
    """
    files: list[Path] = []
    for path in given:
        if path.is_dir() and path.suffix.lower() not in suffixes:  # an OME-Zarr store is a folder
            entries = (e for e in path.iterdir() if e.suffix.lower() in suffixes and not e.name.startswith("."))
            if not (found := sorted(entries)):
                raise BadInput(f"{path}: holds no {kind}s, expected files that end in {', '.join(suffixes)}")
            files.extend(found)
        elif not path.exists():
            raise BadInput(f"{path}: no such file; check the path of the {kind}")
        else:
            files.append(path)
    by_stem: dict[str, Path] = {}
    for path in files:
        if path.stem in by_stem:
            raise BadInput(
                f"{path}: two {kind}s are called {path.stem!r} (the other is {by_stem[path.stem]}), their results "
                "would overwrite one another; rename one"
            )
        by_stem[path.stem] = path
    return files


def check_outputs(targets: Iterable[Path], given: Iterable[Path]) -> None:
    """Refuse to write over what was given.

    Raises:
        BadInput: an input is among the targets.
    """
    if lost := {path.resolve() for path in targets} & {path.resolve() for path in given}:
        raise BadInput(f"{min(lost)}: is an input and would be overwritten; choose another --output")

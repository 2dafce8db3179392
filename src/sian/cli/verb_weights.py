"""``sian weights``: where VGG19 and Inception are, and the two ways to get them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Json

if TYPE_CHECKING:
    from sian.files.weights import WeightsName

app = typer.Typer(help="Find or get VGG19 and the FID Inception.")

Folder = Annotated[Path | None, typer.Option("--weights", metavar="DIR", help="Look here first.")]
Target = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="DIR", help="Where the file goes; the user's cache if not given."),
]


@app.command("list")
def list_weights(
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Say where each file is found and whether its SHA-256 is known."""
    found = describe_weights(folder)
    if as_json:
        console.print_json(found)
        return
    for name, entry in found.items():
        if entry["path"] is None:
            console.out(f"{name}: not found; get it with `sian weights get {name}`")
        else:
            known = "known" if entry["known"] else "unknown, needs --trust-weights"
            console.out(f"{name}: {entry['path']} (SHA-256 {str(entry['sha256'])[:12]}..., {known})")


def describe_weights(folder: Path | None = None) -> dict[str, dict[str, str | bool | None]]:
    """Path, SHA-256 and whether that is known, by the weights' name; nothing is raised for a missing file."""
    from sian.files.hashing import sha256_file
    from sian.files.weights import NAMES, is_known, locate

    found: dict[str, dict[str, str | bool | None]] = {}
    for name in NAMES:
        path = locate(name, folder)
        sha256 = sha256_file(path) if path else None
        known = sha256 is not None and is_known(name, sha256)
        found[name] = {"path": str(path) if path else None, "sha256": sha256, "known": known}
    return found


@app.command()
def get(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="vgg19 or inception_fid; both if not given.")
    ] = None,
    output: Target = None,
) -> None:
    """Download the public originals, verify them and convert them."""
    from sian.files.originals import download

    for name in _check_names(names):
        with console.progress(f"downloading {name}", unit="MB") as report:
            path = download(name, output, report)
        console.out(str(path))


def _check_names(names: list[str] | None) -> list[WeightsName]:
    from sian.errors import BadInput, nearest
    from sian.files.weights import NAMES

    for name in names or ():
        if name not in NAMES:
            raise BadInput(f"{name}: no such weights{nearest(name, NAMES)}")
    return [name for name in NAMES if not names or name in names]


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The original (.pth), or a converted .safetensors.")],
    output: Target = None,
    trust: Annotated[bool, typer.Option("--trust-weights", help="Take a file whose SHA-256 is unknown.")] = False,
) -> None:
    """Convert torchvision's VGG19 or pytorch-fid's Inception, without running code in it."""
    from sian.files.originals import import_weights

    console.out(str(import_weights(file, output, trust)))

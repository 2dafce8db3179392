"""`sian masks`: instance masks of invented nuclei, like those of an organ or of a data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Json
from sian.cli.sizes import width_and_height

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sian.data import Dataset
    from sian.nuclei import Comparison, Fit, RealNuclei
    from sian.nuclei.series import Series

SHEET_SIDE = 6  # masks a row of the contact sheet
SHEET_PIXELS = 300
COMPARED = 400  # masks an organ, at most


def masks(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Folder for the masks.")],
    organ: Annotated[
        list[str] | None,
        typer.Option(help="An organ, e.g. kidney; repeat for several; 'all' for every organ of the fit."),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Masks of each organ.")] = 100,
    size: Annotated[str, typer.Option(metavar="SIDE|WxH", help="Pixels: 256, or 768x512 (width x height).")] = "256",
    like: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="Fit nuclei to its masks; writes fit.json.")
    ] = None,
    fit: Annotated[Path | None, typer.Option(metavar="FILE", help="A fit.json; the bundled one if not given.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of --like and --compare; 'train' if there is one.")] = None,
    resample: Annotated[bool, typer.Option(help="Use the real outlines of --like, gently deformed.")] = False,
    glands: Annotated[bool, typer.Option(help="Arrange nuclei around gland-like lumina.")] = False,
    density_map: Annotated[
        Path | None,
        typer.Option(
            "--map", metavar="PICTURE", help="An RGB picture whose brightness scales the density; black is empty."
        ),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="Compare with its masks: comparison.json and .png.")
    ] = None,
    sheet: Annotated[bool, typer.Option(help="Also write a contact sheet of the first masks.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same masks.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Invent instance masks whose nuclei look like an organ's.

    They have the sizes, shapes, directions and crowding of real ones, and as many touch.
    """
    from sian.errors import BadInput
    from sian.nuclei.fit import write_fit
    from sian.nuclei.series import Series, write_manifest, write_series

    if like is not None and fit is not None:
        raise typer.BadParameter("give --like or --fit, not both")
    if resample and like is None:
        raise typer.BadParameter("--resample takes the outlines of a data set; add --like DATASET")
    height, width = _size(size)
    density = _density(density_map, height, width)
    data = _opened(like, split) if like is not None else None
    reference = _opened(compare, split) if compare is not None else None
    chosen = _fitted(data) if data is not None else _known(fit)
    organs = tuple(chosen.organ(name) for name in _organs(organ, chosen))
    names = [one.name for one in organs]
    if reference is not None and (missing := set(names) - set(reference.organs)):
        raise BadInput(f"{compare}: holds no {min(missing)}, expected every organ that is made; leave it out")
    real = _real(data, names) if resample and data is not None else None
    series = Series(organs, count, height, width, seed, glands, density, real)
    with console.progress("masks", "masks") as report:
        written = write_series(output, series, workers=workers or os.cpu_count() or 1, report=report)
    write_manifest(output, series, chosen, {"like": str(like) if like else None, "map": _text(density_map)})
    if like is not None:
        write_fit(output / "fit.json", chosen)
    if sheet:
        _write_sheet(output, series, written)
    comparisons = _compared(series, written, reference, output) if reference is not None else []
    if as_json:
        found = {one.organ: one.summary() for one in comparisons}
        console.print_json({"masks": written, "fitted_to": chosen.source, "comparison": found})
        return
    for one in comparisons:
        console.out(_line(one))
    console.out(f"{len(written)} masks in {output} (synthetic)")


def _size(text: str) -> tuple[int, int]:
    """Height and width."""
    from sian.errors import BadInput

    size = width_and_height(f"{text}x{text}" if text.isdecimal() else text)
    if size is None:
        raise BadInput(f"--size {text[:60]}: expected a side in pixels, e.g. 256, or width x height, e.g. 768x512")
    return size[1], size[0]


def _density(path: Path | None, height: int, width: int) -> npt.NDArray[np.float32] | None:
    """A picture's brightness, white is 1."""
    if path is None:
        return None
    import numpy as np

    from sian.errors import BadInput
    from sian.files import read_image

    image = read_image(path)
    if image.shape[:2] != (height, width):
        raise BadInput(
            f"{path}: found {image.shape[1]} x {image.shape[0]} px (width x height), expected the masks' {width} x "
            f"{height}; scale the picture, or give --size {image.shape[1]}x{image.shape[0]}"
        )
    density: npt.NDArray[np.float32] = (image.mean(2) / 255).astype(np.float32)
    return density


def _opened(folder: Path, split: str | None) -> Dataset:
    from sian.data import open_dataset

    data = open_dataset(folder)
    if split is None:
        split = "train" if "train" in data.splits else None
    return data if split is None else data.split(split)


def _fitted(data: Dataset) -> Fit:
    from sian.nuclei import fit_dataset

    with console.progress("fitting", "masks") as report:
        return fit_dataset(data, report=report)


def _known(path: Path | None) -> Fit:
    from sian.nuclei.fit import default_fit, read_fit

    return default_fit() if path is None else read_fit(path)


def _organs(wanted: list[str] | None, fit: Fit) -> list[str]:
    """The organs that were asked for; without a wish, the only one there is."""
    from sian.errors import BadInput

    known = list(fit.organs)
    if not wanted and len(known) > 1:
        raise BadInput(f"--organ is missing, expected one or several of: {', '.join(known)}; or 'all'")
    names = [name for part in wanted or known for name in (known if part == "all" else [part])]
    return list(dict.fromkeys(names))


def _real(data: Dataset, organs: list[str]) -> dict[str, RealNuclei]:
    from sian.nuclei import RealNuclei

    return {organ: RealNuclei(data.mask(item) for item in data if item.organ == organ) for organ in organs}


def _write_sheet(output: Path, series: Series, written: list[Path]) -> None:
    from sian.files import write_png
    from sian.masks import read_mask
    from sian.synthesis.sheet import contact_sheet, mask_picture, reduced

    rows, names = [], []
    for place, organ in enumerate(series.organs):
        first = written[place * series.count : place * series.count + min(series.count, SHEET_SIDE)]
        rows.append([reduced(mask_picture(read_mask(path)), SHEET_PIXELS) for path in first])
        names.append(organ.name)
    write_png(output / "sheet.png", contact_sheet(rows, [""] * len(rows[0]), names))


def _compared(series: Series, written: list[Path], reference: Dataset, output: Path) -> list[Comparison]:
    from sian.files import write_json, write_png
    from sian.masks import read_mask
    from sian.nuclei import compare
    from sian.nuclei.plot import plot

    found = []
    with console.progress("comparing", "organs") as report:
        for place, organ in enumerate(series.organs):
            made = written[place * series.count : (place + 1) * series.count][:COMPARED]
            real = (reference.mask(item) for item in reference if item.organ == organ.name)
            found.append(compare(organ.name, real, (read_mask(path) for path in made)))
            report(place + 1, len(series.organs))
    content = {"format": "sian.masks.comparison/1", "organs": {one.organ: one.summary() for one in found}}
    write_json(output / "comparison.json", content)
    write_png(output / "comparison.png", plot(found))
    return found


def _line(comparison: Comparison) -> str:
    parts = [f"{name} {row.distance:.2f} ({row.floor:.2f})" for name, row in comparison.rows.items()]
    return f"{comparison.organ}: {comparison.distance:.2f} ({comparison.floor:.2f}); {', '.join(parts)}"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)

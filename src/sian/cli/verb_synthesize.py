"""`sian synthesize`: instance masks to H&E images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sian.cli import console
from sian.cli.arguments import (
    BackendName,
    Device,
    Json,
    ModelFile,
    Noise,
    Threads,
    check_outputs,
    check_there,
    named_files,
    use_threads,
)
from sian.cli.slide_options import Mpp, Size, mpp_of, parse_size
from sian.cli.slide_synthesis import check_fits_png, is_outlines, mpp_said, paint_slides
from sian.cli.style_completion import check_styles, complete_style
from sian.cli.tissue_files import read_tissue, tissue_files
from sian.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.production.tile_painting import Crew
    from sian.synthesis import Model, Style

SHEET_ROWS = 8
Form = Literal["png", "ome-zarr", "ome-tiff"]


def synthesize(
    masks: Annotated[
        list[Path], typer.Argument(help="Instance masks (png, tif, npy, ome.zarr, geojson) or folders of them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")],
    style: Annotated[
        list[str] | None,
        typer.Option(
            help="kidney, colon/frozen, kidney#3 (a draw), kidney=0.7+breast=0.3 (scaled to sum to 1), image.png, "
            "or image.json of `sian style`; repeat for several. If not given: 'all', every organ of the model.",
            autocompletion=complete_style,
        ),
    ] = None,
    model: ModelFile = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the texture; mask i gets seed + i.")] = 0,
    noise: Noise = 1.0,
    mpp: Mpp = None,
    size: Size = None,
    tissue: Annotated[
        Path | None,
        typer.Option(help="What lies between nuclei: the mask's image or map (.npy), or a folder of them by name."),
    ] = None,
    form: Annotated[
        Form, typer.Option(help="ome-zarr and ome-tiff take masks of any size, tile by tile, and go on after a stop.")
    ] = "png",
    workers: Annotated[
        int | None, typer.Option(min=0, help="With --form ome-...: processes that paint, with one thread each.")
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="With --form ome-...: paint by Ray (pip install 'sian[ray]').")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Address of a Ray cluster; implies --ray.", show_default=False),
    ] = None,
    sheet: Annotated[bool, typer.Option(help="Write a contact sheet of the first masks.")] = False,
    sheet_pixels: Annotated[int, typer.Option(min=16, help="Longest side of a picture on it.")] = 400,
    device: Device = "cpu",
    backend: BackendName = "torch",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Paint instance masks as H&E images, in one style or in several."""
    from sian.files.images import ZARR_SUFFIXES
    from sian.masks.files import MASK_SUFFIXES

    paths = named_files(masks, (*MASK_SUFFIXES, *ZARR_SUFFIXES), "mask")
    check_there("file", model, bundled=True)
    check_styles([word for word in style or () if word != "all"], model)
    if form != "png" and sheet:
        raise BadInput(f"--form {form}: takes no --sheet; leave it out, or write --form png")
    if form == "png" and (workers is not None or ray or address):
        raise BadInput("--workers, --ray and --address paint super-tiles; add --form ome-zarr or ome-tiff")
    for path in paths if form == "png" else ():
        check_fits_png(path)
    shape = parse_size(size)
    use_threads(threads)

    from sian.files import write_png
    from sian.synthesis import load
    from sian.synthesis.brushes import check_backend
    from sian.synthesis.labels import png_text
    from sian.synthesis.magnification import say_difference, scaling
    from sian.synthesis.sheet import Picture, contact_sheet, mask_picture, reduced

    painter = load(model, device, check_backend(backend, device))
    wanted = [name for part in style or ["all"] for name in (list(painter.styles) if part == "all" else [part])]
    styles = [painter.style(name) for name in wanted]
    for name in wanted:
        if (organ := name.split("#")[0].split("/")[0].strip().lower()) in painter.styles.aliases:
            console.say(f"style {organ}: this model's name for its {painter.styles.aliases[organ]} tiles")
    between = tissue_files(tissue, paths, painter)
    targets = [_target(output, path, vector, form) for path in paths for vector in styles]
    given = [*paths, *between.values(), *map(Path, wanted)]
    _check_targets(targets + [output / "sheet.png"] * sheet, styles, given)
    if form != "png":
        crew = _crew(workers, address or ray, model)
        made = paint_slides(
            paths,
            styles,
            targets,
            model=painter,
            form=form,
            seed=seed,
            noise=noise,
            mpp=mpp,
            shape=shape,
            between=between,
            crew=crew,
        )
        _say_written(made, painter, output, as_json=as_json, more={})
        return
    for path in paths:  # all are checked before anything is written; a thousand masks would not fit in memory
        checked, _ = with_its_classes(path, painter, shape)
        if path in between:
            read_tissue(between[path], checked)
    sizes = {path: mpp_said(path) for path in paths}
    asked = {path: mpp_of(mpp, path, sizes[path]) for path in paths}
    for path in paths if mpp is None else ():
        say_difference(str(path), sizes[path], painter.info.mpp)
    ways = {path: str(scaling(size, painter.info.mpp)) for path, size in asked.items() if size is not None}
    written: list[dict[str, object]] = []
    rows: list[list[Picture]] = []
    with console.progress("painting") as report:
        for number, path in enumerate(paths):
            mask, classes = with_its_classes(path, painter, shape)
            own = read_tissue(between[path], mask) if path in between else None
            row = [reduced(mask_picture(mask), sheet_pixels)]
            for place, vector in enumerate(styles):
                image = painter.synthesize(
                    mask, vector, seed=seed + number, noise=noise, mpp=asked[path], classes=classes, tissue=own
                )
                target = _target(output, path, vector)
                text = png_text(painter, vector, seed + number, path.name)
                text |= {"Rescaled": ways[path]} if path in ways else {}
                text |= {"Tissue": between[path].name} if path in between else {}
                write_png(target, image, text, asked[path] or sizes[path])
                written.append({"image": target, "mask": path, "style": vector.name, "seed": seed + number})
                row.append(reduced(image, sheet_pixels))
                report(number * len(styles) + place + 1, len(paths) * len(styles))
            if sheet and len(rows) < SHEET_ROWS and (not rows or row[0].shape == rows[0][0].shape):
                rows.append(row)
    if sheet:
        target = output / "sheet.png"
        columns = ["mask", *(vector.name for vector in styles)]
        write_png(target, contact_sheet(rows, columns), png_text(painter, None, seed))
        written.append({"image": target, "mask": None, "style": None, "seed": seed})
    for way in dict.fromkeys(ways.values()):
        console.say(way)
    rescaled = {"Rescaled": "; ".join(dict.fromkeys(ways.values()))} if ways else {}
    _say_written(written, painter, output, as_json=as_json, more=rescaled)


def _say_written(
    written: list[dict[str, object]], model: Model, output: Path, *, as_json: bool, more: dict[str, str]
) -> None:
    if as_json:
        console.print_json({"model": model.sha256, "written": written, **more})
    else:
        console.out(f"{len(written)} pictures in {output} (synthetic; not for diagnosis)")


def _crew(workers: int | None, ray: str | bool, model: Path | None) -> Crew | None:
    """Who paints super-tiles; None for this process with its threads."""
    from sian.production.tile_painting import Crew

    return Crew(workers, ray, model) if workers is not None or ray else None


def with_its_classes(
    path: Path, model: Model, shape: tuple[int, int] | None = None
) -> tuple[NDArray[np.int32], dict[int, str] | None]:
    """A mask and, if the model knows classes, those of its nuclei: NAME.classes.json, its item's, or GeoJSON's own."""
    from sian.masks import read_mask
    from sian.synthesis.model_classes import with_classes

    if path.is_dir() or shape is not None or is_outlines(path):
        from sian.slides.mask_source import read_classed

        mask, own = read_classed(path, shape)
    else:
        mask, own = read_mask(path), None
    if not model.info.classes:
        return mask, None
    from sian.data.class_file import classes_of  # with it come the readers of data sets, a tenth of the start

    classes = classes_of(path)
    classes = own if classes is None else classes
    try:
        with_classes(mask, model.info.classes, classes)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    return mask, classes


def _check_targets(targets: list[Path], styles: list[Style], given: list[Path]) -> None:
    """Refuse to write one picture over another, or over what was given."""
    names = [file_name(style.name) for style in styles]
    if double := next((style.name for style, name in zip(styles, names, strict=True) if names.count(name) > 1), None):
        raise BadInput(f"two styles are called {double!r}, their pictures would overwrite one another; leave one out")
    check_outputs(targets, given)


def _target(output: Path, mask: Path, style: Style, form: str = "png") -> Path:
    ending = {"png": ".png", "ome-zarr": ".ome.zarr", "ome-tiff": ".ome.tif"}[form]
    return output / f"{mask.stem}_{file_name(style.name)}{ending}"


def file_name(style: str) -> str:
    """A style's name as part of a file's."""
    return "".join(letter if letter.isalnum() or letter in "=+-." else "-" for letter in style)

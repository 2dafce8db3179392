"""`sian restyle`: an image or a data set painted again in another style, its nuclei where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sian.cli import console
from sian.cli.arguments import (
    BackendName,
    Device,
    Json,
    Keep,
    ModelFile,
    Noise,
    PictureSegmenter,
    Threads,
    check_there,
    named_files,
    use_threads,
)
from sian.cli.restyle_pictures import restyle_pictures
from sian.cli.slide_options import Asked, Level, Mpp, Region, mpp_of
from sian.cli.style_completion import check_styles, complete_style
from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.synthesis import Model


def restyle(
    sources: Annotated[
        list[Path], typer.Argument(help="Images, slides, folders of them; or one data set on disk.", metavar="sources")
    ],
    style: Annotated[
        str,
        typer.Option(
            help="As in `sian synthesize`: kidney, image.png, image.json, ...; or 'own', the image's own.",
            autocompletion=complete_style,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the pictures; of a data set, the data set to make.")
    ] = Path("restyled"),
    mask: Annotated[
        Path | None, typer.Option(help="The image's instance mask; made by --segmenter if not given.")
    ] = None,
    segmenter: PictureSegmenter = None,
    model: ModelFile = None,
    region: Region = None,
    level: Level = None,
    mpp: Mpp = None,
    keep: Annotated[
        Keep | None,
        typer.Option(help="'tissue' also keeps lumina, density and fibres: the default if the model knows them."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Of a data set, take this split only.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the texture; item i of a data set gets seed + i.")
    ] = 0,
    noise: Noise = 1.0,
    device: Device = "cpu",
    backend: BackendName = "torch",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Repaint images, slides, or a whole data set, in another style.

    Nuclei, size and magnification stay. If the model knows tissue maps, what lies between the nuclei stays too,
    coarsely (--keep). An image gives NAME_STYLE.png, the mask that was painted, and a sheet with both beside the
    source. A slide of more than 4096 x 4096 px gives NAME_STYLE.ome.zarr. A data set gives a new one with the same ids,
    masks and classes.
    """
    from sian.files.images import PICTURE_SUFFIXES

    asked = Asked(region, level, mpp)
    source = sources[0]
    a_dataset = any((folder / "dataset.json").is_file() for folder in sources)
    if a_dataset and len(sources) > 1:
        raise BadInput(f"{source}: a data set is repainted alone, found {len(sources)} sources; give one of them")
    if a_dataset and (mask is not None or segmenter is not None):
        raise BadInput(f"{source}: is a data set, which has masks of its own; leave --mask and --segmenter out")
    if a_dataset and not asked.nothing:
        raise BadInput(f"{source}: is a data set, expected a slide for --region and --level; leave them out")
    if not a_dataset and split is not None:
        raise BadInput(f"{source}: is not a data set, expected one for --split {split}; leave --split out")
    paths = [] if a_dataset else named_files(sources, PICTURE_SUFFIXES, "image")
    check_there("file", mask)
    check_there("file", segmenter, bundled=True)
    check_there("file", model, bundled=True)
    check_styles([style] if style != "own" else [], model)
    use_threads(threads)

    from sian.synthesis import load
    from sian.synthesis.brushes import check_backend

    painter = load(model, device, check_backend(backend, device))
    if a_dataset:
        given = mpp_of(mpp, source, _dataset_mpp(source))
        _dataset(source, style, output, painter, given, split, seed, noise, keep, as_json=as_json)
        return
    written = restyle_pictures(
        paths,
        style,
        output,
        model=painter,
        mask=mask,
        segmenter=segmenter,
        asked=asked,
        seed=seed,
        noise=noise,
        keep=keep,
    )
    if as_json:
        console.print_json({"model": painter.sha256, "written": written})
    elif len(written) == 1 and "sheet" in written[0]:
        console.out(f"{written[0]['image']} (synthetic; not for diagnosis), beside it its mask and a sheet")
    else:
        console.out(f"{len(written)} pictures in {output} (synthetic; not for diagnosis)")


def _dataset_mpp(source: Path) -> float | None:
    from sian.data import open_dataset

    return open_dataset(source).info.mpp


def _dataset(
    source: Path,
    style: str,
    output: Path,
    model: Model,
    mpp: float | None,
    split: str | None,
    seed: int,
    noise: float,
    keep: Keep | None,
    *,
    as_json: bool,
) -> None:
    from sian.data import open_dataset
    from sian.production.restyle import restyle_dataset

    data = open_dataset(source)
    data = data.split(split) if split else data
    with console.progress("repainting") as report:
        painted = restyle_dataset(
            data, style, output, model=model, mpp=mpp, seed=seed, noise=noise, keep=keep, report=report
        )
    if mpp is not None:
        from sian.synthesis.magnification import scaling

        console.say(str(scaling(mpp, model.info.mpp)))
    if as_json:
        about = {"model": model.sha256, "style": style, "items": len(data), "painted": painted}
        console.print_json({"dataset": output, **about})
        return
    console.out(
        f"{output}: {len(data)} items in the style {style}, {painted} painted now (synthetic; not for diagnosis)"
    )

"""``sian data``: import annotated tiles into a data set on disk, look at one, export one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import Json
from sian.cli.slide_options import Region, parse_region

if TYPE_CHECKING:
    from sian.data.importing import ImportReport
    from sian.data.inspecting import Inspection
    from sian.data.item_facts import ItemFacts

app = typer.Typer(
    help="Annotated tiles: import them into a data set on disk, inspect and export one.", rich_markup_mode=None
)

COLUMNS = (
    *("id", "split", "organ", "prep.", "mpp", "size", "ids", "nuclei", "median px"),
    *("pieces", "overlaps", "lost px", "dropped"),
)


@app.callback()
def _group() -> None:
    """Annotated tiles: import them into a data set on disk, inspect and export one."""


@app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(help="A folder of annotated tiles, one image, or a slide.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--output", help="The data set to make.", show_default=False)],
    region: Region = None,
    organ: Annotated[str | None, typer.Option(help="Organ of all tiles, e.g. kidney.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of all tiles, e.g. train.")] = None,
    mpp: Annotated[float | None, typer.Option(min=0.01, max=100, help="Micrometres per pixel of all tiles.")] = None,
    preparation: Annotated[str | None, typer.Option(help="Preparation of all tiles: ffpe, frozen or unknown.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the data set.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the data.")] = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Take tiles without any outline as empty instead of refusing them.")
    ] = False,
) -> None:
    """Import annotated tiles into a data set on disk; safe to rerun.

    Reads images/ with masks/, NAME.png beside NAME_labels.png, NAME.xml (ImageScope), NAME.geojson (QuPath) or
    NAME.mat, MoNuSeg's folders, COCO, and the other formats that `sian data formats` lists. If tiles differ, a table
    items.csv beside them says how (id, organ, mpp, patient, split). --region makes one tile of an annotated slide.
    Everything is checked before anything is written.
    """
    from sian.data.importing import import_collection
    from sian.data.sources import find_pairs

    if (area := parse_region(region)) is None:
        found = find_pairs(source)
    else:
        from sian.slides.annotated_region import annotated_region

        found = annotated_region(source, area)
    given = {"organ": organ, "split": split, "mpp": mpp, "preparation": preparation}
    with console.progress("importing", unit="steps") as report:
        result = import_collection(found, out, given=given, name=name, licence=licence, empty=empty, report=report)
    _say_import(result)


@app.command("export")
def export(
    dataset: Annotated[Path, typer.Argument(help="The data set.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--output", help="The folder to make; new or empty.", show_default=False)],
    format_: Annotated[str, typer.Option("--format", help="`sian data formats` lists them.", show_default=False)],
    split: Annotated[str | None, typer.Option(help="Only the items of this split, e.g. train.")] = None,
    json: Json = False,
) -> None:
    """Write a data set in the format of other programs; `sian data import` reads it back.

    The folder appears when it is whole. provenance.json in it says where every image comes from.
    """
    from sian.data import export_dataset, open_dataset

    data = open_dataset(dataset)
    with console.progress("exporting") as report:
        result = export_dataset(data.split(split) if split else data, out, format_, report=report)
    if json:
        console.print_json(
            {
                "format": "sian.export/1",
                "folder": result.folder,
                "written": result.format.name,
                "items": result.items,
                "nuclei": result.nuclei,
                "losses": result.format.losses,
            }
        )
        return
    console.out(f"{result.folder}: {_count(result.items, 'item')}, {result.nuclei:,} nuclei, as {result.format.name}")
    console.out(result.format.losses)


@app.command("formats")
def formats(json: Json = False) -> None:
    """List the formats of `sian data export`: what each is, and what it can't hold."""
    from sian.data.formats import FORMATS

    if json:
        listed = [{"name": f.name, "describes": f.describes, "losses": f.losses} for f in FORMATS.values()]
        console.print_json({"format": "sian.formats/1", "formats": listed})
        return
    for known in FORMATS.values():
        console.out(f"{known.name}\n    {known.describes}\n    {known.losses}")


@app.command("inspect")
def inspect(
    folder: Annotated[Path, typer.Argument(help="The data set.", show_default=False)],
    tissue: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also draw each image beside its tissue map, into this folder."),
    ] = None,
    json: Json = False,
) -> None:
    """Check every file of a data set, and say what it holds and what to know about it.

    Leaves with exit code 3 when items cannot be used as they are. A tissue map is white where it is empty, darker
    where it is denser, and has its fibres' direction for a hue.
    """
    from sian.data.inspecting import inspect_dataset
    from sian.errors import BadInput

    with console.progress("inspecting") as report:
        inspection = inspect_dataset(folder, report)
    if json:
        console.print_json(_as_json(inspection))
    else:
        console.out(_as_text(inspection))
    if inspection.problems:
        raise BadInput("; ".join(inspection.problems))
    if tissue is not None:
        _draw_tissue(folder, tissue)


def _draw_tissue(folder: Path, target: Path) -> None:
    """Each item's image beside its tissue map."""
    import numpy as np

    from sian.data import open_dataset
    from sian.files import write_png
    from sian.layout import describe
    from sian.layout.picture import picture

    data = open_dataset(folder)
    with console.progress("tissue maps", "items") as report:
        for number, item in enumerate(data, 1):
            image = data.image(item)
            drawn = picture(describe(data.mask(item), tissue=image))["tissue"]
            write_png(
                target / f"{item.id}.png", np.concatenate([image, drawn], 1), {"Description": "image, tissue map"}
            )
            report(number, len(data))
    console.say(f"{target}: {len(data)} images beside their tissue maps")


def _say_import(result: ImportReport) -> None:
    from sian.data.leftovers import account

    items = result.items
    overlaps, lost = sum(i.overlaps for i in items), sum(i.lost_pixels for i in items)
    held = [item for item in items if item.left_out]
    kept = f", {result.kept} there already" if result.kept else ""
    console.out(
        f"{result.folder}: {_count(len(items), 'item')}, {result.nuclei:,} nuclei ({result.added} imported{kept})"
    )
    if overlaps:
        console.out(f"{_count(overlaps, 'outline')} overlapped earlier ones and lost {lost:,} pixels to them")
    if held or set(result.drawn) - {"outline"}:
        where = (
            f" (in {held[0].id if len(held) == 1 else f'{len(held)} items, the first {held[0].id}'})" if held else ""
        )
        console.out(f"{account(result.drawn, result.left_out)}{where}")
    for item_id, count in result.vanished.items():
        console.out(
            f"{item_id}: {_count(count, 'outline')} without a pixel: outside the tile, or covered by earlier ones"
        )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _as_text(inspection: Inspection) -> str:
    info = inspection.info
    kind = "synthetic" if info.synthetic else "real"
    lines = [
        f"{info.name}: {len(inspection.facts)} items ({kind}), {inspection.nuclei:,} nuclei, licence {info.licence}",
        "",
        *_grid([COLUMNS, *(_row(fact) for fact in inspection.facts)]),
        "",
        *_counts("organ", inspection.organs),
        "",
        *_counts("preparation", inspection.preparations),
        *(["", *_counts("nuclei by class", inspection.classes)] if inspection.classes else []),
    ]
    for title, sentences in (("Notes", inspection.notes), ("Problems", inspection.problems)):
        if sentences:
            lines += ["", f"{title}:", *(f"  - {sentence}" for sentence in sentences)]
    return "\n".join(lines)


def _row(fact: ItemFacts) -> tuple[str, ...]:
    item = fact.item
    return (
        item.id,
        item.split,
        item.organ,
        item.preparation,
        "?" if item.mpp is None else f"{item.mpp:.4g}",
        f"{item.height}x{item.width}",
        fact.mask_dtype,
        str(fact.nuclei),
        f"{fact.median_area:.0f}",
        str(fact.in_pieces),
        str(item.overlaps),
        str(item.lost_pixels),
        str(item.dropped_regions),
    )


def _counts(title: str, table: dict[str, dict[str, int]]) -> list[str]:
    splits = tuple(next(iter(table.values()), {}))
    return _grid([(title, *splits), *((key, *map(str, counts.values())) for key, counts in table.items())])


def _grid(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of text as aligned lines: words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _as_json(inspection: Inspection) -> dict[str, Any]:
    return {
        "format": "sian.inspection/1",
        "folder": inspection.folder,
        "info": inspection.info.model_dump(),
        "nuclei": inspection.nuclei,
        "organs": inspection.organs,
        "preparations": inspection.preparations,
        "classes": inspection.classes,
        "items": [
            fact.item.model_dump(exclude_none=True)
            | {
                "mask_dtype": fact.mask_dtype,
                "nuclei_found": fact.nuclei,
                "highest_id": fact.highest_id,
                "median_area": fact.median_area,
                "smallest_area": fact.smallest_area,
                "in_pieces": fact.in_pieces,
            }
            for fact in inspection.facts
        ],
        "notes": inspection.notes,
        "problems": inspection.problems,
    }

"""`sian demo`: what comes with the package, painted in every organ's style; needs no data and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console
from sian.cli.arguments import ModelFile, check_there

SIDE = 256  # px of the scattered nuclei


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("demo"),
    model: ModelFile = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the scattered nuclei and the texture.")] = 0,
) -> None:
    """Paint a real mask and invented nuclei in every organ's style.

    Writes the pictures and one contact sheet of them. It needs no data and no network.
    """
    check_there("file", model, bundled=True)

    from importlib import resources

    from sian.files import write_png
    from sian.masks import read_mask, write_mask
    from sian.nuclei import scatter
    from sian.synthesis import load
    from sian.synthesis.labels import png_text
    from sian.synthesis.sheet import Picture, contact_sheet, mask_picture

    painter = load(model)
    bundled = Path(str(resources.files("sian") / "assets" / "mask.png"))
    masks = {"real": read_mask(bundled), "invented": scatter(SIDE, SIDE, seed)}
    rows: list[list[Picture]] = []
    total = len(masks) * len(painter.styles)
    with console.progress("painting") as report:
        for name, mask in masks.items():
            write_mask(output / f"{name}_mask.png", mask)
            row = [mask_picture(mask)]
            for organ in painter.styles:
                style = painter.style(organ)
                image = painter.synthesize(mask, style, seed=seed)
                write_png(output / f"{name}_{organ}.png", image, png_text(painter, style, seed, name))
                row.append(image)
                report(len(rows) * len(painter.styles) + len(row) - 1, total)
            rows.append(row)
    sheet = contact_sheet(rows, ["mask", *painter.styles], list(masks))
    write_png(output / "sheet.png", sheet, png_text(painter, None, seed))
    console.out(f"{total} pictures and the contact sheet {output / 'sheet.png'} (synthetic; not for diagnosis)")

"""`sian style`: fit a style to a reference image, and keep it in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console
from sian.cli.arguments import check_outputs

WORTH = 0.005  # of the distance in stain; on 21 slides that no model has seen, fits gained 0.03 to 0.1


def style(
    reference: Annotated[Path, typer.Argument(help="A picture of the slide, at least 128 x 128 px.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="REFERENCE-fitted.json here if not given.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="The picture's instance mask; else it is segmented.")] = None,
    segmenter: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="What segments it; the bundled SegNet if not given.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Model file; the bundled one if not given.")] = None,
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres a pixel of the picture: rescaled to the model's.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if not given.")] = None,
) -> None:
    """Fit a style to a reference image whose stain the model has not seen.

    It takes seconds. `--style reference.png` encodes a picture, which is quick and follows stains that were learned
    from. This paints the picture's own nuclei until their stain is right, and writes a file for --style of synthesize
    and restyle, and for plans.
    """
    import torch

    from sian.data.class_file import classes_of
    from sian.errors import BadInput
    from sian.files import read_image, sha256_file
    from sian.masks import read_mask
    from sian.production.fit_style import fit_style
    from sian.segmentation import load as load_segmenter
    from sian.synthesis import load
    from sian.synthesis.stylefile import SUFFIX, StyleFile, write_style

    target = output or Path(f"{reference.stem}-fitted{SUFFIX}")
    if target.suffix.lower() != SUFFIX:
        raise BadInput(f"{target}: expected the name of a {SUFFIX} file, by which styles are told from organs")
    check_outputs([target], [reference, *([mask] if mask else [])])
    if mask is not None and segmenter is not None:
        raise BadInput(f"{mask}: a mask was given, which leaves nothing for --segmenter to do; leave one of them out")
    if threads:
        torch.set_num_threads(threads)
    painter = load(model, device)
    image = read_image(reference)
    given = read_mask(mask) if mask is not None else None
    segment = load_segmenter(segmenter).to(str(painter.device)).predict if given is None else None
    classes = classes_of(mask) if mask is not None and painter.info.classes else None
    try:
        fitted = fit_style(
            image, model=painter, mask=given, segment=segment, mpp=mpp, classes=classes, name=target.stem
        )
    except BadInput as error:
        raise BadInput(f"{mask or reference}: {error}") from None
    content = StyleFile(
        model=painter.sha256,
        vector=fitted.style.vector.tolist(),
        reference=sha256_file(reference),
        before=fitted.before,
        after=fitted.after,
    )
    write_style(target, content)
    better = f"distance in stain {fitted.before:.3f} as encoded, {fitted.after:.3f} as fitted"
    if fitted.before - fitted.after < WORTH:
        better += "; encoding the picture (--style PICTURE) does as well"
    console.say(better)
    console.out(str(target))

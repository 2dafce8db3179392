"""What a dropped file can become: a style, encoded at once and fitted while one goes on drawing, or nuclei."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sian.errors import BadInput
from sian.masks import nucleus_ids
from sian.production.fit_style import fit_style
from sian.studio_app.own_style import encoded, look_alike, own_model
from sian.synthesis.style_fitting import CROP
from sian.synthesis.stylefile import read_style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sian.studio_app.jobs import Report
    from sian.studio_app.studio import Studio

    Picture = NDArray[np.uint8]

WORTH = 0.005  # of the distance in stain, as `sian style` says


def become_style(studio: Studio, name: str, picture: Picture) -> None:
    """Paint in the style of a picture as soon as it is encoded; then search for a nearer one."""
    stem = Path(name).stem

    def work(report: Report) -> str:
        model = own_model(studio)
        report(0, 0)
        found, note = encoded(model, picture, stem)
        marked = studio.add_style(stem, found, note)
        studio.wear(marked)
        report(0, 0)
        if min(picture.shape[:2]) < CROP:
            return f"{name}: encoded; it is too small for a fit ({CROP} px a side)"
        fitted = fit_style(picture, model=model, name=f"{stem}-fitted", report=report)
        if fitted.before - fitted.after < WORTH:
            return f"{name}: a fit comes no nearer than its encoded style"
        gain = f"The fit took its stain from {fitted.before:.3f} to {fitted.after:.3f} off the picture's."
        studio.wear(studio.add_style(f"{stem}-fitted", fitted.style, f"{gain} {note}".strip()), instead_of=marked)
        return f"{name}: fitted. {gain}"

    if not studio.model.has_style:
        raise BadInput(f"{studio.model.info.name}: this model has no style; a picture can give it none")
    studio.jobs.add(f"style of {name}", work)


def become_known_style(studio: Studio, name: str, content: bytes) -> None:
    """Paint in the style of a style's file.

    Raises:
        BadInput: no style's file, or one of another model.
    """
    with tempfile.TemporaryDirectory(prefix="upload-", dir=studio.autosave) as inside:
        path = Path(inside) / name
        path.write_bytes(content)
        try:
            style = read_style(path, studio.model.sha256, studio.model.painter.generator.style_dim)
        except BadInput as error:
            raise BadInput(str(error).replace(str(path), name)) from None
    studio.wear(studio.add_style(Path(name).stem, style, f"From the file {name}."))


def become_nuclei(studio: Studio, name: str, picture: Picture) -> None:
    """Segment a picture's nuclei and open them; they are painted like the picture."""
    from sian.segmentation import load

    def work(report: Report) -> str:
        report(0, 0)
        found = load(studio.segmenter).predict(picture)
        report(0, 0)
        studio.open(found, Path(name).stem, picture)
        look_alike(studio)
        count = len(nucleus_ids(found))
        if not count:
            return f"found no nuclei in {name}; draw them, and see them painted"
        return (
            f"found {count} {'nucleus' if count == 1 else 'nuclei'} in {name}; mend what is wrong, and see it painted"
        )

    studio.jobs.add(f"finding the nuclei of {name}", work)

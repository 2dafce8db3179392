"""What a synthetic picture says about itself: PNG text chunks (docs/design.md, "Safety")."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sian.synthesis.model import Model
    from sian.synthesis.styles import Style


def png_text(model: Model, style: Style | None, seed: int, mask: str = "") -> dict[str, str]:
    """Text chunks for a painted picture.

    Args:
        model: that painted it.
        style: in which; None for a sheet of several.
        seed: of its noise.
        mask: the name of the mask.
    """
    text = {
        "Title": "Synthetic H&E image",
        "Synthetic": "true",
        "Software": f"sian {model.info.training.version}",
        "Model": model.sha256,
        "Style": (style.name if style else "several") if model.has_style else "none: this model has no style",
        "Seed": str(seed),
        "Licence": model.info.licence,
        "Disclaimer": "Painted by a generative model; not for diagnosis",
    }
    return {**text, "Mask": mask} if mask else text

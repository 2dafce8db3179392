"""All that a page can ask for: drawing, and what needs files, a data set, the segmenter or a training run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.studio_app import corrected, dropped, messages, segmenter_tuning, tuning
from sian.studio_app.gestures import told_tissue
from sian.studio_app.opening import is_style_file, is_tissue_map, read_tissue_map, read_upload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sian.studio_app.studio import Studio


def do(studio: Studio, message: messages.Message, page: str = "") -> dict[str, Any]:
    """Do what a page asks for; see `Studio.do`."""
    if not isinstance(message, messages.Tile | messages.Do):
        return studio.do(message, page)
    if studio.did(message.n, page):
        return {"again": True}
    answer = _tend(studio, message)
    studio.remember(message.n, page)
    return answer


def take(
    studio: Studio, name: str, content: bytes, purpose: str, classes: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """Take a file from a page.

    A mask is opened, a tissue map is told of the drawing; a picture becomes a style, or is segmented and opened.

    Args:
        studio: that takes it.
        name: of the file.
        content: its bytes.
        purpose: "style" or "nuclei" for a picture; "" asks what it is, and changes nothing if it is a picture.
        classes: of a mask's nuclei, names by id; if None, those that the file says itself.

    Raises:
        BadInput: what cannot be read, or cannot be this.
    """
    if is_style_file(name, content):
        dropped.become_known_style(studio, name, content)
        return {"kind": "style"}
    if is_tissue_map(name, content):
        told_tissue(studio.model)
        studio.apply(read_tissue_map(name, content, studio.document.shape))
        return {"kind": "tissue"}
    found, own = read_upload(name, content, studio.autosave)
    if found.ndim == 2:
        studio.open(found.astype(np.int32), Path(name).stem, classes=own if classes is None else classes)
        return {"kind": "mask"}
    picture = np.asarray(found, np.uint8)
    if purpose == "style":
        dropped.become_style(studio, name, picture)
    elif purpose == "nuclei":
        dropped.become_nuclei(studio, name, picture)
    return {"kind": "picture"}


def _tend(studio: Studio, message: messages.Tile | messages.Do) -> dict[str, Any]:
    if isinstance(message, messages.Do) and message.what == "cancel":
        studio.jobs.cancel()
        return {}
    if isinstance(message, messages.Do) and message.what == "compare":
        corrected.compare(studio)
        return {}
    if isinstance(message, messages.Do) and message.what == "adapt":
        segmenter_tuning.adapt(studio)
        return {}
    tiles = studio.tiles
    if tiles is None:
        raise BadInput("no data set is open; start the studio with one: `sian studio DATASET`")
    if isinstance(message, messages.Tile):
        corrected.show(studio, tiles, message.step)
    elif message.what == "finetune":
        tuning.tune(studio, tiles.folder)
    else:
        return {"sentence": corrected.keep(studio, tiles)}
    return {}

"""The button that fine-tunes: `sian train finetune` on the tiles that are open, as a process of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import torch

from sian.errors import BadInput
from sian.studio_app.child_process import follow
from sian.studio_app.snapshots import free_folder, middle_of
from sian.synthesis.painting import Noise, paint
from sian.synthesis.sheet import contact_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sian.layout import Layout
    from sian.studio_app.jobs import Report
    from sian.studio_app.studio import Studio
    from sian.synthesis import Model, Style

VERDICT = re.compile(r"(no )?better[ :]")  # see `sian.training.candidates.verdict`
SHEET_SIDE = 256  # px


def tune(studio: Studio, dataset: Path) -> None:
    """Fine-tune the model to a data set; at its end the page is shown a sheet of before and after."""
    run = free_folder(studio.folder, "finetuned")
    base = "bundled" if studio.model_path is None else str(studio.model_path)
    command = ["train", "finetune", "--init", base, "-d", str(dataset), "-o", str(run)]

    def work(report: Report) -> str:
        verdict = next((line for line in reversed(follow(command, report).lines) if VERDICT.match(line)), "fine-tuned")
        model = run / "model.safetensors"
        if not model.is_file():
            raise BadInput(f"{run}: holds no model; see what `sian {' '.join(command)}` says")
        sentence = f"{verdict}: {model}; paint with it by `sian studio --model {model}`"
        report(0, 0, "painting before and after")
        studio.show_sheet(_before_and_after(studio, model), sentence)
        return sentence

    studio.jobs.add(f"fine-tuning to {dataset.name}", work)


def _before_and_after(studio: Studio, path: Path) -> NDArray[np.uint8]:
    """The middle of the drawing: by the model as it was, in the style on the page, and as it is now, in the tile's."""
    from sian.studio_app.own_style import own_model
    from sian.synthesis import load

    layout, below = studio.middle(SHEET_SIDE), studio.below
    pictures, names = [], []
    if below is not None:
        top, left, bottom, right = middle_of(below.picture.shape, SHEET_SIDE)
        pictures.append(below.picture[top:bottom, left:right])
        names.append("real")
    wanted, tuned = studio.painter.wanted, load(path)
    organ = below.item.organ if below is not None and below.item is not None else ""
    known = organ if organ in tuned.styles else next(iter(tuned.styles))
    for name, model, style in (("before", own_model(studio), wanted.style), ("after", tuned, tuned.style(known))):
        pictures.append(_painted(model, layout, style, wanted.seed))
        names.append(f"{name}: {style.name}")
    return contact_sheet([pictures], names)


def _painted(model: Model, layout: Layout, style: Style, seed: int) -> NDArray[np.uint8]:
    vector = torch.from_numpy(style.vector).to(model.device)
    return paint(model.painter.generator, layout, vector, Noise(seed), brush=model.brush(vector[None]))

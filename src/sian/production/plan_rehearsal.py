"""`sian dataset --dry-run`: what a plan would make, after the checks that the run makes; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sian.production.manifest import Manifest
from sian.production.plan import NUCLEI, Plan
from sian.production.run import check_folder
from sian.production.schedule import Schedule, share_out


@dataclass(frozen=True)
class PlanRehearsal:
    """What a run of a plan would do.

    Attributes:
        images: of the plan.
        missing: images that would be made now.
        shards: of the plan.
        missing_shards: that would be made now.
        styles: images by style, in the plan's order.
        masks: where masks come from, for people.
        model: SHA-256 of the model that would paint.
        gate: whether images would be judged, and some made again.
    """

    images: int
    missing: int
    shards: int
    missing_shards: int
    styles: dict[str, int]
    masks: str
    model: str
    gate: bool


def rehearse_plan(plan: str | Path | Plan, folder: str | Path) -> PlanRehearsal:
    """Check what `sian.production.run` checks before its first image, and say what it would make; writes nothing.

    Args:
        plan: a bundled plan's name, a path, or a plan.
        folder: the data set; new, empty, or of an earlier run of the same plan.

    Raises:
        BadInput: a plan that cannot be carried out, or a folder of another plan.
    """
    schedule, folder = Schedule(plan if isinstance(plan, Plan) else Plan.load(plan)), Path(folder)
    check_folder(schedule, folder)
    gaps = Manifest(folder, with_items=schedule.plan.form == "folders").gaps(schedule.shards)
    if gaps:
        from sian.production.worker import Foreman

        Foreman(schedule).setup()  # an unknown style is said here
    made, source = schedule.plan, schedule.plan.masks.source
    names = (f"{style.style} to {style.to}" if style.to else style.style for style in made.styles)
    return PlanRehearsal(
        made.images,
        sum(len(schedule.span(shards)) for shards in gaps),
        schedule.shards,
        sum(map(len, gaps)),
        dict(zip(names, map(int, share_out(made)), strict=False)),
        "invented nuclei" if source == NUCLEI else source,
        made.model.sha256 or "",
        made.gate is not None,
    )

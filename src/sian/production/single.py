"""One image of a plan, made again from its number alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.data.formats.webdataset import record_bytes
from sian.errors import BadInput
from sian.files import write_bytes
from sian.production.plan import Plan
from sian.production.schedule import Schedule

if TYPE_CHECKING:
    from sian.production.worker import Made


def make_image(plan: str | Path | Plan, number: int) -> Made:
    """Make one image of a plan.

    Args:
        plan: a bundled plan's name, a path, or a plan.
        number: of the image, from 0.

    Returns:
        The image as in the data set: PNG bytes, mask, record; `reason` says why the gate refuses it, if it does.

    Raises:
        BadInput: no image of this number, or it cannot be made.
    """
    schedule = Schedule(plan if isinstance(plan, Plan) else Plan.load(plan))
    schedule.image(number)  # before the model is loaded
    from sian.production.worker import Foreman, Worker

    foreman = Foreman(schedule)
    return Worker(foreman.setup()).make(foreman.job(number))


def write_image(made: Made, target: str | Path) -> list[Path]:
    """Write an image as TARGET.png, its mask as TARGET_mask.png and its record as TARGET.json.

    Args:
        made: from `make_image`.
        target: a name that ends in .png.

    Returns:
        The paths written.
    """
    target = Path(target)
    if target.suffix.lower() != ".png":
        raise BadInput(f"{target}: expected a name that ends in .png for one image; mask and record go beside it")
    record: dict[str, Any] = made.record | ({"reason": made.reason} if made.reason else {})
    mask, line = target.with_name(f"{target.stem}_mask.png"), target.with_suffix(".json")
    for path, content in ((target, made.image), (mask, made.mask), (line, record_bytes(record))):
        write_bytes(path, content)
    return [target, mask, line]

"""Data sets at scale: a plan fixes every image, so every machine that carries it out makes the same bytes.

::

    plan.py            what a plan may say
    schedule.py        the plan with everything hashed; how image i is made
    mask_supply.py     where masks come from
    worker.py          what a worker does
    gate.py            the quality gate
    executors.py       in this process, in processes of this machine
    cluster.py         by Ray; the only file that knows it
    shard_writing.py   finished images as files
    manifest.py        which shards exist
    single.py          one image again
    run.py             make what is missing
    verifying.py       is everything as it was written?
    screening.py       does an image repeat a training image?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sian.production.plan import Plan
from sian.production.run import Outcome, run
from sian.production.schedule import Schedule
from sian.production.single import make_image, write_image
from sian.production.verifying import Verification, verify

if TYPE_CHECKING:
    from sian.production.screening import screen_copies

__all__ = ["Outcome", "Plan", "Schedule", "Verification", "make_image", "run", "screen_copies", "verify", "write_image"]


def __getattr__(name: str) -> Any:
    """`screen_copies` is imported when it is used: it needs torch, which a finished plan does without."""
    if name != "screen_copies":
        raise AttributeError(f"module 'sian.production' has no attribute {name!r}")
    from sian.production.screening import screen_copies

    return screen_copies

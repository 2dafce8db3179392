"""`sian train --dry-run`: what a training would do, after the checks that it makes; nothing is written.

It says nothing of time: how fast a machine trains is known once it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sian.production.comparison import set_apart
from sian.production.train_and_export import Progress, Report, Say, checked_recipe, described_tiles
from sian.training import Hardware, Recipe
from sian.training.checkpoint import chosen
from sian.training.device import check_hardware
from sian.training.stretches import schedule_of

if TYPE_CHECKING:
    from sian.data import Dataset


@dataclass(frozen=True)
class Leg:
    """One stage of a run.

    Attributes:
        size: side of its windows in px.
        batch: windows a step.
        images: windows in all.
    """

    size: int
    batch: int
    images: int

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.images // self.batch


@dataclass(frozen=True)
class Rehearsal:
    """What a run would do.

    Attributes:
        recipe: its name.
        organs: tiles by organ.
        nuclei: of all tiles.
        held_out: what would not be learned from, by name.
        legs: the stages, in their order.
        done: windows that the checkpoint to go on from has seen; None for a new run.
        precision: in which it would compute.
    """

    recipe: str
    organs: dict[str, int]
    nuclei: int
    held_out: list[str]
    legs: list[Leg]
    done: int | None
    precision: str

    @property
    def images(self) -> int:
        """Windows in all."""
        return sum(leg.images for leg in self.legs)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return sum(leg.steps for leg in self.legs)


def rehearse_training(
    recipe: str | Path | Recipe | None,
    data: Dataset,
    run: str | Path,
    *,
    changes: Mapping[str, str] | None = None,
    resume: bool = False,
    hardware: Hardware | None = None,
    weights: Path | None = None,
    trust_weights: bool = False,
    aliases: Mapping[str, str] | None = None,
    init: str | Path | None = None,
    go_on_from: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Rehearsal:
    """Check everything that `sian.train` checks before its first step, and say what it would do; writes nothing.

    Args and Raises: as of `sian.train`.
    """
    run, hardware = Path(run), hardware or Hardware()
    settled, start = checked_recipe(
        recipe,
        data,
        run,
        changes=changes,
        resume=resume,
        init=init,
        weights=weights,
        trust_weights=trust_weights,
        go_on_from=go_on_from,
        say=say or (lambda _: None),
    )
    tiles = described_tiles(settled, data, aliases, progress or _silent)
    apart = set_apart(tiles, settled, start, run)
    check_hardware(hardware)
    schedule = schedule_of(settled, apart.learned, hardware.devices)
    return Rehearsal(
        settled.name,
        dict(sorted(Counter(tile.organ for tile in tiles).items())),
        sum(item.nuclei for item in data),
        list(apart.names),
        [Leg(s.stage.size, s.stage.batch, s.end - s.begin) for s in schedule],
        _done(run, go_on_from) if resume else None,
        hardware.chosen_precision,
    )


def _done(run: Path, go_on_from: int | None) -> int:
    checkpoint = chosen(run / "checkpoints", go_on_from, write=False)
    return int(checkpoint.name) if checkpoint else 0


def _silent(description: str, unit: str) -> AbstractContextManager[Report]:
    del description, unit
    return nullcontext(lambda *_: None)

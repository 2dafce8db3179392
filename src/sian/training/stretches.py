"""The stages of a run with their places in it, and one process' share of their batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sian import seeds
from sian.data.sampling import Sample, Tile, WindowSampler
from sian.errors import BadInput
from sian.networks import REFERENCE_SIZE
from sian.training.recipe import Recipe
from sian.training.recipe_sections import Stage


@dataclass(frozen=True)
class Stretch:
    """A stage with its place in the run: images `begin` to `end`, in whole batches."""

    stage: Stage
    sampler: WindowSampler
    begin: int
    end: int


def schedule_of(recipe: Recipe, tiles: Sequence[Tile], processes: int) -> list[Stretch]:
    """A recipe's stages, one after the other.

    Raises:
        BadInput: a stage that cannot be shared by so many processes.
    """
    stretches: list[Stretch] = []
    begin = 0
    for index, stage in enumerate(recipe.stages):
        if stage.frozen and processes > 1:
            raise BadInput(f"recipe {recipe.name}: stages.{index}.frozen works on one device only; leave --devices out")
        if stage.batch % processes or stage.batch // processes < recipe.smallest_batch:
            raise BadInput(
                f"recipe {recipe.name}: a batch of {stage.batch} cannot be shared by {processes} processes "
                f"with at least {recipe.smallest_batch} each; set stages.{index}.batch to a multiple of {processes}"
            )
        sampler = WindowSampler(
            tiles,
            stage.size,
            REFERENCE_SIZE,
            recipe.data.positions,
            seeds.derive(recipe.seed, "stage", index),
            recipe.data.turn,
            recipe.data.sibling,
            recipe.data.placing,
        )
        images = stage.images if stage.images is not None else (stage.epochs or 0) * sampler.epoch_length
        end = begin + max(1, images // stage.batch) * stage.batch
        stretches.append(Stretch(stage, sampler, begin, end))
        begin = end
    return stretches


class RankView:
    """This process' share of each batch: the whole run sees the same samples for any number of processes."""

    def __init__(self, sampler: WindowSampler, local: int, rank: int, processes: int) -> None:
        self.sampler, self.local, self.rank, self.processes = sampler, local, rank, processes
        self.tiles = sampler.tiles

    def sample(self, index: int) -> Sample:
        """The sample with this number among the process' own."""
        batch, place = divmod(index, self.local)
        return self.sampler.sample((batch * self.processes + self.rank) * self.local + place)

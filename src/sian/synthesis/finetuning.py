"""Fine-tuning: a model file as the start of a run.

The recipe says how to train; what the networks are is the model's to say, and a recipe that says otherwise is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sian.errors import BadInput, warn
from sian.masks import median_area
from sian.synthesis.load_model import bundled_model
from sian.synthesis.model import AREA_RATIO
from sian.synthesis.modelfile import read_model
from sian.synthesis.widening import stirred, widened_by_tissue
from sian.training import Recipe, Start
from sian.training.recipe_classes import takes_tissue
from sian.training.recipe_sections import GeneratorSection

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

    from sian.data import Dataset
    from sian.synthesis.modelfile import ModelInfo

NETWORKS = ("generator", "encoder")  # sections that the model file decides
PARTS = {"scales": "scales", "segmenting": "segmenting", "features": "heads"}  # of a discriminator: key, tensors
MPP_RATIO = 1.2  # magnifications that differ by more are worth a word


def start_from(recipe: Recipe, model: str | Path) -> tuple[Recipe, Start]:
    """A recipe with the networks of a model file, and the start that a run makes from it.

    Args:
        recipe: its sections "generator", "encoder" and "discriminator" may be left out; they are the model's then.
            Its generator may take noise in more blocks than the model's, which begin with a strength of 0 or of the
            recipe's `coarse_noise`, and tissue maps, which begin without any effect.
        model: a model file; "bundled" is the package's own.

    Raises:
        BadInput: no such file, damaged, of another format, or of other networks than the recipe asks for.
    """
    path = bundled_model() if str(model) == "bundled" else Path(model)
    content = read_model(path)
    trained = Recipe.parse(_known(content.info), f"{path}: its recipe")
    if recipe.network != trained.network:
        raise BadInput(
            f"{path}: its network is {trained.network!r}, the recipe {recipe.name} is for {recipe.network!r}; add "
            f"--set network={trained.network}"
        )
    for section in NETWORKS:
        _check_section(recipe, trained, section, path)
    taken = {section: getattr(trained, section) for section in NETWORKS}
    weights, judge = dict(content.weights), dict(content.discriminator)
    if noisier := _more_noise(recipe, trained):
        taken["generator"] = trained.generator.model_copy(update={"noise_blocks": noisier})
        weights |= _silent_noise(taken["generator"], weights)
    if _adds_tissue(recipe, trained):
        taken["generator"] = taken["generator"].model_copy(update={"tissue": True})
        weights |= widened_by_tissue(weights, len(content.info.classes))
    if changed := _other_upsampling(recipe, trained):
        taken["generator"] = taken["generator"].model_copy(update={"upsampling": changed})
    if strength := getattr(recipe, "coarse_noise", 0.0):
        weights |= stirred(weights, strength, recipe.seed)
    asked = recipe.discriminator.model_dump(exclude_unset=True) if "discriminator" in recipe.model_fields_set else {}
    taken["discriminator"] = trained.discriminator.model_copy(update=asked)
    if judge := _parts_needed(judge, taken["discriminator"]):
        _check_section(recipe, trained, "discriminator", path, _parts_left_out(recipe))
    data = recipe.data.model_copy(update={"classes": _classes(recipe, content.info, path)})
    whole = recipe.model_copy(update={**taken, "data": data, "start": "model"})
    whole = Recipe.parse(whole.model_dump(mode="json"), recipe.name)  # its parts come from two places: do they fit?
    if whole.judged and not (whole.discriminator.scales or whole.discriminator.features):
        raise BadInput(
            f"{path}: its discriminator has no feature heads and the recipe {whole.name} asks for nothing else; add "
            "--set discriminator.features=64, or --set discriminator.scales=1"
        )
    judged_anew = whole.judged and not judge
    held = "only a part of the discriminator that is asked for" if content.discriminator else "no discriminator"
    if judged_anew and whole.judge_is_frozen:
        raise BadInput(
            f"{path}: holds {held}, and the recipe {whole.name} asks one that never learns; leave "
            "discriminator out of a stage's frozen, or its losses at 0"
        )
    if judged_anew and whole.stages and not set(NETWORKS) <= set(whole.stages[0].frozen):
        warn(
            f"{path}: holds {held}, so that one starts anew, and the recipe's first stage does not let it "
            "learn alone; its first steps may spoil what the generator knows (see frozen in the recipe finetune)"
        )
    elif judged_anew and content.discriminator:
        warn(
            f"{path}: holds {held}, so that one starts anew; give it time to learn alone, e.g. --set "
            "stages.0.images=1600"
        )
    facts = {
        "sha256": content.sha256,
        "discriminator": bool(judge),
        **content.info.model_dump(include={"name", "mpp", "median_nucleus_area", "licence", "training"}),
    }
    return whole, Start(weights, judge, facts, _bank_styles(content.bank))


def check_tiles(data: Dataset, start: Start | None = None) -> None:
    """Refuse tiles without any nucleus before a run begins, and tell of another magnification than the model's.

    Raises:
        BadInput: no tile has a nucleus.
    """
    area = median_area(data.mask(item) for item in data)
    if not np.isfinite(area):
        raise BadInput(
            f"{data.folder}: found no nucleus in any mask, expected tiles with their nuclei outlined; check the masks "
            "with `sian data inspect`"
        )
    if start is None:
        return
    expected, mpp, of_model = start.facts["median_nucleus_area"], data.info.mpp, start.facts["mpp"]
    if mpp and of_model and not 1 / MPP_RATIO <= mpp / of_model <= MPP_RATIO:
        warn(f"{data.folder}: its tiles have {mpp:g} um a pixel, the model's had {of_model:g}; it must learn that too")
    elif not 1 / AREA_RATIO <= area / expected <= AREA_RATIO:
        warn(
            f"{data.folder}: its nuclei have a median area of {area:.0f} px, those that the model learned from "
            f"{expected:.0f} px; if the magnification differs, rescale the tiles first"
        )


def _bank_styles(bank: Mapping[str, Tensor]) -> Tensor | None:
    """The mean style of each tile in a bank, (n, D)."""
    tiles = [part.float() for name, part in sorted(bank.items()) if name.endswith(".tiles")]
    return torch.cat(tiles) if tiles else None


def _classes(recipe: Recipe, info: ModelInfo, path: Path) -> tuple[str, ...] | bool:
    """The nuclear classes are the model's, like its networks."""
    names, asked = tuple(info.classes), recipe.data.classes
    if (isinstance(asked, tuple) and asked != names) or (asked and not names):
        found = ", ".join(names) or "none"
        wanted = ", ".join(asked) if isinstance(asked, tuple) else "some"
        raise BadInput(
            f"{path}: its nuclear classes are {found}, the recipe {recipe.name} asks for {wanted}; leave data.classes "
            "out, or train from scratch without --init"
        )
    return names or False


def _known(info: ModelInfo) -> dict[str, Any]:
    """The sections of a model file's recipe that decide its networks, and those that these have to fit."""
    kept = ("network", *NETWORKS, "discriminator", "losses", "start", "stages")
    return {"name": info.name} | {key: info.recipe[key] for key in kept if key in info.recipe}


def _parts_left_out(recipe: Recipe) -> list[str]:
    """Parts of a discriminator that a recipe does without, e.g. the patches beside the feature heads."""
    asked = recipe.discriminator
    return [part for part in PARTS if part in asked.model_fields_set and getattr(asked, part) == 0]


def _parts_needed(judge: Mapping[str, Tensor], section: Any) -> dict[str, Tensor]:
    """The tensors of the parts that a discriminator has; none if a part is missing, as in a file of heads alone."""
    needed = {prefix for part, prefix in PARTS.items() if getattr(section, part)}
    parts = {name: tensor for name, tensor in judge.items() if name.split(".")[0] in needed}
    return parts if {name.split(".")[0] for name in parts} == needed else {}


def _check_section(recipe: Recipe, trained: Recipe, section: str, path: Path, without: Collection[str] = ()) -> None:
    if section not in recipe.model_fields_set:
        return
    asked, has = getattr(recipe, section), getattr(trained, section)
    for key in type(asked).model_fields:
        changes = (
            (key == "noise_blocks" and _more_noise(recipe, trained))
            or (key == "tissue" and _adds_tissue(recipe, trained))
            or (key == "upsampling" and _other_upsampling(recipe, trained))
        )
        if key in without or changes:
            continue
        if key in asked.model_fields_set and getattr(asked, key) != getattr(has, key):
            raise BadInput(
                f"{path}: its {section}.{key} is {_plain(getattr(has, key))}, the recipe {recipe.name} asks for "
                f"{_plain(getattr(asked, key))}; leave that key out of the recipe, or train from scratch without --init"
            )


def _more_noise(recipe: Recipe, trained: Recipe) -> tuple[int, ...]:
    """The blocks that the recipe asks noise for, when they are the model's and more; else none."""
    asked = getattr(recipe.generator, "noise_blocks", ()) if "generator" in recipe.model_fields_set else ()
    return asked if set(asked) > set(getattr(trained.generator, "noise_blocks", ())) else ()


def _silent_noise(generator: GeneratorSection, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strengths of 0 for the noise of blocks that have none among the weights: the network stays what it was."""
    names = {index: f"generator.blocks.{index}.noise_strength" for index in generator.noise_blocks}
    return {
        name: torch.zeros(min(generator.channels[max(index - 1, 0)], generator.channels[index]))
        for index, name in names.items()
        if name not in weights
    }


def _adds_tissue(recipe: Recipe, trained: Recipe) -> bool:
    """Whether the recipe's generator takes tissue maps, and the model's does not."""
    asked = "generator" in recipe.model_fields_set and takes_tissue(recipe)
    return asked and isinstance(trained.generator, GeneratorSection) and not trained.generator.tissue


def _other_upsampling(recipe: Recipe, trained: Recipe) -> str | None:
    """The way of doubling features that the recipe asks for, where the model learned by another; it has no weights."""
    if not isinstance(recipe.generator, GeneratorSection) or not isinstance(trained.generator, GeneratorSection):
        return None
    named = "generator" in recipe.model_fields_set and "upsampling" in recipe.generator.model_fields_set
    asked = recipe.generator.upsampling
    return asked if named and asked != trained.generator.upsampling else None


def _plain(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else repr(value)

"""From a run to a model file: EMA weights, batch norm estimated anew, style bank, facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sian.data import Dataset
from sian.data.sampling import Tile
from sian.data.tiles import read_tiles
from sian.errors import BadInput, warn
from sian.files.locks import only_writer
from sian.masks import median_area
from sian.networks import (
    REFERENCE_SIZE,
    Painter,
    add_factors,
    build_discriminator,
    build_painter,
    signed_images,
)
from sian.networks.drawn_tissue import tissue_law
from sian.synthesis import adjusting
from sian.synthesis.finetuning import PARTS
from sian.synthesis.looks import look, measure
from sian.synthesis.model import MOST_WINDOWS
from sian.synthesis.modelfile import (
    BaseModelFacts,
    ModelInfo,
    ReferenceDistances,
    TrainingFacts,
    read_model,
    write_model,
)
from sian.synthesis.painting import encode_windows
from sian.synthesis.storage import Kept, Storage
from sian.synthesis.styles import OrganStyles, Styles, check_aliases, make_part
from sian.training import Recipe, checkpoint
from sian.training.average import folded
from sian.training.candidates import looks_of
from sian.training.journal import read_journal
from sian.training.recipe_classes import takes_tissue
from sian.training.start import read_start
from sian.training.stopping import BEST, read_looks
from sian.windows import test_offsets

Report = Callable[[int, int], None]


def export_run(
    run: str | Path,
    data: Dataset,
    target: str | Path,
    *,
    tiles: Sequence[Tile] | None = None,
    aliases: Mapping[str, str] | None = None,
    metrics: Mapping[str, Any] | None = None,
    discriminator: Kept | None = None,
    storage: Storage = "float16",
    report: Report | None = None,
) -> Path:
    """Make a model file of a run's newest checkpoint; where tiles were held out, of what painted these best.

    Args:
        run: the run's folder.
        data: the tiles that it learned from.
        target: the file to write.
        tiles: the same tiles, if they are in memory already.
        aliases: other names of organs in the style bank.
        metrics: numbers, with their floors, to be kept in the file.
        discriminator: what of it the file holds as well, so that a fine-tuning need not start it anew: "whole", as the
            recipe ``finetune`` needs it, or its "heads" on VGG19's features alone, for recipes without other parts.
            None is "whole" for runs that started from a model and have one that learned, "none" for others.
        storage: how the weights are stored.
        report: called with (steps done, steps in all).

    Raises:
        BadInput: no checkpoint in the run, a damaged one, an alias of an organ that no tile is of, no nuclei, or a
            target that is a folder or cannot be written to.
    """
    target = Path(target)
    if target.is_dir():
        raise BadInput(f"{target}: found a folder, expected the name of a model file; add e.g. model.safetensors")
    with only_writer(target, folder=False):  # before the work
        return _exported(Path(run), data, target, tiles, aliases, metrics, discriminator, storage, report)


def _exported(
    run: Path,
    data: Dataset,
    target: Path,
    tiles: Sequence[Tile] | None,
    aliases: Mapping[str, str] | None,
    metrics: Mapping[str, Any] | None,
    discriminator: Kept | None,
    storage: Storage,
    report: Report | None,
) -> Path:
    saved = checkpoint.found(run / "checkpoints")
    if not saved:
        raise BadInput(f"{run}: found no checkpoint, expected a run of `sian train`; check the folder")
    state, _ = checkpoint.read_state(saved[-1])
    looks, average = read_looks(run), saved[-1] / "average.safetensors"
    if looks["looks"] and (run / BEST).is_file():
        average, state.images = run / BEST, int(looks["best"])
    recipe = Recipe.load(run / "recipe.yaml")
    area = median_area(data.mask(item) for item in data)
    if not np.isfinite(area):
        raise BadInput(f"{data.folder}: found no nucleus in any mask, expected the tiles that the run learned from")
    kept = _kept(discriminator, recipe, run)
    names = recipe.data.class_names
    tiles = (
        tiles
        if tiles is not None
        else read_tiles(data, recipe.data.organ_aliases, class_names=names, tissue=takes_tissue(recipe))
    )
    painter = build_painter(
        recipe.generator.model_dump(),
        recipe.encoder.model_dump(),
        network=recipe.network,
        spectral=False,
        classes=len(names),
    )
    try:
        painter.load_state_dict(checkpoint.read_tensors(average))
    except RuntimeError as error:
        reason = str(error).splitlines()[:2][-1].strip()
        raise BadInput(
            f"{average}: its weights do not fit {run / 'recipe.yaml'} ({reason}); restore that file"
        ) from None
    check_aliases(aliases, {tile.organ for tile in tiles})
    painter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    first = 0 if looks_of(run) else adjusting.NORM_BATCHES  # a candidate was compared as it is, and stays so
    steps = first + len(tiles)
    if first:
        adjusting.estimate_norms(painter, tiles, recipe.seed, lambda done: report(done, steps) if report else None)
    painter.eval()
    bank, distances = _style_bank(
        painter, tiles, aliases or {}, lambda done: report(first + done, steps) if report else None
    )
    info = ModelInfo(
        name=recipe.name,
        recipe=recipe.model_dump(mode="json"),
        organs=list(bank),
        aliases=bank.aliases,
        mpp=data.info.mpp,
        median_nucleus_area=area,
        reference_distances=distances,
        training=_facts(run, data, tiles, state),
        metrics=dict(metrics or {}),
        licence=_licence(read_start(run), data),
        classes=list(names),
    )
    judge = None if kept == "none" else _part(_discriminator(saved[-1], recipe), kept, run, info)
    write_model(
        target,
        info,
        painter.state_dict(),
        bank.tensors(),
        discriminator=judge,
        looks=_looks(tiles),
        tissue=_tissue(tiles),
        storage=storage,
    )
    return target


def rewrite(
    model: str | Path,
    target: str | Path,
    *,
    metrics: Mapping[str, Any] | None = None,
    storage: Storage | None = None,
    discriminator: Kept | None = None,
) -> Path:
    """Write a model file again with other metrics in its description, its weights stored in another way, or less in it.

    Args:
        model: the model file.
        target: the file to write; may be the same.
        metrics: the object of `sian evaluate --json`. None keeps those that are there, unless the storage changes:
            numbers belong to the weights that they were measured on.
        storage: how the weights are stored; None leaves weights and bank as they are to the bit.
        discriminator: what is kept of it, as for `export_run`; None keeps what is there.

    Raises:
        BadInput: the file does not hold that part of a discriminator.

    Warns:
        SianWarning: metrics are left out since the storage changes.
    """
    content = read_model(model)
    if metrics is None and content.info.metrics and storage not in (None, content.storage):
        warn(f"{model}: its numbers are of the weights as they were and are left out; measure again, then --metrics")
        metrics = {}
    info = content.info if metrics is None else content.info.model_copy(update={"metrics": dict(metrics)})
    judge = content.discriminator
    write_model(
        target,
        info,
        content.weights,
        content.bank,
        discriminator=judge if discriminator is None else _part(judge, discriminator, model, info),
        looks=content.looks,
        tissue=content.tissue,
        storage=storage or content.storage,
    )
    return Path(target)


@torch.inference_mode()
def _style_bank(
    painter: Painter, tiles: Sequence[Tile], aliases: Mapping[str, str], report: Callable[[int], None]
) -> tuple[Styles, ReferenceDistances]:
    windows: dict[str, list[NDArray[np.float32]]] = {}
    for number, tile in enumerate(tiles, 1):
        vectors = _tile_styles(painter, tile)
        windows.setdefault(f"{tile.organ}/{tile.preparation}", []).append(vectors)
        report(number)
    parts: dict[str, OrganStyles] = {name: make_part(name, vectors) for name, vectors in windows.items()}
    bank = Styles(parts, aliases)
    distances = [
        bank.distance(vector, without_tile=(name, number))
        for name, several in windows.items()
        for number, vectors in enumerate(several)
        for vector in vectors
    ]
    finite = np.array([d for d in distances if np.isfinite(d)] or [1e9])
    return bank, ReferenceDistances(median=float(np.median(finite)), high=float(np.quantile(finite, 0.99)))


def _looks(tiles: Sequence[Tile]) -> dict[str, torch.Tensor]:
    """What the tiles' windows look like, as tensors; nothing for few tiles."""
    windows = [look(encode_windows(tile.image, REFERENCE_SIZE, MOST_WINDOWS)) for tile in tiles]
    measured = measure(windows)
    return measured.tensors() if measured else {}


def _tissue(tiles: Sequence[Tile]) -> dict[str, torch.Tensor]:
    """How often the tiles of each style have what between their nuclei; nothing for tiles without tissue maps."""
    layers: dict[str, list[NDArray[np.int8]]] = {}
    for tile in tiles:
        if tile.layout.tissue is not None:
            layers.setdefault(f"{tile.organ}/{tile.preparation}", []).append(tile.layout.tissue)
    return {name: torch.from_numpy(tissue_law(several)) for name, several in layers.items()}


def _tile_styles(painter: Painter, tile: Tile) -> NDArray[np.float32]:
    """Style means of a tile's windows at the test offsets, (n, D)."""
    height, width = tile.layout.shape
    vectors = []
    for y in test_offsets(height):
        for x in test_offsets(width):
            window = tile.image[y : y + REFERENCE_SIZE, x : x + REFERENCE_SIZE]
            vectors.append(painter.encoder(signed_images(window[None]))[0][0].numpy())
    return np.stack(vectors).astype(np.float32)


def _facts(run: Path, data: Dataset, tiles: Sequence[Tile], state: checkpoint.State) -> TrainingFacts:
    lines = read_journal(run / "stats.jsonl")
    before, seconds = 0, 0.0
    for line in lines:
        seconds += (line["images"] - before) / max(1e-9, line["images_per_second"])
        before = line["images"]
    path = run / "environment.json"
    environment = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return TrainingFacts(
        data=f"{data.info.name}: {data.info.source}",
        tiles=[tile.id for tile in tiles],
        images=state.images,
        hours=round(seconds / 3600, 3),
        device=environment.get("device", "unknown"),
        commit=environment.get("commit", "unknown"),
        version=state.version,
        held_out=read_looks(run)["held_out"],
        base=BaseModelFacts.model_validate(_of_model(start)) if (start := read_start(run)) else None,
    )


def _of_model(start: Mapping[str, Any]) -> dict[str, Any]:
    """A start's facts that are about its model."""
    return {key: value for key, value in start.items() if key != "discriminator"}


def _licence(start: Mapping[str, Any], data: Dataset) -> str:
    """The data's licence, and the base model's where that is another one."""
    base = start.get("licence", data.info.licence)
    return data.info.licence if base == data.info.licence else f"{base} (base model) and {data.info.licence} (tiles)"


def _kept(asked: Kept | None, recipe: Recipe, run: Path) -> Kept:
    """What is kept of a run's discriminator: what is asked for, or what the next fine-tuning would miss."""
    learned = recipe.judged and bool(recipe.stages) and not recipe.judge_is_frozen
    known = learned or bool(read_start(run).get("discriminator"))
    if asked in ("heads", "whole") and not known:
        raise BadInput(f"{run}: its discriminator did not learn in this run; leave --discriminator out")
    return asked or ("whole" if known and recipe.start == "model" else "none")


def _part(
    judge: Mapping[str, torch.Tensor], kept: Kept, source: str | Path, info: ModelInfo
) -> dict[str, torch.Tensor]:
    """What is kept of a discriminator's tensors."""
    section = info.recipe.get("discriminator")
    whole = {prefix for part, prefix in PARTS.items() if isinstance(section, dict) and section.get(part)} or {"scales"}
    wanted: set[str] = {"none": set(), "heads": {"heads"}, "whole": whole}[kept]
    found = {name: tensor for name, tensor in judge.items() if name.split(".")[0] in wanted}
    if lacking := wanted - {name.split(".")[0] for name in found}:
        raise BadInput(
            f"{source}: found no {' and '.join(sorted(lacking))} of a discriminator in it, expected them for "
            f"--discriminator {kept}; give another one, or none"
        )
    return found


def _discriminator(saved: Path, recipe: Recipe) -> dict[str, torch.Tensor]:
    """A checkpoint's discriminator, spectral norm folded in."""
    classes = len(recipe.data.class_names)
    network = build_discriminator(recipe.discriminator.model_dump(), network=recipe.network, classes=classes)
    if recipe.start == "model":
        add_factors(network)
    tensors, prefix = checkpoint.read_tensors(saved / "networks.safetensors"), "discriminator."
    try:
        network.load_state_dict({k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)})
    except RuntimeError as error:
        reason = str(error).splitlines()[:2][-1].strip()
        raise BadInput(f"{saved}: its discriminator does not fit the run's recipe ({reason}); restore that") from None
    return folded(network)

"""StarDist as a judge that no one here wrote: trained by its own library on the real training tiles.

In an environment of its own (TensorFlow stays out of SIAN's):

    python -m venv judge && judge/bin/pip install -r benchmarks/judges/requirements.txt
    judge/bin/python benchmarks/judges/stardist_judge.py segment benchmarks/judges/stardist_monuseg.npz IMAGES MASKS
    sian evaluate-model --model MODEL --data data/monuseg --segmented MASKS --judge stardist ...

    judge/bin/python benchmarks/judges/stardist_judge.py train data/monuseg runs/stardist     # another one
    judge/bin/python benchmarks/judges/stardist_judge.py keep runs/stardist runs/stardist.npz

`segment` takes a folder of `train` or a file of `keep`, which holds the weights in half precision, and beside it a JSON
with thresholds and training. stardist_monuseg.npz is what the published tables are judged by.
`train` reads a data set of SIAN's (items.jsonl, images, masks), holds some tiles out for StarDist's own thresholds, and
writes `training.json` with seed, length, tiles and versions. `segment` writes one 16-bit grey PNG for each image.
Images are divided by 255 and not normalised one by one, so that a window is seen as the tile that it was cut from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
from keras.callbacks import LearningRateScheduler
from PIL import Image
from stardist import fill_label_holes
from stardist.models import Config2D, StarDist2D

SEED = 0
HELD_OUT = 3  # training tiles for StarDist's thresholds
PATCH, BATCH = 256, 4
STEPS_AN_EPOCH = 50
CHECKED_PATCHES = 24  # of the held-out tiles, the same at every epoch; StarDist keeps the weights that do best on them
RATE = 6e-4  # at the start; falls to 0 by a cosine, so that its mean is StarDist's own 3e-4
FEATURES = 32  # of the U-Net's first level, StarDist's default
RAYS = 32
NAME = "stardist"


def main() -> None:
    """Train or segment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train")
    training.add_argument("data", type=Path)
    training.add_argument("out", type=Path)
    training.add_argument("--epochs", type=int, default=20)
    training.add_argument("--seed", type=int, default=SEED)
    training.add_argument("--start", type=Path, help="go on from this folder of `train`, with the same seed")
    keeping = verbs.add_parser("keep")
    keeping.add_argument("model", type=Path)
    keeping.add_argument("file", type=Path)
    segmenting = verbs.add_parser("segment")
    segmenting.add_argument("model", type=Path)
    segmenting.add_argument("images", type=Path)
    segmenting.add_argument("masks", type=Path)
    options = parser.parse_args()
    if options.verb == "train":
        train(options.data, options.out, options.epochs, options.seed, options.start)
    elif options.verb == "keep":
        keep(options.model, options.file)
    else:
        segment(options.model, options.images, options.masks)


def train(data: Path, out: Path, epochs: int, seed: int, start: Path | None = None) -> None:
    """Train on the split "train", from StarDist's first weights or from another run's, and write down how."""
    lines = (data / "items.jsonl").read_text(encoding="utf-8").splitlines()
    items = [item for item in map(json.loads, lines) if item["split"] == "train"]
    random = np.random.default_rng(seed)
    order = random.permutation(len(items))
    held, learned = ([items[n] for n in part] for part in (order[:HELD_OUT], order[HELD_OUT:]))
    images, masks = read(data, learned)
    checked = read(data, held)
    before = [] if start is None else json.loads((start / "training.json").read_text(encoding="utf-8"))["rounds"]
    keras.utils.set_random_seed(seed + len(before))  # the first weights, and the patches that StarDist draws
    random = np.random.default_rng([seed, len(before)]) if before else random
    model = StarDist2D(configuration(epochs), name=NAME, basedir=str(out))
    if start is not None:
        model.keras_model.load_weights(start / NAME / "weights_best.h5")
    started = time.process_time()

    def jittered(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One of eight turns and flips, brighter or darker, and each colour a little more or less."""
        turns, flip = int(random.integers(4)), bool(random.integers(2))
        x, y = np.rot90(x, turns), np.rot90(y, turns)
        x, y = (x[:, ::-1], y[:, ::-1]) if flip else (x, y)
        gain = random.uniform(0.8, 1.2) * random.uniform(0.9, 1.1, 3)
        return np.clip(x * gain, 0, 1).astype(np.float32), y

    model.prepare_for_training()
    model.callbacks.append(LearningRateScheduler(lambda epoch: RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2))
    history = model.train(
        images, masks, validation_data=checked, augmenter=jittered, seed=seed + len(before), epochs=epochs
    ).history
    model.optimize_thresholds(*checked)
    this = {
        "epochs": epochs,
        "steps": epochs * STEPS_AN_EPOCH,
        "patches": epochs * STEPS_AN_EPOCH * BATCH,
        "cpu_hours": round((time.process_time() - started) / 3600, 3),
        "loss": [round(float(value), 4) for value in history["loss"]],
        "loss_held_out": [round(float(value), 4) for value in history["val_loss"]],
    }
    facts = {
        "seed": seed,
        "patch_px": PATCH,
        "rounds": [*before, this],  # each with a schedule of its own, from the best weights of the one before
        "learned": sorted(item["id"] for item in learned),
        "held_out": sorted(item["id"] for item in held),
        "versions": {name: version(name) for name in ("stardist", "csbdeep", "tensorflow-cpu", "keras", "numpy")},
    }
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def configuration(epochs: int = 1) -> Config2D:
    """StarDist's defaults for pictures of three channels, but for the length and the rate."""
    return Config2D(
        n_rays=RAYS,
        grid=(2, 2),
        n_channel_in=3,
        unet_n_filter_base=FEATURES,
        train_patch_size=(PATCH, PATCH),
        train_batch_size=BATCH,
        train_epochs=epochs,
        train_steps_per_epoch=STEPS_AN_EPOCH,
        train_n_val_patches=CHECKED_PATCHES,
        train_learning_rate=RATE,
        train_tensorboard=False,
    )


def read(data: Path, items: list[dict[str, str]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images in [0, 1] and masks of some items."""
    images = [picture(data / item["image"]) for item in items]
    masks = [fill_label_holes(np.array(Image.open(data / item["mask"])).astype(np.int32)) for item in items]
    return images, masks


def picture(path: Path) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    return np.asarray(Image.open(path).convert("RGB"), np.float32) / 255


def keep(folder: Path, file: Path) -> None:
    """Write a trained model's weights in half precision, and what to know of them as JSON."""
    model = StarDist2D(None, name=NAME, basedir=str(folder))
    weights = {f"{n:03d} {weight.path}": weight.numpy() for n, weight in enumerate(model.keras_model.weights)}
    np.savez_compressed(file, **{name: values.astype(np.float16) for name, values in weights.items()})
    facts = {
        "what": "StarDist 2D (Schmidt et al. 2018) trained on MoNuSeg's training tiles (Kumar et al. 2017)",
        "licence": "CC BY-NC-SA 4.0, as MoNuSeg's",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "parameters": sum(values.size for values in weights.values()),
        "thresholds": {"prob": float(model.thresholds.prob), "nms": float(model.thresholds.nms)},
        **json.loads((folder / "training.json").read_text(encoding="utf-8")),
    }
    file.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def open_model(path: Path) -> StarDist2D:
    """A folder of `train`, or a file of `keep` with its JSON beside it."""
    if path.is_dir():
        return StarDist2D(None, name=NAME, basedir=str(path))
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if facts["sha256"] != hashlib.sha256(path.read_bytes()).hexdigest():
        sys.exit(f"{path}: is not the file that {path.with_suffix('.json').name} describes; fetch both again")
    model = StarDist2D(configuration(), name=NAME, basedir=None)
    with np.load(path, allow_pickle=False) as kept:
        model.keras_model.set_weights([kept[name].astype(np.float32) for name in sorted(kept.files)])
    model.thresholds = facts["thresholds"]
    return model


def segment(path: Path, images: Path, masks: Path) -> None:
    """Write what is found in every PNG of a folder."""
    model = open_model(path)
    masks.mkdir(parents=True, exist_ok=True)
    for picture_path in sorted(images.glob("*.png")):
        found, _ = model.predict_instances(picture(picture_path))
        Image.fromarray(found.astype(np.uint16)).save(masks / picture_path.name)


if __name__ == "__main__":
    main()

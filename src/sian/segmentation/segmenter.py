"""The segmenter's model file, format "sian.segmenter/1", and what is done with it: `load`, `Segmenter.predict`.

One safetensors file: the averaged weights, and JSON metadata that hold the format, the recipe, facts about the
training, and the licence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from sian.errors import BadInput, first_line
from sian.files import sha256_file, write_bytes
from sian.files.bundled import segmenter_path
from sian.networks import move_to
from sian.networks.soundness import weight_problem
from sian.segmentation.instances import deciding_maps, instances
from sian.segmentation.networks import build
from sian.segmentation.segmenter_recipe import SegmenterRecipe
from sian.segmentation.tiling import OVERLAP, WINDOW, apply, run_network
from sian.segmentation.turns import averaged

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

FORMAT = "sian.segmenter/1"
MONUSEG_MPP = 0.25
Storage = Literal["float16", "float32"]


@dataclass
class Segmenter:
    """A trained network and how its maps become instances.

    Attributes:
        network: in eval mode, float32.
        recipe: what it was trained with.
        facts: about the training, plain JSON: images seen, hours, device, commit, data set, licence.
        sha256: of the model file; "" when it came from no file.
        tta: average over the eight flips and quarter turns of every window (test-time augmentation): better, and eight
            times as long.
    """

    network: nn.Module
    recipe: SegmenterRecipe
    facts: dict[str, Any]
    sha256: str = ""
    tta: bool = False

    @property
    def mpp(self) -> float:
        """Micrometres a pixel of what it was trained on; files of before it was noted are of MoNuSeg's 40x."""
        said = self.facts.get("mpp")
        return float(said) if isinstance(said, int | float) and said > 0 else MONUSEG_MPP

    def predict(self, image: NDArray[np.uint8], *, window: int = WINDOW, overlap: int = OVERLAP) -> NDArray[np.int32]:
        """Segment the nuclei of an image of any size, as large as memory holds one float map of it.

        Args:
            image: (H, W, 3) uint8, at about the resolution of the training data (MoNuSeg: 0.25 um a pixel).
            window: side of the overlapping windows, a multiple of 32; smaller ones need less memory.
            overlap: pixels that windows share, a multiple of 32 below `window`.

        Returns:
            (H, W) int32 instance mask, 0 background, 1..n.

        Raises:
            BadInput: not an RGB image of 8 bits, or windows of an impossible size.

        >>> from sian.segmentation import untrained
        >>> untrained("segnet", width=2).predict(np.zeros((40, 50, 3), np.uint8)).shape
        (40, 50)
        """
        output = self.maps(image, window=window, overlap=overlap)
        return instances(self.recipe.network.kind, output, self.recipe.instances)

    def maps(self, image: NDArray[np.uint8], *, window: int = WINDOW, overlap: int = OVERLAP) -> NDArray[np.float32]:
        """What the network says of an image, (3, H, W) float32, see `deciding_maps`; arguments as of `predict`."""
        _check_image(image)
        if window % 32 or overlap % 32 or not 0 < overlap < window:
            raise BadInput(
                f"windows of {window} px that share {overlap} px: expected multiples of 32, the overlap above 0 "
                f"and below the window; try {WINDOW} and {OVERLAP}"
            )
        return run_network(self.run, image, window, overlap)

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The maps of one window, (h, w, 3) uint8 whose sides are multiples of 32 to (3, h, w) float32."""
        return averaged(self.recipe.network.kind, self._once, pixels) if self.tta else self._once(pixels)

    def _once(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return deciding_maps(self.recipe.network.kind, apply(self.network, pixels))

    def to(self, device: str) -> Segmenter:
        """The same segmenter, its network moved to a device such as "cuda"."""
        move_to(self.network, device)
        return self


def untrained(kind: str, width: int, seed: int = 0) -> Segmenter:
    """A segmenter with initial weights, for trials and tests."""
    recipe = SegmenterRecipe.parse({"name": "untrained", "network": {"kind": kind, "width": width}}, "untrained")
    return Segmenter(build(kind, width, seed=seed).eval(), recipe, {})


def save(segmenter: Segmenter, path: str | Path, storage: Storage = "float16") -> Path:
    """Write a model file, whole or not at all.

    Args:
        segmenter: what to write; its `facts` should say its licence.
        path: the file.
        storage: dtype of the weights in the file; batch norm's variances stay float32, which half precision
            cannot hold.

    Returns:
        The path.
    """
    tensors = {}
    for name, tensor in segmenter.network.state_dict().items():
        narrow = storage == "float16" and tensor.is_floating_point() and not name.endswith("running_var")
        tensors[name] = tensor.detach().cpu().to(torch.float16 if narrow else tensor.dtype).contiguous()
    metadata = {
        "format": FORMAT,
        "recipe": segmenter.recipe.dump(),
        "training": json.dumps(segmenter.facts),
        "licence": str(segmenter.facts.get("licence", "unknown")),
    }
    # Written like any other file: safetensors' own writer makes files that only their owner may read.
    write_bytes(path, to_bytes(tensors, metadata))
    return Path(path)


def load(path: str | Path | None = None, device: str = "cpu") -> Segmenter:
    """Read a segmenter's model file.

    Args:
        path: e.g. "segnet.safetensors"; "bundled", if not given, is the one that segments best, "judge" the one that
            judges paintings in every table: it has seen MoNuSeg's training tiles alone, and its file never changes.
        device: where it is to compute.

    Raises:
        BadInput: no such file, not a segmenter, damaged, of another format version, or no device of that name.
        MissingResource: this machine lacks the device.
    """
    path = segmenter_path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file, expected a segmenter; make one with `sian segment train`")
    metadata, tensors = _read(path)
    recipe = SegmenterRecipe.parse(_plain_recipe(path, metadata), f"{path}: recipe")
    with torch.device("meta"):  # shapes alone: no memory for what a forged recipe asks for
        network = build(**recipe.network.model_dump())
    try:
        network.load_state_dict(
            {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, assign=True
        )
        facts = json.loads(metadata.get("training", "{}"))
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, error) from None
    for name, tensor in network.state_dict().items():
        if problem := weight_problem(name, tensor):
            raise _damaged(path, ValueError(f"{problem} in {name!r}"))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Segmenter(network.eval(), recipe, facts, sha256_file(path)).to(device)


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
        if metadata.get("format") != FORMAT:
            raise BadInput(
                f"{path}: found format {metadata.get('format')!r}, expected {FORMAT!r}; give a file that "
                "`sian segment train` made"
            )
        return metadata, load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise _damaged(path, error) from None


def _plain_recipe(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    from sian.files.yamlfiles import parse_yaml

    try:
        values = parse_yaml(metadata.get("recipe", ""))
    except ValueError as error:
        raise _damaged(path, error) from None
    if not isinstance(values, dict):
        raise _damaged(path, ValueError("no recipe in its metadata"))
    return values


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(f"{path}: expected a whole segmenter, found {first_line(error)}; make or copy the file again")


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise BadInput(
            f"expected an RGB image as (H, W, 3) uint8, found {image.shape} {image.dtype}; read it with "
            "`sian.read_image`"
        )

"""`sian.load`: a model file, or the bundled model, as a `Model`."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten

import torch

from sian.errors import BadInput, MissingResource
from sian.files.bundled import MODELS
from sian.networks import Painter, build_painter
from sian.networks.drawn_tissue import DrawnTissue
from sian.synthesis.brushes import Backend, check_backend
from sian.synthesis.looks import Looks
from sian.synthesis.model import Model
from sian.synthesis.modelfile import ModelContent, read_model
from sian.synthesis.styles import Styles


def load(path: str | Path | None = None, device: str = "cpu", backend: Backend = "torch") -> Model:
    """Load a model file; without a path, or with "bundled", the one in the package.

    Args:
        path: the file.
        device: where it computes.
        backend: what computes the paintings: "torch"; "openvino", the same pixels to one grey level, sooner, on a CPU
            (``pip install 'sian[openvino]'``); or "openvino-bf16", sooner still on CPUs that have bfloat16.

    Raises:
        BadInput: no such file, damaged, not a SIAN model, or a backend that does not compute there.
        MissingResource: no bundled model in this installation, no such device, or the backend is not installed.
    """
    check_backend(backend, device)
    path = bundled_model() if path is None or str(path) == "bundled" else Path(path)
    content = read_model(path)
    try:
        arguments = content.info.recipe
        with torch.device("meta"):  # shapes alone: no random weights, and no memory for what a forged recipe asks for
            painter = build_painter(
                arguments["generator"],
                arguments["encoder"],
                network=arguments.get("network", "sian"),
                spectral=False,
                classes=len(content.info.classes),
            )
        painter.load_state_dict(content.weights, assign=True)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        line = (str(error).splitlines() or ["?"])[:2][-1]  # the first of several only names the class
        reason = shorten(line, 120, placeholder=" ...")
        raise BadInput(f"{path}: its weights do not fit its recipe ({reason}); export the model again") from None
    painter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    looks, styles = Looks.from_tensors(content.looks), _styles(path, content, painter)
    painter.generator.between = _between(path, content, styles) if painter.generator.tissue else None
    return Model(content.info, painter, styles, content.sha256, looks, backend=backend).to(device)


def _between(path: Path, content: ModelContent, styles: Styles) -> DrawnTissue | None:
    """What draws tissue where no map says anything; None where the file has nothing to draw by."""
    if not content.tissue:
        return None
    vectors = {name: part.vector for name, part in styles.parts.items()}
    try:
        return DrawnTissue({name: tensor.numpy() for name, tensor in content.tissue.items()}, vectors)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _styles(path: Path, content: ModelContent, painter: Painter) -> Styles:
    """The style bank of a model file, which must be there and fit the generator."""
    try:
        styles = Styles.from_tensors(content.bank, content.info.aliases)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    dimensions = {part.tiles.shape[1] for part in styles.parts.values()}
    if dimensions != {painter.generator.style_dim}:
        found = f"vectors of {sorted(dimensions)} numbers" if dimensions else "none"
        raise BadInput(
            f"{path}: expected a style bank of {painter.generator.style_dim} numbers a vector, found {found}; "
            "export the model again"
        )
    return styles


def bundled_model() -> Path:
    """Where the model that comes with the package lies.

    Raises:
        MissingResource: this installation has none.
    """
    path = MODELS["bundled"]
    if not path.is_file():
        raise MissingResource(
            f"{path}: this installation has no bundled model; install the released package, or name a model file that "
            "`sian train` has written"
        )
    return path

"""napari's side of SIAN: two widgets and a sample. All work is done by the package sian."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui import magic_factory

if TYPE_CHECKING:
    import napari.layers
    import napari.types

SYNTHETIC = {"synthetic": True, "note": "painted by SIAN; not for diagnosis"}
SAMPLE_SIDE = 512  # px


@lru_cache(maxsize=1)
def _painter() -> Any:
    import sian

    return sian.load()


@lru_cache(maxsize=1)
def _segmenter() -> Any:
    from sian.segmentation import load

    return load()


def _styles(_widget: Any = None) -> list[str]:
    """The organs that the bundled model can paint."""
    return list(_painter().styles)


@magic_factory(
    call_button="Paint",
    style={"choices": _styles},
    seed={"min": 0, "max": 10**6},
    mpp={"min": 0.0, "max": 10.0, "step": 0.01, "label": "um a pixel (0: the model's)"},
)
def paint_widget(
    labels: napari.layers.Labels, style: str = "kidney", seed: int = 0, mpp: float = 0.0
) -> napari.types.LayerDataTuple:
    """Paint a Labels layer, one id a nucleus, as H&E in an organ's style."""
    mask = _plane(labels.data)
    image = _painter().synthesize(mask, style, seed=seed, mpp=mpp or None)
    about = {"name": f"{labels.name} {style}", "rgb": True, "metadata": dict(SYNTHETIC), "scale": labels.scale[-2:]}
    return image, about, "image"


@magic_factory(
    call_button="Segment",
    mpp={"min": 0.0, "max": 10.0, "step": 0.01, "label": "um a pixel (0: the segmenter's 0.25)"},
)
def segment_widget(image: napari.layers.Image, mpp: float = 0.0) -> napari.types.LayerDataTuple:
    """Segment the nuclei of an RGB image layer."""
    from sian.segmentation.magnified import predict_at

    pixels = np.asarray(image.data)
    if pixels.ndim != 3 or pixels.shape[-1] not in (3, 4) or pixels.dtype != np.uint8:
        raise ValueError(f"expected an RGB image in 8 bits, found {pixels.shape} {pixels.dtype}; choose another layer")
    mask = predict_at(_segmenter(), np.ascontiguousarray(pixels[..., :3]), mpp or None, name=image.name)
    return mask, {"name": f"{image.name} nuclei", "scale": image.scale[:2]}, "labels"


def sample_labels() -> list[napari.types.LayerDataTuple]:
    """Invented nuclei, to be painted."""
    from sian.nuclei import scatter

    return [(scatter(SAMPLE_SIDE, SAMPLE_SIDE, 0), {"name": "invented nuclei"}, "labels")]


def _plane(data: Any) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    mask = np.asarray(data)
    if mask.ndim != 2:
        raise ValueError(f"expected a 2-d Labels layer, found {mask.ndim} dimensions; choose or cut another layer")
    return mask.astype(np.int32)

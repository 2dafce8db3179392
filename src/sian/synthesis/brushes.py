"""What computes a model's paintings: its generator folded for torch, or OpenVINO. Made once for a model's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

import torch
from torch import Tensor

from sian.errors import BadInput, MissingResource
from sian.networks import Brush, FoldedGenerator, GeneratorInterface
from sian.networks.generator import Generator

if TYPE_CHECKING:
    from sian.synthesis.openvino_brush import OpenVinoGenerator

Backend = Literal["torch", "openvino", "openvino-bf16"]
BACKENDS: tuple[str, ...] = get_args(Backend)

_Weights = tuple[tuple[int, int], ...]  # each tensor's place in memory, and how often it was changed there


def check_backend(backend: str, device: str = "cpu") -> Backend:
    """A backend by name; an unknown one, and one that this machine or device lacks, is refused.

    Raises:
        BadInput: no such backend, or not on this device.
        MissingResource: OpenVINO is not installed, or the CPU has no bfloat16.
    """
    if backend not in BACKENDS:
        raise BadInput(f"backend {backend!r}: expected one of {', '.join(BACKENDS)}")
    checked = cast(Backend, backend)
    if checked == "torch":
        return checked
    if device not in ("cpu", "auto"):
        raise BadInput(f"backend {backend!r}: it computes on the CPU, found device {device!r}; take 'torch'")
    from sian.synthesis.openvino_brush import capabilities

    can = capabilities()
    if checked == "openvino-bf16" and "BF16" not in can:
        raise MissingResource("backend 'openvino-bf16': this CPU has no bfloat16; take 'openvino', which is fp32")
    return checked


class Brushes:
    """The brushes of one model.

    Args:
        backend: see `sian.load`.
    """

    def __init__(self, backend: Backend = "torch") -> None:
        self.backend = backend
        self._made: tuple[_Weights, FoldedGenerator | OpenVinoGenerator] | None = None

    @torch.inference_mode()
    def brush(self, generator: GeneratorInterface, style: Tensor) -> Brush | None:
        """What paints in a style; None for the generator itself, where it cannot be folded.

        Args:
            generator: in eval mode.
            style: (1, D).

        Raises:
            BadInput: the backend cannot paint with this generator.
        """
        if not FoldedGenerator.fits(generator):
            if self.backend == "torch":
                return None
            raise BadInput(f"backend {self.backend!r}: it paints with SIAN's own network on a CPU; take 'torch'")
        weights = tuple((part.data_ptr(), part._version) for part in generator.state_dict().values())
        if self._made is None or self._made[0] != weights:
            self._made = weights, self._make(generator)
        return self._made[1].brush(style)

    def _make(self, generator: Generator) -> FoldedGenerator | OpenVinoGenerator:
        if self.backend == "torch":
            return FoldedGenerator(generator)
        from sian.synthesis.openvino_brush import OpenVinoGenerator

        return OpenVinoGenerator(generator, "bf16" if self.backend == "openvino-bf16" else "f32")

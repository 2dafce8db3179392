"""The optional backend: SIAN's generator computed by OpenVINO, on a CPU (``pip install 'sian[openvino]'``).

The graph is written here operation by operation, from the same folded weights as `sian.networks.folded`, in the two
parts of a brush. So nothing is traced or exported, and loading stays quick. The style is an input: one graph paints
all styles. OpenVINO is quickest for a fixed size, and takes about a second to prepare one, so a size that comes a
second time gets its own; all others share one graph of open size.

In fp32 the painting differs from torch's by rounding: at most one grey level. In bfloat16, on CPUs that have it, by
more; docs/results/benchmarks.md says how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from sian.errors import MissingResource
from sian.networks import FINE, LEVELS, NO_MARGINS, FoldedGenerator, Margins, within
from sian.networks.brush import COARSE_LEVEL, at_level
from sian.networks.folded import FoldedBlock, FoldedConvolution, FoldedSian
from sian.networks.generator import SLOPE, Generator, doubles
from sian.networks.layouts import CONDITIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

Precision = Literal["f32", "bf16"]
MOST_SIZES = 8  # sizes with a compiled graph of their own, each part; each holds its own copy of the weights


def capabilities() -> list[str]:
    """What OpenVINO can compute with on this CPU, e.g. "FP32" and "BF16".

    Raises:
        MissingResource: OpenVINO is not installed.
    """
    found: list[str] = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found


class OpenVinoGenerator:
    """A generator as two graphs of OpenVINO; `brush` binds it to a style.

    Args:
        generator: SIAN's, as `FoldedGenerator.fits` says.
        precision: what it multiplies in; a CPU without bfloat16 takes fp32.
    """

    def __init__(self, generator: Generator, precision: Precision = "f32") -> None:
        self.folded = FoldedGenerator(generator)
        self.coarse, self.fine = (_Graph(graph(self.folded), precision) for graph in (_coarse_graph, _fine_graph))

    def brush(self, style: Tensor) -> OpenVinoBrush:
        """The generator in one style.

        Args:
            style: (1, D).
        """
        return OpenVinoBrush(self, style)


class OpenVinoBrush:
    """OpenVINO's graphs in one style; see `sian.networks.brush.Brush`."""

    def __init__(self, generator: OpenVinoGenerator, style: Tensor) -> None:
        self.generator, self.style = generator, style

    def coarse(
        self, maps: Mapping[int, Tensor], noise: Sequence[Tensor | None], margins: Margins = NO_MARGINS
    ) -> Tensor:
        """Features after the coarse blocks without their margins."""
        return within(self._run(self.generator.coarse, (), maps, noise, 0), at_level(margins, COARSE_LEVEL))

    def fine(
        self,
        x: Tensor,
        maps: Mapping[int, Tensor],
        noise: Sequence[Tensor | None],
        margins: Margins = NO_MARGINS,
    ) -> Tensor:
        """The image without its margins, in [-1, 1]."""
        return within(self._run(self.generator.fine, (x,), maps, noise, FINE), margins)

    def _run(
        self,
        graph: _Graph,
        before: Sequence[Tensor],
        maps: Mapping[int, Tensor],
        noise: Sequence[Tensor | None],
        first: int,
    ) -> Tensor:
        levels = LEVELS[first : first + len(noise)]
        given = [*before, self.style, *(maps[level] for level in sorted(set(levels)))]
        for index, level, drawn in zip(range(first, first + len(noise)), levels, noise, strict=True):
            if index in self.generator.folded.generator.noise_blocks:
                given.append(torch.zeros(1, 1, *maps[level].shape[-2:]) if drawn is None else drawn)
        return torch.from_numpy(graph([tensor.contiguous().numpy() for tensor in given]))


class _Graph:
    """A model of open size, and a compiled one for each size that came more than once."""

    def __init__(self, model: Any, precision: Precision) -> None:
        self.model, self.core = model, _core()
        self.options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self.seen: dict[tuple[tuple[int, ...], ...], Any] = {}  # None after the first time
        self.open: Any = None

    def __call__(self, given: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        shapes = tuple(array.shape for array in given)
        compiled = self.seen.get(shapes)
        own = sum(graph is not None for graph in self.seen.values())
        if compiled is None and shapes in self.seen and own < MOST_SIZES:
            fixed = self.model.clone()
            fixed.reshape(dict(enumerate(shapes)))
            compiled = self.seen[shapes] = self.core.compile_model(fixed, "CPU", self.options)
        if compiled is None:
            self.seen.setdefault(shapes, None)
            if self.open is None:
                self.open = self.core.compile_model(self.model, "CPU", self.options)
            compiled = self.open
        result: NDArray[np.float32] = compiled(given)[0]
        return result.copy()  # the library writes the next result into the same memory


def _library() -> Any:
    try:
        import openvino
    except ImportError:
        raise MissingResource(
            "the backend 'openvino' needs a package that is not installed; pip install 'sian[openvino]'"
        ) from None
    return openvino


@cache
def _core() -> Any:
    """OpenVINO's entry; one for the process, which is never given back.

    Its CPU plugin (seen in 2026.4.1) gives the thread an alternate stack for signals and unmaps it when the entry
    goes. When two entries go in the order in which they came, the thread is left with the stack of the first: the next
    signal that Python handles, such as Ctrl-C, ends the process with a segmentation fault.
    """
    return _library().Core()


def _coarse_graph(folded: FoldedGenerator) -> Any:
    draw = _Draw(folded, 0, FINE)
    generator = folded.generator
    seen = CONDITIONS[generator.condition]
    beside = tuple(range(generator.layout_channels - generator.beside, generator.layout_channels))
    coarsest = draw.channels(draw.maps[LEVELS[0]], (*seen, *beside))
    start = draw.convolution(coarsest, FoldedConvolution.of(generator.start))
    x = draw.ops.add(start, draw.linear(generator.start_style))
    return draw.model(draw.blocks(x), [])


def _fine_graph(folded: FoldedGenerator) -> Any:
    draw = _Draw(folded, FINE, len(LEVELS))
    features = draw.input([1, folded.blocks[FINE].inputs, -1, -1])
    x = draw.leaky(draw.blocks(features))
    return draw.model(draw.ops.tanh(draw.convolution(x, folded.to_rgb)), [features])


class _Draw:
    """Writes the graph of some blocks; its inputs are the style, the maps by level, and the noise of its blocks."""

    def __init__(self, folded: FoldedGenerator, first: int, end: int) -> None:
        from openvino import opset13

        self.ops, self.folded, self.first, self.end = opset13, folded, first, end
        generator = folded.generator
        channels = generator.layout_channels
        self.style = self.input([1, generator.style_dim])
        levels = sorted({LEVELS[index] for index in range(first, end)})
        self.maps = {level: self.input([1, channels, -1, -1]) for level in levels}
        self.noise = {
            index: self.input([1, 1, -1, -1]) for index in range(first, end) if index in generator.noise_blocks
        }

    def input(self, shape: list[int]) -> Any:
        return self.ops.parameter(shape, np.float32)

    def model(self, result: Any, before: list[Any]) -> Any:
        inputs = [*before, self.style, *self.maps.values(), *self.noise.values()]
        return _library().Model([self.ops.result(result)], inputs, "painter")

    def blocks(self, x: Any) -> Any:
        for index in range(self.first, self.end):
            if doubles(index):
                nearest = self.folded.generator.upsampling == "nearest"
                x = self.ops.interpolate(
                    x,
                    mode="nearest" if nearest else "linear_onnx",
                    shape_calculation_mode="scales",
                    scales_or_sizes=self.constant(np.array([2.0, 2.0], np.float32)),
                    axes=self.constant(np.array([2, 3])),
                    coordinate_transformation_mode="asymmetric" if nearest else "half_pixel",
                    nearest_mode="floor",
                )
            x = self.block(self.folded.blocks[index], x, self.maps[LEVELS[index]], self.noise.get(index))
        return x

    def block(self, block: FoldedBlock, x: Any, maps: Any, noise: Any) -> Any:
        skip = x
        if block.conv_skip is not None:
            skip = self.convolution(
                x if block.sian_skip is None else self.sian(block.sian_skip, x, maps), block.conv_skip
            )
        y = self.convolution(self.sian(block.sian_0, x, maps), block.conv_0)
        if block.noise_strength is not None and noise is not None:
            y = self.ops.add(y, self.ops.multiply(noise, self.weight(block.noise_strength)))
        return self.ops.add(self.convolution(self.sian(block.sian_1, y, maps), block.conv_1), skip)

    def sian(self, block: FoldedSian, x: Any, maps: Any) -> Any:
        count = self.folded.generator.layout_channels
        semantic = self.channels(maps, (0, *range(count - block.beside, count)))
        a = self.ops.relu(self.convolution(semantic, block.semantics))
        if block.style is not None:
            a = self.ops.multiply(a, self.linear(block.style))
        if block.instances is not None:
            a = self.ops.multiply(a, self.convolution(maps, block.instances))
        if block.compensation is not None:
            a = self.ops.relu(self.convolution(a, block.compensation))
        times, plus = self.convolution(a, block.gamma), self.convolution(a, block.beta)
        return self.leaky(self.ops.add(self.ops.multiply(x, times), plus))

    def convolution(self, x: Any, layer: FoldedConvolution) -> Any:
        side = layer.weight.shape[-1] // 2
        if layer.reflect and side:
            sides = self.constant(np.array([0, 0, side, side]))
            x, side = self.ops.pad(x, sides, sides, "reflect"), 0
        geometry = {"strides": [1, 1], "pads_begin": [side, side], "pads_end": [side, side], "dilations": [1, 1]}
        if layer.groups == 1:
            y = self.ops.convolution(x, self.weight(layer.weight), **geometry)
        else:
            weight = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:])
            y = self.ops.group_convolution(x, self.weight(weight), **geometry)
        return y if layer.bias is None else self.ops.add(y, self.weight(layer.bias[None, :, None, None]))

    def linear(self, layer: torch.nn.Linear) -> Any:
        """A linear map of the style, (1, features, 1, 1)."""
        product = self.ops.matmul(self.style, self.weight(layer.weight), False, True)
        mapped = self.ops.add(product, self.weight(layer.bias[None]))
        return self.ops.reshape(mapped, self.constant(np.array([1, -1, 1, 1])), False)

    def channels(self, maps: Any, wanted: tuple[int, ...]) -> Any:
        return self.ops.gather(maps, self.constant(np.array(wanted)), self.constant(np.array(1)))

    def leaky(self, x: Any) -> Any:
        return self.ops.prelu(x, self.constant(np.array([SLOPE], np.float32)))

    def weight(self, tensor: Tensor) -> Any:
        return self.constant(tensor.detach().contiguous().numpy())

    def constant(self, values: NDArray[Any]) -> Any:
        return self.ops.constant(np.ascontiguousarray(values))

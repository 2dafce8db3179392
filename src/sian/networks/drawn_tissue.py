"""What lies between the nuclei where no map says it: drawn from the seed, as a style's training tiles have it.

Values are smooth random fields, each given the distribution that the tiles of a style have: how much is empty,
how dense the rest is, how well fibres agree. They are functions of seed, style and absolute position alone, so that
parts of an image agree, whoever paints them. Not in the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sian import seeds
from sian.errors import BadInput
from sian.layout.tissue_map import CELL, FULL, tissue_layers
from sian.networks.noise import noise_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Floats = NDArray[np.float64]
    Part = tuple[int, int, int, int]

SHARES = np.linspace(0, 1, 33)  # of the cells of a style's tiles, whose quantiles are kept
FINE, COARSE = 0.85, 3.0  # cells, deviations of two Gaussians: together they fade as real maps do
OF_FINE = 0.8  # of a field's variance; real maps correlate by 0.7 from cell to cell, 0.3 over two, 0.1 over four
FIELDS = 5  # empty, density, how well fibres agree, and two for their direction
LEVEL = 6  # of the noise; networks take 0 to 5


def tissue_law(layers: Sequence[NDArray[np.int8]]) -> NDArray[np.float32]:
    """How often tiles have which values.

    Args:
        layers: (H, W, 5) int8 of each tile, see `sian.layout.tissue_map.tissue_layers`.

    Returns:
        (3, 33) float32: quantiles of how much is empty, of density, and of how well fibres agree.
    """
    cells = np.concatenate([one[CELL // 2 :: CELL, CELL // 2 :: CELL].reshape(-1, one.shape[2]) for one in layers])
    values = cells[cells[:, 0] > 0, 1:].astype(np.float64) / FULL
    if not len(values):
        values = np.zeros((1, 4))
    kinds = (values[:, 0], values[:, 1], np.hypot(values[:, 2], values[:, 3]))
    return np.stack([np.quantile(kind, SHARES) for kind in kinds]).astype(np.float32)


def drawn_layers(law: NDArray[np.float32], seed: int, part: Part) -> NDArray[np.int8]:
    """The layers of a part of an image by one law; arguments and result as of `DrawnTissue`."""
    top, left, height, width = part
    first = (top // CELL - 1, left // CELL - 1)  # a cell more on all sides: values lie in their middles
    count = ((top + height - 1) // CELL + 2 - first[0], (left + width - 1) // CELL + 2 - first[1])
    values = _cells(law, seeds.derive(seed, "tissue"), first, count)
    inside = (top - first[0] * CELL, left - first[1] * CELL, height, width)
    return tissue_layers(values, (count[0] * CELL, count[1] * CELL), inside)


class DrawnTissue:
    """Draws tissue for a style; what `GeneratorInterface.between` is.

    Args:
        laws: (3, 33) of each style in the bank, see `tissue_law`.
        vectors: (D,) of each, by the same names.

    Raises:
        BadInput: laws that are none, or of styles that are not there.
    """

    def __init__(self, laws: Mapping[str, NDArray[np.float32]], vectors: Mapping[str, NDArray[np.float32]]) -> None:
        for name, law in laws.items():
            sound = law.shape == (3, len(SHARES)) and bool(np.isfinite(law).all()) and bool((np.diff(law) >= 0).all())
            if name not in vectors or not sound or np.abs(law).max() > 1.001 or law[[0, 2]].min() < 0:
                raise BadInput(f"tissue of style {name!r}: expected rising quantiles from -1 to 1; export it again")
        self._names = names = sorted(laws)
        self._laws = np.stack([laws[name] for name in names])  # (n, 3, 33)
        self._vectors = np.stack([vectors[name] for name in names])  # (n, D)

    def __call__(self, style: Tensor, seed: int, part: Part) -> NDArray[np.int8]:
        """The layers of a part of an image.

        Args:
            style: (1, D); the nearest style of the bank says how often what is drawn, and draws its own: other styles
                have their gaps elsewhere.
            seed: of the image.
            part: absolute top and left, height and width, px.

        Returns:
            (height, width, 5) int8, as `sian.layout.tissue_map.tissue_layers` returns them.
        """
        vector = style[0].detach().float().cpu().numpy()
        nearest = int(((self._vectors - vector) ** 2).sum(1).argmin())
        return drawn_layers(self._laws[nearest], seeds.derive(seed, self._names[nearest]), part)


class TileTissue:
    """Draws tissue for windows of tiles, each as its style's tiles have it; for training.

    Args:
        layers: (H, W, 5) int8 of each tile.
        names: of each tile's style.
    """

    def __init__(self, layers: Sequence[NDArray[np.int8]], names: Sequence[str]) -> None:
        alike = {name: [own for own, other in zip(layers, names, strict=True) if other == name] for name in set(names)}
        laws = {name: tissue_law(several) for name, several in alike.items()}
        self._laws = [laws[name] for name in names]

    def __call__(self, tile: int, seed: int, size: int) -> NDArray[np.int8]:
        """(size, size, 5) int8 for a window of that tile."""
        return drawn_layers(self._laws[tile], seed, (0, 0, size, size))


def _cells(law: NDArray[np.float32], seed: int, first: tuple[int, int], count: tuple[int, int]) -> NDArray[np.float32]:
    """(rows, columns, 4): values of so many cells from the first one on."""
    from scipy.special import ndtr

    fields = [_field(seed + number, first, count) for number in range(FIELDS)]
    empty, density, length = (np.interp(ndtr(field), SHARES, kind) for field, kind in zip(fields[:3], law, strict=True))
    across, down = fields[3:]
    size = np.maximum(np.hypot(across, down), 1e-6)
    return np.stack([empty, density, length * across / size, length * down / size], 2).astype(np.float32)


def _field(seed: int, first: tuple[int, int], count: tuple[int, int]) -> Floats:
    """A standard-normal field that is smooth over a few cells."""
    fine, coarse = (
        _smooth(seed, LEVEL + number, deviation, first, count) for number, deviation in enumerate((FINE, COARSE))
    )
    field: Floats = np.sqrt(OF_FINE) * fine + np.sqrt(1 - OF_FINE) * coarse
    return field


def _smooth(seed: int, level: int, deviation: float, first: tuple[int, int], count: tuple[int, int]) -> Floats:
    """Noise after a Gaussian, of variance 1 again."""
    reach = int(np.ceil(3 * deviation))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-(steps**2) / (2 * deviation**2))
    kernel /= np.sqrt((kernel**2).sum())
    y, x = (start - reach for start in first)
    field = noise_at(seed, level, y, x, count[0] + 2 * reach, count[1] + 2 * reach)[0, 0].double().numpy()
    for axis in (0, 1):
        field = np.apply_along_axis(np.convolve, axis, field, kernel, "valid")
    smooth: Floats = field
    return smooth

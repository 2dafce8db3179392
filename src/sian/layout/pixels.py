"""The pixels of all nuclei as one list, grouped so that what concerns one nucleus is a run of the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class NuclearPixels:
    """N pixels of n nuclei; nucleus i owns the pixels ``start[i] : start[i] + count[i]``, in row-major order.

    Attributes:
        y: (N,) int64 row of each pixel.
        x: (N,) int64 column of each pixel.
        start: (n,) int64 first pixel of each nucleus.
        count: (n,) int64 pixels of each nucleus, all above 0.
    """

    y: NDArray[np.int64]
    x: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]

    def spread(self, per_nucleus: NDArray[Any]) -> NDArray[Any]:
        """Give each pixel its nucleus' value: (n,) -> (N,)."""
        return np.repeat(per_nucleus, self.count)

    def reduce(self, ufunc: np.ufunc, per_pixel: NDArray[Any]) -> NDArray[Any]:
        """Combine the values of each nucleus' pixels: (N,) -> (n,)."""
        if not len(self.start):
            return per_pixel[:0]
        combined: NDArray[Any] = ufunc.reduceat(per_pixel, self.start)
        return combined

    def select(self, nuclei: NDArray[np.int64]) -> tuple[NuclearPixels, NDArray[np.int64]]:
        """The pixels of some nuclei, in the order given, and where each of them stands in this list."""
        count = self.count[nuclei]
        start = np.cumsum(count) - count
        where = np.arange(count.sum()) + np.repeat(self.start[nuclei] - start, count)
        return NuclearPixels(self.y[where], self.x[where], start, count), where


def group(mask: NDArray[Any]) -> NuclearPixels:
    """List the nuclear pixels of an instance mask nucleus by nucleus.

    Args:
        mask: (H, W), any integer dtype; 0 is background, ids need not be contiguous.
    """
    flat = mask.ravel()
    where = np.flatnonzero(flat)
    ids = flat[where]
    if len(ids) and ids.max() <= np.iinfo(np.uint16).max:
        ids = ids.astype(np.uint16)  # NumPy sorts 16-bit numbers by radix, ten times faster
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    start = np.flatnonzero(np.diff(ids, prepend=ids[:1]) != 0)
    start = np.concatenate([[0], start]) if len(ids) else start
    y, x = np.divmod(where[order], mask.shape[1])
    return NuclearPixels(y, x, start, np.diff(start, append=len(ids)))

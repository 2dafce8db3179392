"""The array types that the metrics speak of."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[Any]  # (H, W) integers, 0 background
Image: TypeAlias = NDArray[np.uint8]  # (H, W, 3)
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Features: TypeAlias = NDArray[Any]  # (n, d) float32 or float64

"""Random numbers that depend on (run seed, purpose, index) and on nothing else.

No part of SIAN reads a global random state: each use derives its own generator here, so the number of workers, the
order of work and what ran before change nothing (docs/design.md, "Repeatable").
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, purpose: str, *index: int) -> int:
    """A 63-bit seed for one use, e.g. ``derive(run_seed, "window", 17)``.

    Args:
        seed: the run's seed.
        purpose: what the numbers are for; two purposes never share a stream.
        index: where in the stream, e.g. the sample's number.

    >>> derive(0, "window", 1) == derive(0, "window", 1) != derive(0, "noise", 1)
    True
    """
    text = "/".join([str(int(seed)), purpose, *(str(int(i)) for i in index)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A NumPy generator for one use."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *index)))


def torch_generator(seed: int, purpose: str, *index: int) -> torch.Generator:
    """A CPU torch generator for one use."""
    import torch

    return torch.Generator().manual_seed(derive(seed, purpose, *index))

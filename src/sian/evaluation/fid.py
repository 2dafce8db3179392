"""Frechet distance between two sets of features (Heusel et al. 2017), exact for fewer images than features.

    FID = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

With A and B the centred features divided by sqrt(n - 1), S1 = A'A and S2 = B'B, and the eigenvalues of S1 S2
are the squared singular values of A B': so tr (S1 S2)^(1/2) is the sum of the singular values of A B', an
n1 x n2 matrix. Nothing is inverted, no root of an indefinite matrix is taken, an imaginary part cannot arise,
and nothing is added to the diagonal. With more images than features, A is first replaced by the R of its QR
decomposition, which has the same A'A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput
from sian.evaluation.features import as_features
from sian.evaluation.two_sides import TwoSides

if TYPE_CHECKING:
    from sian.evaluation.arrays import Floats
    from sian.evaluation.features import Featurable, InceptionFeatures

ENOUGH_FOR_FID = 2048  # below the number of features the covariance is rank-deficient and FID strongly biased upwards


def fid(real: Featurable, fake: Featurable, extractor: InceptionFeatures | None = None) -> float:
    """Frechet distance between two sets of images or of their features.

    Args:
        real: (n, d) floating features, or an iterable of (H, W, 3) uint8 images.
        fake: the same; n may differ, d may not.
        extractor: makes features of images; by default the FID Inception, looked up among the weights.

    Returns:
        The distance, at least 0. It falls with n: compare only numbers of equal n, and see `ENOUGH_FOR_FID`.

    Raises:
        BadInput: fewer than 2 rows, features that are not finite, or of different length.
        MissingResource: images were given and the Inception weights are not on this machine.

    >>> features = np.arange(12.0).reshape(4, 3)
    >>> fid(features, features)
    0.0
    """
    x, y = as_features(real, "real", extractor), as_features(fake, "fake", extractor)
    if x.shape[1] != y.shape[1]:
        raise BadInput(
            f"fake features: found {y.shape[1]} numbers an image, expected {x.shape[1]} "
            "as the real ones have; make both with one extractor"
        )
    shift = x.mean(axis=0) - y.mean(axis=0)
    a, b = _root_of_covariance(x), _root_of_covariance(y)
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    distance = shift @ shift + np.square(a).sum() + np.square(b).sum() - 2 * shared
    scale = np.square(a).sum() + np.square(b).sum()
    return 0.0 if distance < np.finfo(float).eps * 100 * scale else float(distance)


def _root_of_covariance(features: Floats) -> Floats:
    """A matrix A with A'A the (n - 1) covariance, of at most d rows."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    if len(centred) <= centred.shape[1]:
        return np.asarray(centred, np.float64)
    upper: Any = np.linalg.qr(centred, mode="r")
    return np.asarray(upper, np.float64)


class FidMetric(TwoSides):
    """Frechet distance accumulated over batches of features or images.

    >>> half = np.arange(12.0).reshape(4, 3)
    >>> FidMetric().update(half, real=True).update(half + 2, real=False).compute()
    12.0
    """

    def compute(self) -> float:
        """The distance between everything added so far."""
        return fid(*self.both())

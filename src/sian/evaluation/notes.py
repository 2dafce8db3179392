"""What a result says beside its numbers: what did not pair, what to be careful about, which versions made it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from sian.evaluation.fid import ENOUGH_FOR_FID
from sian.files.code_and_machine import commit

if TYPE_CHECKING:
    from sian.evaluation.collection import Collection
    from sian.evaluation.measured import Measured

HARDLY_ANY = 50  # images below which a FID is mostly noise and bias


def unpaired(fake: Collection, real: Collection, masks: Collection | None) -> list[dict[str, str]]:
    """Names that are on one side only; masks matter only where there is a fake to check."""
    missing = [{"name": n, "in": "fake", "not_in": "real"} for n in fake.names if n not in real]
    missing += [{"name": n, "in": "real", "not_in": "fake"} for n in real.names if n not in fake]
    if masks is not None:
        missing += [{"name": n, "in": "fake", "not_in": "masks"} for n in fake.names if n not in masks]
        missing += [{"name": n, "in": "masks", "not_in": "fake"} for n in masks.names if n not in fake]
    return missing


def warnings(
    fake: Collection, real: Collection, masks: Collection | None, row: Measured, *, features: bool
) -> list[str]:
    """Sentences that a reader of the numbers needs.

    Args:
        fake: what was judged.
        real: what it was compared with.
        masks: the fakes' masks, if any.
        row: what was measured.
        features: whether FID and KID were measured.
    """
    sentences = [*_about_n(fake, real, row), *_about_files(fake, real)] if features else []
    if not row.ssim:
        sentences.append("no fake has the name of a real image, so there is no SSIM")
    if masks is not None and not row.agreements:
        sentences.append("no fake has both a mask and a segmentation of its name: there are no mask metrics")
    return sentences


def _about_n(fake: Collection, real: Collection, row: Measured) -> list[str]:
    sentences = []
    n = min(len(fake), len(real))
    if n < HARDLY_ANY:
        sentences.append(
            f"n = {n} is too small for FID to mean much: below {HARDLY_ANY} images its bias is larger than most "
            "differences between methods; read KID with its error bar"
        )
    elif n < ENOUGH_FOR_FID:
        sentences.append(
            f"n = {n} is below the {ENOUGH_FOR_FID} features of FID, which is biased upwards then: compare it "
            "only with numbers of equal n; a floor's own n stands beside it"
        )
    if len(fake) != len(real):
        sentences.append(f"{len(fake)} fakes are compared with {len(real)} real images; FID depends on both numbers")
    organs = [organ for organ in row.organs if organ]
    small = [organ for organ in sorted(set(organs)) if organs.count(organ) < HARDLY_ANY]
    if small:
        sentences.append(f"per-organ FID of {', '.join(small)} stands on fewer than {HARDLY_ANY} images each")
    return sentences


def _about_files(fake: Collection, real: Collection) -> list[str]:
    """Compression that differs: FID between the same pictures as PNG and as JPEG can exceed that between organs."""
    if not fake.compression or not real.compression or fake.compression == real.compression:
        return []
    return [
        f"the fakes are stored {fake.compression} and the real images {real.compression}: FID and KID see the "
        "difference, and the same pictures would not get 0; store both alike, from the same kind of original"
    ]


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"commit": commit(), "python": platform.python_version()}
    for package in ("sian", "numpy", "torch", "scikit-image", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found

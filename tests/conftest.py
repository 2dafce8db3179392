"""What all tests share: the folder of real tiles and weights, when there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SIAN_SHARED") or Path(__file__).resolve().parents[2] / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ../shared, or $SIAN_SHARED.

    Without it the test is skipped; with SIAN_REQUIRE_SHARED=1 it fails.
    """
    if not SHARED.is_dir():
        message = f"{SHARED} is missing"
        if os.environ.get("SIAN_REQUIRE_SHARED", "0") not in ("", "0"):
            pytest.fail(message)
        pytest.skip(message)
    return SHARED

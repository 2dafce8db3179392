"""What all tests share: the folder of real tiles and weights, when there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ../shared. Without it the test is skipped, or fails when SIAN_REQUIRE_SHARED is set."""
    if not SHARED.is_dir():
        message = f"{SHARED} is missing"
        if os.environ.get("SIAN_REQUIRE_SHARED"):
            pytest.fail(message)
        pytest.skip(message)
    return SHARED

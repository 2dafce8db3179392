"""The toy model as a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.synthesis.toys import write_toy


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("model") / "toy.safetensors")

"""The toy model, as a file and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from sian.synthesis import Model, load

from . import toys


@pytest.fixture(scope="session")
def toy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="session")
def model(toy_file: Path) -> Model:
    return load(toy_file)

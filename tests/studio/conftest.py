"""A studio with a toy model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.synthesis.toys import write_toy

from sian.studio_app.studio import Studio
from sian.synthesis import Model, load


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture
def model(toy_path: Path) -> Model:
    return load(toy_path)


@pytest.fixture
def studio(model: Model, toy_path: Path, tmp_path: Path) -> Iterator[Studio]:
    """Not started: what needs paintings starts it."""
    made = Studio(model, tmp_path, model_path=toy_path)
    yield made
    made.close()

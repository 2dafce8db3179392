"""The toy model as a file, and a finished data set by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.production.toys import write_plan
from tests.synthesis.toys import write_toy

from sian.production import run


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("model") / "toy.safetensors")


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    return write_plan(tmp_path_factory.mktemp("plan"), model)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, plan: Path) -> Path:
    """Made in this process, without a stop; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "set"
    run(plan, folder, workers=0)
    return folder

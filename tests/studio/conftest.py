"""A studio with a toy model, a toy that knows classes and tissue maps, and one browser for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.synthesis.toys import ENCODER, GENERATOR, lively, write_toy

from sian.networks import build_painter
from sian.studio_app.studio import Studio
from sian.synthesis import Model, load

NAMES = ["dead", "epithelial", "stromal"]


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy") / "toy.safetensors")


@pytest.fixture(scope="session")
def knowing_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy that knows classes and tissue maps."""
    generator = {**GENERATOR, "tissue": True}
    painter = lively(build_painter(generator, ENCODER, seed=0, spectral=False, classes=len(NAMES)))
    recipe = {"generator": generator, "encoder": {**ENCODER}}
    path = tmp_path_factory.mktemp("knowing") / "knowing.safetensors"
    return write_toy(path, weights=painter.state_dict(), classes=NAMES, recipe=recipe)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Playwright starts once in a process."""
    playwright = pytest.importorskip("playwright.sync_api")
    from tests.studio.test_browser import CHROMIUM, FLAGS

    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def model(toy_path: Path) -> Model:
    return load(toy_path)


@pytest.fixture
def studio(model: Model, toy_path: Path, tmp_path: Path) -> Iterator[Studio]:
    """Not started: what needs paintings starts it."""
    made = Studio(model, tmp_path, model_path=toy_path)
    yield made
    made.close()

"""The toy data set, and the same in every format."""

import pytest

from sian.data import export_dataset
from sian.data.formats import FORMATS

from .toys import make_dataset


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("formats") / "set")


@pytest.fixture(scope="module")
def exports(toy):
    """The toy data set in every format."""
    for name in FORMATS:
        export_dataset(toy, toy.folder.parent / name, name)
    return toy.folder.parent

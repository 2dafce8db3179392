"""The layers (docs/design.md), read from the source: an arrow only ever points left."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "sian"

LAYERS = [
    "errors",
    "interrupts",
    "memory",
    "seeds",
    "windows",
    "files",
    "masks",
    "layout",
    "data",
    "slides",
    "networks",
    "training",
    "synthesis",
    "segmentation",
    "evaluation",
    "nuclei",
    "torchdata",
    "production",
    "adaptation",
    "reproduce",
    "studio_app",
    "cli",
]
DOORS = {"__init__", "__main__"}  # the package's own two files, which stand outside of the layers

# Longer than 400 lines, and why that is right.
LONG_FILES: dict[str, str] = {}


class Import(NamedTuple):
    path: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{self.line} imports {self.module}"


MODULES = sorted(PACKAGE.rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> list[Import]:
    """Every import in a file, also those inside functions and under TYPE_CHECKING."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [Import(path, node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            found.append(Import(path, node.lineno, node.module or ""))
            if node.module == "sian":
                found += [Import(path, node.lineno, f"sian.{alias.name}") for alias in node.names]
    return found


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


IMPORTS = [found for path in MODULES for found in imports_of(path)]


def below(layer: str) -> list[Import]:
    return [found for found in IMPORTS if layer_of(found.path) != layer]


def test_every_module_belongs_to_a_layer():
    assert {layer_of(path) for path in MODULES} - DOORS <= set(LAYERS)


def test_arrows_only_point_left():
    wrong = []
    for found in IMPORTS:
        layer, parts = layer_of(found.path), found.module.split(".")
        if layer in DOORS or parts[0] != "sian" or len(parts) < 2 or parts[1] not in LAYERS:
            continue
        if LAYERS.index(parts[1]) > LAYERS.index(layer):
            wrong.append(str(found))
    assert not wrong


def test_nothing_below_the_command_line_goes_through_the_package_doors():
    layered = [found for found in below("cli") if layer_of(found.path) not in DOORS]
    ours = [found for found in layered if found.module.startswith("sian.")]
    assert not [str(found) for found in ours if found.module.split(".")[1] not in LAYERS]


def test_only_training_knows_fabric_and_only_production_knows_ray():
    owners = {"lightning_fabric": "training", "lightning": "training", "ray": "production"}
    wrong = [
        str(found)
        for found in IMPORTS
        if layer_of(found.path) != owners.get(found.module.split(".")[0], layer_of(found.path))
    ]
    assert not wrong


def test_only_the_command_line_prints():
    speakers = {"rich", "typer", "click", "tqdm"}
    wrong = [str(found) for found in below("cli") if found.module.split(".")[0] in speakers]
    quiet = [path for path in MODULES if layer_of(path) != "cli"]
    calls = ((path, node) for path in quiet for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
    wrong += [f"{path}:{call.lineno} prints" for path, call in calls if ast.unparse(call.func) == "print"]
    assert not wrong


def test_networks_know_no_files():
    files = {
        "pathlib",
        "os",
        "io",
        "json",
        "safetensors",
        "PIL",
        "tifffile",
        "yaml",
        "sian.files",
        "sian.data",
    }
    wrong = [
        str(found)
        for found in IMPORTS
        if layer_of(found.path) == "networks"
        and (found.module.split(".")[0] in files or ".".join(found.module.split(".")[:2]) in files)
    ]
    assert not wrong


def test_no_file_name_has_two_meanings():
    names = Counter(path.name for path in MODULES if path.name != "__init__.py")
    assert not [name for name, count in names.items() if count > 1]


def test_no_file_needs_itself_in_a_circle():
    names = {".".join(("sian", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in MODULES}
    needs: dict[str, set[str]] = {name: set() for name in names}
    for found in IMPORTS:
        name = ".".join(("sian", *found.path.relative_to(PACKAGE).with_suffix("").parts))
        needs[name] |= {found.module} & names.keys()
    TopologicalSorter(needs).prepare()  # graphlib.CycleError names the files


def test_pickle_is_nowhere():
    wrong = [str(found) for found in IMPORTS if found.module.split(".")[0] in {"pickle", "dill", "joblib", "shelve"}]
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_are_short_enough_to_read(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400 or path.relative_to(PACKAGE).as_posix() in LONG_FILES


def test_every_file_says_what_it_is_for():
    bare = [path for path in MODULES if not ast.get_docstring(tree_of(path))]
    assert not bare


HEAVY = ["torch", "scipy", "skimage", "lightning_fabric", "PIL", "pydantic", "tensorboardX", "rich"]


@pytest.mark.parametrize(
    "statement",
    ["import sian", "import sian.cli.main", "from sian.cli.main import main; main(['--help'])"],
)
def test_starting_loads_nothing_heavy(statement):
    code = f"import sys; {statement}; print('loaded:', *(name for name in {HEAVY} if name in sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "loaded:"


def test_every_door_opens():
    import sian

    for name in {*sian.__all__, *sian._DOORS, *sian._MODULES}:
        assert getattr(sian, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'paint_it_black'"):
        sian.paint_it_black  # noqa: B018


def test_completion_offers_the_public_names_alone():
    import sian

    assert dir(sian) == sorted(sian.__all__)


def test_type_checkers_see_every_door():
    source = tree_of(PACKAGE / "__init__.py")
    guards = [node for node in ast.walk(source) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    seen = {
        alias.asname or alias.name
        for guard in guards
        for node in ast.walk(guard)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    import sian

    assert {*sian._DOORS, *sian._MODULES} <= seen
    assert {*sian._DOORS, *sian._MODULES} <= set(sian.__all__)


def test_no_door_hides_a_package() -> None:
    """`sian.NAME` must mean one thing, whatever was imported before."""
    import sian

    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir()} | {path.stem for path in PACKAGE.glob("*.py")}
    assert not packages & sian._DOORS.keys()

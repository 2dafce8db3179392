"""pyproject.toml, constraints.txt and the Makefile agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    *PROJECT["dependencies"],
    *(text for texts in PROJECT["optional-dependencies"].values() for text in texts),
]


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_every_dependency_is_pinned_within_its_bounds(text):
    requirement = Requirement(text)
    pin = pins()[canonicalize_name(requirement.name)]
    (version,) = (specifier.version for specifier in pin.specifier)
    assert requirement.specifier.contains(version)


def test_pins_are_exact_and_have_no_local_build():
    for pin in pins().values():
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert "+" not in specifier.version


def test_torchvision_is_nowhere():
    assert "torchvision" not in pins()
    assert not [text for text in REQUIREMENTS if "torchvision" in text]


def test_every_target_is_explained_by_help():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    for target in set(targets) - {"help"}:
        assert f'@echo "make {target} ' in makefile


def test_code_and_weights_have_their_licences():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0 AND CC-BY-NC-SA-4.0"
    assert PROJECT["license-files"] == ["LICENSE", "LICENSE-WEIGHTS"]
    weights = (ROOT / "LICENSE-WEIGHTS").read_text(encoding="utf-8")
    shipped = sorted(path.name for path in (ROOT / "src" / "sian" / "assets").glob("*.safetensors"))
    assert all(name in weights for name in shipped)


def test_the_citation_can_be_read():
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["preferred-citation"]["authors"][0]["family-names"] == "Wang"


def test_every_extra_that_is_named_can_be_installed():
    named = {}
    for folder in ("src", "docs", "README.md", "CHANGELOG.md"):
        start = ROOT / folder
        for path in [start] if start.is_file() else [*start.rglob("*.py"), *start.rglob("*.md"), *start.rglob("*.js")]:
            for extras in re.findall(r"sian\[([a-z, -]+)\]", path.read_text(encoding="utf-8")):
                named |= dict.fromkeys(re.split(r", ?", extras), path)
    assert named
    assert set(named) <= set(PROJECT["optional-dependencies"])


def test_classifiers_are_pypi_s():
    from trove_classifiers import classifiers

    assert set(PROJECT["classifiers"]) <= classifiers


def test_what_the_source_archive_should_hold_is_there():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    listed = tool["hatch"]["build"]["targets"]["sdist"]["include"]
    assert not [name for name in listed if not (ROOT / name).exists()]
    lacking = {path.name for path in ROOT.glob("*.md")} - set(listed)
    assert not lacking


def test_issue_forms_can_be_read():
    import yaml

    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    if not folder.is_dir():
        pytest.skip("a source archive has none")
    for path in set(folder.glob("*.yml")) - {folder / "config.yml"}:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        ids = [part["id"] for part in form["body"]]
        assert len(set(ids)) == len(ids)
        assert all(part["attributes"]["label"] for part in form["body"])


def test_the_readme_of_a_package_index_finds_its_pictures_and_pages():
    import runpy

    from markdown_it import MarkdownIt

    made = runpy.run_path(str(ROOT / "hatch_build.py"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    built = made["with_absolute_links"](text, "https://example.org/sian/%s/v1")

    def targets(markdown):
        parsed = [token for block in MarkdownIt().enable("table").parse(markdown) for token in block.children or ()]
        pictures = [token.attrs["src"] for token in parsed if token.type == "image"]
        return pictures, [token.attrs["href"] for token in parsed if token.type == "link_open"]

    (pictures, links), (pictures_before, links_before) = targets(built), targets(text)
    assert pictures == [f"https://example.org/sian/raw/v1/{path}" for path in pictures_before]
    assert links == [path if "://" in path else f"https://example.org/sian/blob/v1/{path}" for path in links_before]
    assert len(pictures) >= 2
    assert all((ROOT / path).is_file() for path in pictures_before)

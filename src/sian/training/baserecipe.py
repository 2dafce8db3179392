"""What all recipes and plans have in common: frozen, typed, read from YAML, unknown keys refused with the nearest name.

Knows no networks, so that who reads a plan need not wait for torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sian.errors import BadInput, first_line, nearest, shown
from sian.files.regular import read_regular
from sian.files.yamlfiles import MOST_BYTES, bad_yaml, parse_yaml, shown_text

MOST_PROBLEMS = 20  # that are spelt out


class Section(BaseModel):
    """A part of a recipe: immutable, no unknown keys, no nan and no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Section)


class BaseRecipe(Section):
    """What all recipes have in common: reading, changes, writing; `folder` holds the bundled ones."""

    folder: ClassVar[str] = "recipes"
    kind: ClassVar[str] = "recipe"  # what errors call it

    name: str
    description: str = ""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)

    @classmethod
    def load(cls, source: str | Path, changes: Mapping[str, str] | None = None) -> Self:
        """A recipe by bundled name or by path, with single values changed.

        Args:
            source: e.g. "monuseg", or the path of a .yaml file.
            changes: dotted keys to YAML values, e.g. {"stages.0.images": "2000"}.

        Raises:
            BadInput: no such recipe, not YAML, an unknown key, a value out of range.
        """
        path, text = _recipe_text(source, cls.folder, cls.kind)
        try:
            values = parse_yaml(text)
        except ValueError as error:
            raise bad_yaml(path, f"a {cls.kind}", error) from None
        if not isinstance(values, dict):
            raise BadInput(f"{path}: expected a mapping of {cls.kind} keys, found {type(values).__name__}")
        for key, value in (changes or {}).items():
            _change(values, key, value, cls.kind)
        return cls.parse(values, str(path))

    @classmethod
    def parse(cls, values: Mapping[str, Any], name: str) -> Self:
        """A recipe from plain values; `name` is what errors call it."""
        return parse_as(cls, values, name)

    def dump(self) -> str:
        """The resolved recipe as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def parse_as(kind: type[Kind], values: Mapping[str, Any], name: str) -> Kind:
    """A recipe of that very kind from plain values; `name` is what errors call it.

    Raises:
        BadInput: an unknown key, a value out of range.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_explain(problem, kind) for problem in _causes(error))
        more = f"; and {error.error_count() - MOST_PROBLEMS} more" if error.error_count() > MOST_PROBLEMS else ""
        raise BadInput(f"{name}: {problems}{more}") from None


def bundled_recipes(folder: str = BaseRecipe.folder) -> list[str]:
    """Names of the recipes in a folder of the package."""
    entries = resources.files("sian").joinpath(folder).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def check_bundled(name: str, folder: str, kind: str) -> None:
    """Refuse a name that no bundled recipe has.

    Raises:
        BadInput: there is none; the nearest name is offered.
    """
    if name not in (known := bundled_recipes(folder)):
        raise BadInput(f"no {kind} is called {shown(name)}{nearest(name, known)}")


def _recipe_text(source: str | Path, folder: str, kind: str) -> tuple[str, str]:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        try:
            return str(path), read_regular(path, MOST_BYTES, f"a {kind} file").decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(f"{path}: expected a {kind} file in UTF-8, found {first_line(error)}") from None
    check_bundled(str(source), folder, kind)
    return str(source), resources.files("sian").joinpath(folder, f"{source}.yaml").read_text(encoding="utf-8")


def _change(values: dict[str, Any], dotted: str, text: str, kind: str) -> None:
    """Set one value, given as YAML; sections that the file leaves out are made, list entries are not."""
    *parents, last = dotted.split(".")
    place: Any = values
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise BadInput(f"{shown_text(f'{dotted}={text}')}: expected a value in YAML, found {error}; quote it") from None
    try:
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (AttributeError, IndexError, TypeError, ValueError):
        raise BadInput(
            f"{shown_text(f'{dotted}={text}')}: the {kind} has no place of that name; expected e.g. seed=1 or "
            "stages.0.images=2000"
        ) from None


def _section_of(section: type[BaseModel], key: str) -> type[BaseModel]:
    """The section that a key holds, alone, in a list or optionally; the same section if it holds none."""
    if key not in section.model_fields:
        return section
    annotation = section.model_fields[key].annotation
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), section)


def _causes(error: ValidationError) -> list[Any]:
    """Its problems without those that only follow: a list is called too short once its one bad item is left out."""
    problems: list[Any] = error.errors(include_url=False)[:MOST_PROBLEMS]
    places = [problem["loc"] for problem in problems]

    def follows(problem: Mapping[str, Any]) -> bool:
        place = problem["loc"]
        inner = any(len(other) > len(place) and other[: len(place)] == place for other in places)
        return problem["type"] == "too_short" and inner

    return [problem for problem in problems if not follows(problem)]


def _explain(problem: Mapping[str, Any], recipe: type[BaseModel]) -> str:
    """One problem of pydantic's as half a sentence, an unknown key with the nearest known one."""
    *parents, last = problem["loc"] or ("",)
    dotted = shown_text(".".join(map(str, problem["loc"])))
    if problem["type"] == "missing":
        return f"{dotted}: found no value, and it has no default; add it"
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):  # of a section: it names what it found
        return ": ".join(part for part in (dotted, str(problem["ctx"]["error"])) if part)
    if problem["type"] != "extra_forbidden":
        return f"{dotted}: {problem['msg'].lower()}, found {shown(problem['input'])}"
    section = recipe
    for key in parents:
        if isinstance(key, str):
            section = _section_of(section, key)
    return f"unknown key {dotted!r}{nearest(shown_text(str(last)), section.model_fields)}"

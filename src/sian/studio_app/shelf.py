"""The styles that a page offers: the model's own by name, pictures that were dropped, and mixtures of all of these."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput, nearest
from sian.synthesis.styles import Style, mixture

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sian.synthesis import Model

MARK = "@"  # what names of added styles begin with: no organ's does
MOST_ADDED = 200
MOST_PASSING = 20
LONGEST_NAME = 60
SAME = 1e-5  # between two vectors of one picture: encoding it again gives the same but for rounding


class Shelf:
    """Styles by name.

    Attributes:
        added: styles of pictures and of style files, by their name with its mark.
        notes: what there is to say about an added style, in words.
        passing: names of added styles that nobody asked for, the oldest first; they make room for the next.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.added: dict[str, Style] = {}
        self.notes: dict[str, str] = {}
        self.passing: list[str] = []

    def names(self) -> list[str]:
        """Organs, organs with their preparation where there are several, then what was added."""
        organs: dict[str, list[str]] = {}
        for part in self._model.styles.parts:
            organs.setdefault(part.split("/")[0], []).append(part)
        found = []
        for organ, parts in organs.items():
            found += [organ, *(parts if len(parts) > 1 else [])]
        return [*found, *self.added]

    def style(self, parts: Mapping[str, float]) -> Style:
        """One style, or a mixture of several; weights are scaled to sum to 1.

        Raises:
            BadInput: a name that is not on the shelf.
        """
        for name in parts:
            self._check(name)
        if len(parts) == 1:
            return self._one(next(iter(parts)))
        if not any(name.startswith(MARK) or "#" in name for name in parts):
            return mixture(parts, self._model.styles)
        total = sum(parts.values())
        vector = sum((weight / total * self._one(name).vector for name, weight in parts.items()), np.float32(0))
        return Style(np.asarray(vector, np.float32), "+".join(f"{name}={weight:g}" for name, weight in parts.items()))

    def add(self, name: str, style: Style, note: str = "", passing: bool = False, worn: Collection[str] = ()) -> str:
        """Put a style on the shelf; returns its name there, with a number where another style has that name.

        Args:
            name: e.g. of the picture that it is of.
            style: put in place of the same one.
            note: what there is to say about it, in words.
            passing: nobody asked for it; it makes room for the next of these.
            worn: names of styles that must stay.

        Raises:
            BadInput: the shelf is full.
        """
        marked = self._name_for(name, style)
        passing = passing and (marked not in self.added or marked in self.passing)
        if passing and marked not in self.added and len(self.passing) >= MOST_PASSING:
            self._make_room(worn)
        if marked not in self.added and len(self.added) >= MOST_ADDED:
            raise BadInput(
                f"{MOST_ADDED} styles were added already, and there is room for no more; save this one's file"
            )
        self.added[marked] = Style(style.vector, marked.removeprefix(MARK), style.quantile)
        self.notes[marked] = note
        self.passing = [known for known in self.passing if known != marked] + [marked] * passing
        return marked

    def ask_for(self, names: Collection[str]) -> bool:
        """Somebody chose these styles: they stay. Returns whether that is new of one of them."""
        before = len(self.passing)
        self.passing = [known for known in self.passing if known not in names]
        return len(self.passing) < before

    def said(self) -> list[dict[str, Any]]:
        """What a page is told of the shelf."""
        return [{"name": name, "note": self.notes.get(name, "")} for name in self.names()]

    def _name_for(self, name: str, style: Style) -> str:
        """A name that no other style has: what was painted in one must not change when another comes."""
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
        for number in count(1):
            end = "" if number == 1 else f"-{number}"
            marked = MARK + plain[: LONGEST_NAME - len(end)] + end
            if marked not in self.added or np.allclose(self.added[marked].vector, style.vector, atol=SAME):
                return marked
        raise AssertionError

    def _make_room(self, worn: Collection[str]) -> None:
        oldest = next((known for known in self.passing if known not in worn), None)
        if oldest is not None:
            self.passing.remove(oldest)
            del self.added[oldest], self.notes[oldest]

    def _one(self, name: str) -> Style:
        return self.added[name] if name.startswith(MARK) else self._model.style(name)

    def _check(self, name: str) -> None:
        """Refuse what is not on the shelf: a name must never be taken for a file's."""
        known = self.names()
        if name.startswith(MARK):
            if name in self.added:
                return
        else:
            organ, drawn, number = name.partition("#")
            if organ in self._model.styles and (not drawn or (number.isascii() and number.isdecimal())):
                return
        raise BadInput(f"there is no style {name!r}{nearest(name, known)}")

"""The styles that a page offers: the model's own by name, pictures that were dropped, and mixtures of all of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sian.errors import BadInput, nearest
from sian.synthesis.styles import Style, mixture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sian.synthesis import Model

MARK = "@"  # what names of added styles begin with: no organ's does
MOST_ADDED = 200
MOST_PASSING = 20


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

    def add(self, name: str, style: Style, note: str = "", passing: bool = False) -> str:
        """Put a style on the shelf, in place of one of the same name; returns its name with the mark.

        Raises:
            BadInput: the shelf is full.
        """
        if passing and len(self.passing) >= MOST_PASSING:
            oldest = self.passing.pop(0)
            del self.added[oldest], self.notes[oldest]
        if len(self.added) >= MOST_ADDED:
            raise BadInput(f"{MOST_ADDED} styles were added already; restart the studio to make room")
        marked = MARK + "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[:60]
        self.added[marked] = Style(style.vector, marked.removeprefix(MARK), style.quantile)
        self.notes[marked] = note
        self.passing = [known for known in self.passing if known != marked] + [marked] * passing
        return marked

    def said(self) -> list[dict[str, Any]]:
        """What a page is told of the shelf."""
        return [{"name": name, "note": self.notes.get(name, "")} for name in self.names()]

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

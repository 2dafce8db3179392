"""Candidates: what a fine-tuning may end in, compared on tissue that it does not learn from.

The first is the model that it starts from, the second that model with its colours adjusted and nothing trained; looks
at the running average follow. One of them becomes the model: the start, unless another is better by more than noise
explains. What is compared is the jury's to say (`sian.evaluation.jury`); here are numbers and files alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from sian.files import write_bytes, write_json, write_png
from sian.networks import Painter
from sian.training.recipe_sections import ComparingSection
from sian.training.stopping import BEST, STOPPING, read_looks

START, ADJUSTED, TRAINED = "start", "adjusted", "trained"
SHEET = "sheet.png"  # in the run's folder: the newest; RUN/looks has all
TEXT = {"Description": "synthetic H&E (SIAN, fine-tuning)"}  # of the pictures
MEASURE = "KID on Inception's features, colour and influence of the style, on windows that are not learned from"
DEVIATIONS = 2.0  # standard errors of a difference that noise does not explain
LEAST_GAIN = 0.05  # of the start's KID: less is not worth another model
LEAST_COLOUR = 0.5  # grey levels: the same for the colour
INFLUENCE_KEPT = 0.75  # of the start's: a candidate that follows the style less has gained nothing


@dataclass(frozen=True)
class Marks:
    """What a candidate was found to be.

    Attributes:
        kid: squared kernel distance of its paintings' features from the real windows'.
        colour: mean absolute difference between the mean colours of painting and real window, grey levels.
        influence: mean absolute difference between a mask painted in two styles, grey levels.
        parts: each painting's part in `kid`; two candidates' differ window by window.
        colours: each painting's part in `colour`.
    """

    kid: float
    colour: float
    influence: float
    parts: tuple[float, ...]
    colours: tuple[float, ...]


@dataclass(frozen=True)
class Look:
    """A candidate: which kind, after how many training windows, and its marks."""

    kind: str
    images: int
    marks: Marks


class Jury(Protocol):
    """Who compares."""

    def adjust(self, painter: Painter) -> None:
        """Do what costs nothing, in place: the colours."""
        ...

    def settle(self, painter: Painter) -> None:
        """Make of a running average what the model would be, in place."""
        ...

    def measure(self, painter: Painter) -> Marks:
        """Paint and compare."""
        ...

    def sheet(self, painter: Painter, looks: Sequence[Look], shown: int, chosen: int) -> NDArray[np.uint8]:
        """A picture for people: mask, real, before, the look that is shown, and the curve; the first is "before"."""
        ...


def better(one: Marks, other: Marks, start: Marks) -> bool:
    """Whether one candidate is better than another by more than noise explains, and nothing is lost for it.

    KID must be lower, or the colour nearer at a KID that is higher by no more than noise explains and by no more than
    `LEAST_GAIN`, which is all that it may be above the start's, too. Neither does if the style is heard less or the
    colour is further off than the start's.
    """
    if one.influence < INFLUENCE_KEPT * start.influence:
        return False
    off, off_error = _difference(one.colours, start.colours, one.colour - start.colour)
    if off > max(DEVIATIONS * off_error, LEAST_COLOUR):
        return False
    kid, error = _difference(one.parts, other.parts, one.kid - other.kid, 2)
    if kid < -max(DEVIATIONS * error, LEAST_GAIN * abs(start.kid)):
        return True
    highest = LEAST_GAIN * abs(start.kid)
    if kid > min(DEVIATIONS * error, highest) or one.kid - start.kid > highest:
        return False
    colour, colour_error = _difference(one.colours, other.colours, one.colour - other.colour)
    return colour < -max(DEVIATIONS * colour_error, LEAST_COLOUR)


def _difference(
    one: Sequence[float], other: Sequence[float], difference: float, degree: float = 1
) -> tuple[float, float]:
    """A difference of two means over the same windows and its standard error.

    `degree` 2 is that of KID, a mean over pairs of paintings (its linear part, Hoeffding 1948).
    """
    each = np.subtract(one, other)
    return difference, float(degree * each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else 0.0


def choose(looks: Sequence[Look]) -> int:
    """Which candidate is the model: the start, or what is better than it, training only if better than adjusting.

    Args:
        looks: the start first.
    """
    start = looks[0].marks
    chosen = 0
    for number, look in enumerate(looks):
        if look.kind == ADJUSTED and better(look.marks, looks[chosen].marks, start):
            chosen = number
    trained = [number for number, look in enumerate(looks) if look.kind == TRAINED]
    for number in sorted(trained, key=lambda n: looks[n].marks.kid):
        if better(looks[number].marks, looks[chosen].marks, start):
            return number
    return chosen


class Candidates:
    """Looks at candidates while a run goes on; keeps the chosen one's weights in the run's folder.

    Args:
        jury: who compares.
        section: the recipe's.
        run: the run's folder.
        held_out: names of what is not learned from.
        say: called with a line at every look.
    """

    def __init__(
        self,
        jury: Jury,
        section: ComparingSection,
        run: Path,
        held_out: Sequence[str],
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.jury, self.section, self.run, self.held_out = jury, section, run, list(held_out)
        self.say = say or _nothing
        self.looks: list[Look] = []

    @property
    def chosen(self) -> int:
        """The number of the look that is the model."""
        return choose(self.looks)

    @property
    def ended(self) -> bool:
        """Whether the last `patience` looks brought no lower KID than training had reached before."""
        kids = [look.marks.kid for look in self.looks if look.kind == TRAINED]
        if self.section.patience is None or len(kids) <= self.section.patience:
            return False
        return len(kids) - 1 - int(np.argmin(kids)) >= self.section.patience

    def begin(self, start: Painter, images: int) -> None:
        """Look at the start, as it is and adjusted; of a resumed run, forget the looks after `images`.

        Args:
            start: the painter before any step, without spectral norm.
            images: seen by the run.
        """
        known = looks_of(self.run)
        kept = [look for look in known if look.images <= images]
        if len(kept) >= 2 and choose(known) < len(kept):  # else the weights in the folder are of a forgotten look
            self.looks = kept
            self.jury.sheet(_copied(start), kept[:1], 0, 0)  # it shows what was before
            return
        self.looks = []
        self._take(START, _copied(start), 0)
        adjusted = _copied(start)
        self.jury.adjust(adjusted)
        self._take(ADJUSTED, adjusted, 0)

    def prepare(self, painter: Painter) -> None:
        """Let training begin where adjusting ends, in place: what costs nothing need not be learned."""
        self.jury.adjust(painter)

    def look(self, average: Painter, images: int) -> dict[str, float]:
        """Look at the running average, adjusted as the model will be; returns facts for the journal."""
        settled = _copied(average)
        self.jury.settle(settled)
        marks = self._take(TRAINED, settled, images)
        return {"held_out_kid": marks.kid, "held_out_colour": marks.colour, "style_influence": marks.influence}

    def end(self, average: Painter) -> None:
        """Show the chosen candidate on the sheet, at the end of a run or where it is stopped."""
        painter = _copied(average)
        painter.load_state_dict(load_file(self.run / BEST))
        write_png(self.run / SHEET, self.jury.sheet(painter, self.looks, self.chosen, self.chosen), TEXT)

    def _take(self, kind: str, painter: Painter, images: int) -> Marks:
        marks = self.jury.measure(painter)
        self.looks.append(Look(kind, images, marks))
        if self.chosen == len(self.looks) - 1:
            weights = {name: t.detach().cpu().contiguous() for name, t in painter.state_dict().items()}
            write_bytes(self.run / BEST, save(weights))
        chosen = self.looks[self.chosen]
        record = {"measure": MEASURE, "held_out": self.held_out, "looks": [_record(look) for look in self.looks]}
        write_json(self.run / STOPPING, {**record, "best": chosen.images, "kind": chosen.kind, "ended": self.ended})
        picture = self.jury.sheet(painter, self.looks, len(self.looks) - 1, self.chosen)
        for target in (self.run / "looks" / f"{kind}-{images:07d}.png", self.run / SHEET):
            write_png(target, picture, TEXT)
        self.say(line(self.looks, len(self.looks) - 1))
        return marks


def line(looks: Sequence[Look], number: int) -> str:
    """One look in words, beside the start."""
    look, start = looks[number], looks[0].marks
    marks = look.marks
    text = (
        f"{named(look)}: KID {marks.kid:.3f}, colour off by {marks.colour:.1f} grey levels, influence of the style "
        f"{marks.influence:.1f}"
    )
    if not number:
        return text
    nearer = ""
    if better(marks, start, start):
        comparison = "better than the start"
        nearer = f"colour nearer by {start.colour - marks.colour:.1f}, " if marks.kid >= start.kid else ""
    else:
        comparison = "worse than the start" if better(start, marks, start) else "not clearly better than the start"
    return f"{text}: {comparison} ({nearer}KID {percent(marks.kid, start.kid)})"


def named(look: Look) -> str:
    """A look in few words."""
    what = {START: "start", ADJUSTED: "colours adjusted, nothing trained", TRAINED: f"after {look.images} windows"}
    return what[look.kind]


def verdict(looks: Sequence[Look]) -> str:
    """What the run came to, in one line: better or not, and by how much."""
    start, chosen = looks[0].marks, looks[choose(looks)]
    if chosen.kind == START:
        return "no better: nothing beat the starting model, so the model is the starting model with a new style bank"
    how = "by training" if chosen.kind == TRAINED else "by adjusting colours alone; training did not beat that"
    return (
        f"better {how}: on tissue that it did not learn from KID {start.kid:.3f} -> {chosen.marks.kid:.3f} "
        f"({percent(chosen.marks.kid, start.kid)}), colour off by {start.colour:.1f} -> {chosen.marks.colour:.1f} grey "
        f"levels, influence of the style {start.influence:.1f} -> {chosen.marks.influence:.1f}"
    )


def looks_of(run: Path) -> list[Look]:
    """The looks that a run's `Candidates` wrote; none for a run without.

    Raises:
        BadInput: the file is broken.
    """
    return [_look(record) for record in read_looks(run)["looks"] if "kind" in record]


def percent(value: float, of: float) -> str:
    """A change in words, e.g. "18 % lower".

    >>> percent(0.9, 1.0), percent(1.25, 1.0)
    ('10 % lower', '25 % higher')
    """
    change = (value - of) / max(1e-9, abs(of))
    return f"{abs(change):.0%} {'lower' if change < 0 else 'higher'}".replace("%", " %")


def _copied(painter: Painter) -> Painter:
    return copy.deepcopy(painter).eval().requires_grad_(False)


def _record(look: Look) -> dict[str, Any]:
    marks = {
        key: [round(v, 6) for v in value] if isinstance(value, tuple) else round(value, 6)
        for key, value in asdict(look.marks).items()
    }
    return {"kind": look.kind, "images": look.images, **marks}


def _look(record: Mapping[str, Any]) -> Look:
    kid, colour, influence = (float(record[key]) for key in ("kid", "colour", "influence"))
    marks = Marks(kid, colour, influence, tuple(record["parts"]), tuple(record["colours"]))
    return Look(str(record["kind"]), int(record["images"]), marks)


def _nothing(_: str) -> None:
    """Say nothing."""

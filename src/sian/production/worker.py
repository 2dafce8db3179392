"""What a worker does: one job in, one finished image out; the same bytes wherever it runs.

A job holds all that it needs but the model (style vector, pixels of a stored mask), so that a worker on another
machine reads no file. It paints on one thread and one image at a time: thread count and batch size change last bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sian.data import DatasetInfo, Item
from sian.data.writing import describe_item
from sian.errors import BadInput, first_line
from sian.files import encode_png
from sian.masks.files import encode_mask_png
from sian.networks.devices import one_thread
from sian.production.gate import Gate
from sian.production.mask_supply import StoredMask
from sian.production.schedule import Blend, ImageOrder, Schedule, names_file
from sian.synthesis import load
from sian.synthesis.labels import png_text
from sian.synthesis.styles import Style

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from sian.production.plan import GateSection, Plan
    from sian.synthesis import Model


@dataclass(frozen=True)
class Setup:
    """What a worker needs once: the plan and the files it names, on the worker's own machine; the images' licence."""

    plan: Plan
    plan_sha256: str
    model: Path
    segmenter: Path | None
    licence: str

    @property
    def device(self) -> str:
        """Where a worker computes."""
        return self.plan.device

    @property
    def files(self) -> list[Path]:
        """What has to travel to another machine."""
        return [path for path in (self.model, self.segmenter) if path]

    def moved(self, files: list[Path]) -> Setup:
        """The same with the files where they lie there."""
        return replace(self, model=files[0], segmenter=files[1] if len(files) > 1 else None)

    def worker(self) -> Worker:
        """What makes images."""
        return Worker(self)


@dataclass(frozen=True)
class Try:
    """One attempt at an image."""

    order: ImageOrder
    style: npt.NDArray[np.float32]
    problem: str = ""  # why it cannot be made


@dataclass(frozen=True)
class Job:
    """An image to make: the first of its tries that passes the gate."""

    number: int
    tries: tuple[Try, ...]


@dataclass(frozen=True)
class Made:
    """A finished image.

    Attributes:
        number: in the plan.
        item: its line in the data set.
        record: the line and all else that is known of it: how to make it again, scores.
        reason: why the gate refused it; "" if it passed.
        image: PNG.
        mask: PNG.
    """

    number: int
    item: Item
    record: dict[str, Any]
    reason: str = ""
    image: bytes = field(default=b"", repr=False)
    mask: bytes = field(default=b"", repr=False)


class Worker:
    """Makes images; holds the model and the segmenter."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.model = load(setup.model, setup.plan.device, setup.plan.backend)
        expected = setup.plan.model.sha256
        if self.model.sha256 != expected:
            raise BadInput(
                f"{setup.model}: found SHA-256 {self.model.sha256[:12]}..., expected {str(expected)[:12]}..."
            )
        section: GateSection | None = setup.plan.gate
        self.gate = Gate(section, setup.segmenter, self.model) if section else None

    def make(self, job: Job) -> Made:
        """Make an image.

        Raises:
            BadInput: its mask cannot be used.
        """
        with one_thread():
            for attempt in job.tries:
                made = self._attempt(attempt)
                if not made.reason:
                    break
        return made

    def _attempt(self, attempt: Try) -> Made:
        if attempt.problem:
            raise BadInput(attempt.problem)
        order, plan = attempt.order, self.setup.plan
        mask, layout = order.mask.make(self.model.takes_tissue)
        style = Style(attempt.style, order.style.name)
        image = self.model.synthesize(layout, style, seed=order.seed, noise=order.noise)
        item = describe_item(order.id, image, mask, classes=order.mask.classes_in(mask), **self._facts(order))
        record = item.model_dump(exclude_none=True) | self._further(order)
        reason = ""
        if self.gate:
            record["scores"], reason = self.gate.judge(image, mask, attempt.style)
        text = png_text(self.model, style, order.seed)
        text |= {"Plan": f"{plan.name} {self.setup.plan_sha256}", "Number": str(order.number)}
        text["Licence"] = self.setup.licence
        return Made(order.number, item, record, reason, encode_png(image, text), encode_mask_png(mask))

    def _facts(self, order: ImageOrder) -> dict[str, Any]:
        plan = self.setup.plan
        return {
            "organ": order.organ,
            "preparation": order.preparation,
            "split": plan.split,
            "mpp": plan.mpp or self.model.info.mpp,
            "source": f"synthetic: painted by {self.model.info.name} for the plan {plan.name}",
            "model": order.model,
            "style": order.style.name,
            "seed": order.seed,
            "plan": order.number,
        }

    def _further(self, order: ImageOrder) -> dict[str, Any]:
        return {
            "synthetic": True,
            "licence": self.setup.licence,
            "plan_name": self.setup.plan.name,
            "plan_sha256": self.setup.plan_sha256,
            "made_from": order.mask.describe(),
            "noise": order.noise,
            "attempt": order.attempt,
        }


class Foreman:
    """Makes jobs of a schedule: resolves styles to vectors and loads stored masks, on the driver's machine."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.model: Model = load(schedule.model_file)
        self._fixed: dict[str, npt.NDArray[np.float32]] = {}
        for style in schedule.plan.styles:
            for name in (style.style, style.to):
                if name:
                    self._vector(name)

    def setup(self) -> Setup:
        """What workers need."""
        schedule = self.schedule
        return Setup(schedule.plan, schedule.sha256, schedule.model_file, schedule.segmenter_file, self.licence)

    @property
    def licence(self) -> str:
        """Under which the images are: the model's, and that of the masks where it is another one."""
        licences = dict.fromkeys([self.model.info.licence, self.schedule.masks.licence])
        return " / ".join(name for name in licences if name != "unknown") or "unknown"

    def info(self) -> DatasetInfo:
        """What ``dataset.json`` is to say."""
        plan, info = self.schedule.plan, self.model.info
        return DatasetInfo(
            name=plan.name,
            mpp=plan.mpp or info.mpp,
            licence=self.licence,
            source=f"synthetic: painted by {info.name} (SHA-256 {self.model.sha256}); {plan.description}".rstrip("; "),
            synthetic=True,
            classes=list(info.classes),
        )

    def jobs(self, numbers: Iterator[int]) -> Iterator[Job]:
        """The jobs of these images."""
        for number in numbers:
            yield self.job(number)

    def job(self, number: int) -> Job:
        """The job of one image."""
        attempts = self.schedule.plan.gate.attempts if self.schedule.plan.gate else 1
        return Job(number, tuple(self._try(number, attempt) for attempt in range(attempts)))

    def _try(self, number: int, attempt: int) -> Try:
        order = self.schedule.image(number, attempt)
        problem = ""
        if isinstance(order.mask, StoredMask):
            try:
                order = replace(order, mask=order.mask.loaded())
            except BadInput as error:
                problem = first_line(error)
        return Try(order, self.vector(order.style), problem)

    def vector(self, style: Blend) -> npt.NDArray[np.float32]:
        """A style's vector, (D,) float32."""
        first = self._vector(style.first)
        if style.second is None:
            return first
        mixed: npt.NDArray[np.float32] = (1 - style.part) * first + style.part * self._vector(style.second)
        return mixed.astype(np.float32)

    def _vector(self, name: str) -> npt.NDArray[np.float32]:
        if name in self._fixed:
            return self._fixed[name]
        with one_thread():  # a picture's style is encoded as an image is painted: the same bits everywhere
            vector = self.model.style(self.schedule.plan.path(name) if names_file(name) else name).vector
        if "#" not in name:
            self._fixed[name] = vector
        return vector

"""Carry out a plan: make what is missing, shard by shard.

Workers only paint. This process alone writes: a shard's files first, each whole or not at all, then the shard's line in
the manifest. So a kill at any moment loses the shard in work and nothing else, and a rerun goes on behind it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sian
from sian.data.provenance import PROVENANCE, Provenance
from sian.errors import NO_SPACE, BadInput, Interrupted, MissingResource, warn
from sian.files import remove_leftovers, write_json, write_text
from sian.files.locks import only_writer
from sian.interrupts import stop_signals
from sian.production.manifest import Manifest, Records, ShardLine
from sian.production.plan import Plan
from sian.production.schedule import Schedule, deciding
from sian.production.shard_writing import FOLDER, FORMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sian.production.executors import Executor, Failure
    from sian.production.worker import Foreman, Made

    Report = Callable[[int, int], None]

PLAN = "plan.yaml"
HOPELESS = 20  # failures without a single image: all will fail


@dataclass(frozen=True)
class Outcome:
    """What a run did, and what the folder holds now.

    Attributes:
        folder: the data set.
        images: of the plan.
        kept: in shards.
        rejected: records of images that the gate refused, with the reason; read when asked for.
        failed: numbers of images that could not be made, and why; likewise.
        made: images painted by this run (each counted once however many attempts it took).
        shards: in all.
        shards_made: by this run.
        seconds: of painting and writing.
    """

    folder: Path
    images: int
    kept: int
    rejected: Records = field(repr=False)
    failed: Records = field(repr=False)
    made: int
    shards: int
    shards_made: int
    seconds: float


def run(
    plan: str | Path | Plan,
    folder: str | Path,
    *,
    workers: int | None = None,
    ray: str | bool = False,
    report: Report | None = None,
) -> Outcome:
    """Make a data set, or what is missing of it; the bytes are the same for any executor and number of workers.

    Args:
        plan: a bundled plan's name, a path, or a plan.
        folder: the data set; new, empty, or of an earlier run of the same plan.
        workers: processes; all cores if not given; 0 works in this process.
        ray: make the images by Ray: True on this machine, or the address of a cluster.
        report: called with (images done, images in all).

    Raises:
        BadInput: a plan that cannot be carried out, a folder of another plan, or nothing but failures.
        MissingResource: the disk is full, or the cluster cannot be reached; what is finished stays.
        Interrupted: Ctrl-C or SIGTERM; what is finished stays.

    Warns:
        SianWarning: another version of SIAN made some of the shards that are kept, and this one makes the rest.
    """
    schedule = Schedule(plan if isinstance(plan, Plan) else Plan.load(plan))
    folder = Path(folder)
    check_folder(schedule, folder)
    with only_writer(folder):
        return _run(schedule, folder, workers, ray, report)


def _run(schedule: Schedule, folder: Path, workers: int | None, ray: str | bool, report: Report | None) -> Outcome:
    manifest = Manifest(folder, with_items=schedule.plan.form == "folders")
    missing = manifest.gaps(schedule.shards)
    started, made = time.monotonic(), 0
    if missing:
        with _workers(schedule, workers, ray) as (foreman, executor):  # styles and clusters fail before a file is there
            _open_folder(schedule, folder, manifest)
            _warn_of_versions(folder, manifest)
            if report:
                report(_finished(schedule, missing), schedule.plan.images)
            _write_description(folder, schedule, foreman)
            made = _make(schedule, folder, manifest, missing, foreman, executor, report)
    else:
        _open_folder(schedule, folder, manifest)
    manifest.finish()
    return Outcome(
        folder=folder,
        images=schedule.plan.images,
        kept=len(Records(manifest, "items")),
        rejected=Records(manifest, "rejected"),
        failed=Records(manifest, "failed"),
        made=made,
        shards=schedule.shards,
        shards_made=sum(map(len, missing)),
        seconds=time.monotonic() - started,
    )


def check_folder(schedule: Schedule, folder: Path) -> None:
    """Refuse a folder that does not belong to this plan; writes nothing.

    Raises:
        BadInput: it holds something else, or another plan's images.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: found a file, expected a folder for the data set; choose another name")
    if (folder / PLAN).is_file():
        _check_same(schedule, folder)
    elif folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise BadInput(f"{folder}: found other files, expected a new folder or one of this plan; choose another folder")


def _open_folder(schedule: Schedule, folder: Path, manifest: Manifest) -> None:
    """Begin or mend a plan's folder; shards that are damaged or hold failures are forgotten."""
    check_folder(schedule, folder)  # again, now that nobody else writes
    if not (folder / PLAN).is_file():
        write_text(folder / PLAN, schedule.plan.dump())
    for part in (folder, folder / FOLDER, folder / "images", folder / "masks"):
        remove_leftovers(part)
    manifest.repair()


def _finished(schedule: Schedule, missing: list[range]) -> int:
    """How many images need not be made."""
    return schedule.plan.images - sum(len(schedule.span(shards)) for shards in missing)


def _check_same(schedule: Schedule, folder: Path) -> None:
    before, now = deciding(Plan.load(folder / PLAN)), deciding(schedule.plan)
    different = sorted(_differences(before, now))
    if different:
        raise BadInput(
            f"{folder}: was begun with another plan ({'; '.join(different[:3])}); give the same plan, or another folder"
        )


def _warn_of_versions(folder: Path, manifest: Manifest) -> None:
    others = sorted({entry.version for entry in manifest.entries.values()} - {sian.__version__})
    if others:
        warn(
            f"{folder}: {len(manifest)} finished shards are kept, some made by SIAN "
            f"{', '.join(name or 'of a version that did not say' for name in others)}, and the others are made by "
            f"{sian.__version__} now: no single version makes all these bytes again (manifest.jsonl says which made "
            "which); for one version's bytes, give a new folder"
        )


def _differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for place, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _differences(one, other, f"{key}.{place}")
    elif before != now:
        yield f"{key}: {_short(before)} there, {_short(now)} now"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}..."


@contextmanager
def _workers(schedule: Schedule, workers: int | None, ray: str | bool) -> Iterator[tuple[Foreman, Executor]]:
    from sian.production.starting import start
    from sian.production.worker import Foreman

    foreman = Foreman(schedule)
    executor = start(foreman.setup(), workers, ray)
    try:
        yield foreman, executor
    finally:
        executor.close()


def _make(
    schedule: Schedule,
    folder: Path,
    manifest: Manifest,
    missing: list[range],
    foreman: Foreman,
    executor: Executor,
    report: Report | None,
) -> int:
    """Make the missing shards; returns how many images were made."""
    from sian.production.executors import in_order

    form = FORMS[schedule.plan.form](folder)
    jobs = foreman.jobs(chain.from_iterable(map(schedule.span, missing)))
    total, done = schedule.plan.images, _finished(schedule, missing)
    made = failures = 0
    try:
        with stop_signals(second_at_once=True) as stopped:
            results = in_order(executor, jobs)
            for shard in chain.from_iterable(missing):
                finished = []
                for _ in schedule.numbers(shard):
                    finished.append(next(results))
                    made, failures = _counted(finished[-1], made, failures)
                    if report:
                        report(done + made + failures, total)
                    if stopped.is_set():
                        raise Interrupted(f"interrupted; {_go_on(folder, manifest, schedule)}")
                manifest.add(_written(schedule, shard, finished, form))
    except MissingResource as error:
        raise MissingResource(f"{error}; {_go_on(folder, manifest, schedule)}") from error
    except OSError as error:
        if error.errno in NO_SPACE:
            raise MissingResource(
                f"{folder}: the disk is full; free some space; {_go_on(folder, manifest, schedule)}"
            ) from error
        raise
    return made


def _counted(result: Made | Failure, made: int, failures: int) -> tuple[int, int]:
    from sian.production.executors import Failure

    if not isinstance(result, Failure):
        return made + 1, failures
    if not made and failures + 1 >= HOPELESS:
        raise BadInput(f"the first {HOPELESS} images all failed, the last because: {result.reason}")
    return made, failures + 1


def _written(schedule: Schedule, shard: int, finished: list[Made | Failure], form: Any) -> ShardLine:
    from sian.production.executors import Failure

    failed = [{"number": result.number, "reason": result.reason} for result in finished if isinstance(result, Failure)]
    made = [result for result in finished if not isinstance(result, Failure)]
    kept = [result for result in made if not result.reason]
    return ShardLine(
        shard=shard,
        **form.write(f"{schedule.plan.name}-{shard:06d}", kept),
        version=sian.__version__,
        items=[result.record for result in kept],
        rejected=[result.record | {"reason": result.reason} for result in made if result.reason],
        failed=failed,
    )


def _write_description(folder: Path, schedule: Schedule, foreman: Foreman) -> None:
    """What says of the whole set where it comes from: ``dataset.json``, or ``provenance.json`` beside shards."""
    info = foreman.info()
    if schedule.plan.form == "folders":
        write_json(folder / "dataset.json", info.model_dump())
    else:
        provenance = Provenance(layout="webdataset", dataset=info)
        write_json(folder / PROVENANCE, provenance.model_dump(exclude_none=True))


def _go_on(folder: Path, manifest: Manifest, schedule: Schedule) -> str:
    return (
        f"{len(manifest)} of {schedule.shards} shards in {folder} are finished and kept; "
        "run the same command again to go on"
    )

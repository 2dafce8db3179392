"""What a job leaves, in few small files, and how they become a row at home.

job.json                    the row, the scale, the budget, the plan, a SHA-256 of the model
report.json                 if it was measured there
stats.jsonl, samples.png    the journal and the last sample grid
model.safetensors           or model.safetensors.1of3, ... where it is larger than a file may be
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sian.errors import BadInput
from sian.files import write_bytes, write_json
from sian.reproduce.running import read_job
from sian.reproduce.scales import SCALES

FORMAT = "sian.job/1"
FILES, FILE_BYTES = 8, 16 << 20  # at most so many, each of at most so many bytes
OTHER_FILES = 4  # job, report, journal, samples
MODEL_PARTS = FILES - OTHER_FILES
MODEL = "model.safetensors"
_PART = re.compile(re.escape(MODEL) + r"\.(\d)of(\d)")


def leave(folder: Path, out: Path, *, keep_model: bool, report: Path | None) -> list[Path]:
    """Copy a row's files to `out`, the model in parts if it must be.

    Args:
        folder: of the row.
        out: a new or empty folder.
        keep_model: copy the weights.
        report: copy this report.

    Raises:
        BadInput: `out` holds files already, or a file is too large.
    """
    check_empty(out)
    contents: dict[str, bytes] = {}
    job = read_job(folder)
    if keep_model:
        model = (folder / MODEL).read_bytes()
        job["model_sha256"] = hashlib.sha256(model).hexdigest()
        contents |= _split(model)
    if report is not None:
        contents["report.json"] = report.read_bytes()
    if (journal := folder / "run" / "stats.jsonl").is_file():
        contents["stats.jsonl"] = journal.read_bytes()
    if samples := sorted((folder / "run" / "samples").glob("*.png")):
        contents["samples.png"] = samples[-1].read_bytes()
    for name, content in contents.items():
        if len(content) > FILE_BYTES:
            raise BadInput(
                f"{out / name}: has {len(content) >> 20} MiB, expected at most {FILE_BYTES >> 20}; use --no-model"
            )
        write_bytes(out / name, content)
    write_json(out / "job.json", job)
    return sorted(out.iterdir())


def collect(out: Path, runs: Path) -> Path:
    """Make a row at home of what a job has left; returns its folder.

    Args:
        out: the job's folder.
        runs: the folder of all rows: RUNS/SCALE/ROW.

    Raises:
        BadInput: no job's folder, a part of the model is missing or damaged, or the row exists.
    """
    job = read_job(out) if out.is_dir() else {}
    scale, row = str(job.get("scale")), str(job.get("row"))
    if job.get("format") != FORMAT or scale not in SCALES or not re.fullmatch(r"[a-z0-9-]+", row):
        raise BadInput(f"{out}: expected the folder that a job has left, with its job.json; name that folder")
    folder = runs / scale / row
    if folder.exists():
        raise BadInput(f"{folder}: is there already; move it away, or name another folder of rows")
    model = _joined(out) if job.get("model") else None
    if model is not None and hashlib.sha256(model).hexdigest() != job.get("model_sha256"):
        raise BadInput(f"{out}: the model is not the one that the job wrote; fetch its files again")
    for name, target in {
        "report.json": "report.json",
        "stats.jsonl": "run/stats.jsonl",
        "samples.png": "samples.png",
    }.items():
        if (out / name).is_file():
            write_bytes(folder / target, (out / name).read_bytes())
    if model is not None:
        write_bytes(folder / MODEL, model)
    write_json(folder / "job.json", job)
    return folder


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        BadInput: it does, or it is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: holds something already, expected a new or empty folder; choose another name")


def _split(model: bytes) -> dict[str, bytes]:
    if len(model) <= FILE_BYTES:
        return {MODEL: model}
    parts = [model[start : start + FILE_BYTES] for start in range(0, len(model), FILE_BYTES)]
    if len(parts) > MODEL_PARTS:
        raise BadInput(
            f"{MODEL}: has {len(model) >> 20} MiB, expected at most {MODEL_PARTS * FILE_BYTES >> 20}; use --no-model"
        )
    return {f"{MODEL}.{number}of{len(parts)}": part for number, part in enumerate(parts, 1)}


def _joined(out: Path) -> bytes:
    if (out / MODEL).is_file():
        return (out / MODEL).read_bytes()
    found = {match: path for path in sorted(out.iterdir()) if (match := _PART.fullmatch(path.name))}
    numbers = [(int(match[1]), int(match[2])) for match in found]
    if not numbers or numbers != [(n, numbers[0][1]) for n in range(1, numbers[0][1] + 1)]:
        raise BadInput(
            f"{out}: expected {MODEL} or all of its parts, found {len(numbers)}; fetch the job's files again"
        )
    return b"".join(path.read_bytes() for path in found.values())

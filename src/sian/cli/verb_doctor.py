"""``sian doctor``: what this machine has, what is missing, and what to do about it.

Leaves with 0 when synthesis works and with 4 when it does not. Missing VGG19 or Inception weights are told
but stop nothing: only training and FID/KID need them.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import typer

from sian.cli import console
from sian.cli.arguments import Json
from sian.errors import MissingResource
from sian.memory import keep_freed_memory

LEAST_MEMORY_GB = 2.0  # of the machine; the bundled model paints 256 x 256 within about 1 GB
LEAST_DISK_GB = 1.0
PAINT_SIZE = 256

Facts = dict[str, Any]


def doctor(as_json: Json = False) -> None:
    """Say what this machine has and lacks."""
    facts = examine()
    if as_json:
        console.print_json(facts)
    else:
        _print(facts)
    if any(problem["stops_synthesis"] for problem in facts["problems"]):
        raise typer.Exit(MissingResource.exit_code)


def examine() -> Facts:
    """Everything that ``sian doctor`` tells, as one JSON object with the list `problems`."""
    import sian

    problems: list[Facts] = []
    return {
        "format": "sian.doctor/1",
        "sian": sian.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "memory_gb": _memory(problems),
        "disk_free_gb": _disk(problems),
        "packages": _packages(problems),
        "torch": _torch(problems),
        "weights": _weights(problems),
        "model": _model(problems),
        "torch_dataset": _torch_dataset(),
        "problems": problems,
    }


def _problem(problems: list[Facts], what: str, advice: str, *, stops_synthesis: bool) -> None:
    problems.append({"what": what, "advice": advice, "stops_synthesis": stops_synthesis})


def _memory(problems: list[Facts]) -> float | None:
    """Memory of the machine in GB; None where Python cannot tell."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    if size < LEAST_MEMORY_GB:
        what = f"the machine has {size:.1f} GB of memory"
        _problem(problems, what, "paint small images only, or use a larger machine", stops_synthesis=False)
    return round(size, 1)


def _disk(problems: list[Facts]) -> dict[str, float]:
    """Free space in GB, here and where downloaded weights go."""
    from sian.files.weights import cache_folder

    free: dict[str, float] = {}
    for folder in (Path.cwd(), cache_folder()):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free[str(folder)] = round(shutil.disk_usage(there).free / 1e9, 1)
        if free[str(folder)] < LEAST_DISK_GB:
            what = f"{folder} has {free[str(folder)]} GB free"
            _problem(problems, what, "free some space", stops_synthesis=False)
    return free


def _packages(problems: list[Facts]) -> dict[str, Facts]:
    """Installed version of what SIAN requires, and the version that it is tested with."""
    from packaging.requirements import Requirement

    pins = _pins()
    packages: dict[str, Facts] = {}
    for text in metadata.requires("sian") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _installed(requirement.name)
        packages[requirement.name] = {"installed": version, "tested": pins.get(requirement.name.lower())}
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            what = f"{requirement.name} {version or 'is missing'}; {requirement.specifier} is needed"
            advice = f"pip install '{requirement.name}{requirement.specifier}'"
            _problem(problems, what, advice, stops_synthesis=True)
    return packages


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pins() -> dict[str, str]:
    """Package -> version of constraints.txt, which lies in the wheel or at the root of a checkout."""
    package = Path(str(resources.files("sian")))
    for path in (package / "constraints.txt", package.parent.parent / "constraints.txt"):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            pairs = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
            return {name.lower(): version for name, _, version in pairs}
    return {}


def _torch(problems: list[Facts]) -> Facts | None:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of its own is missing
        advice = "install torch again; on Windows the Visual C++ runtime may be missing"
        _problem(problems, f"torch does not load ({error})", advice, stops_synthesis=True)
        return None
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("Apple GPU")
    return {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "devices": ["cpu", *devices],
        "freed_memory": keep_freed_memory(),
    }


def _weights(problems: list[Facts]) -> Facts:
    from sian.cli.verb_weights import describe_weights

    found = describe_weights()
    purposes = {"vgg19": "training needs it", "inception_fid": "FID and KID need it"}
    for name, entry in found.items():
        if entry["path"] is None:
            what = f"{name}.safetensors is not on this machine; {purposes[name]}"
            advice = f"sian weights get {name}, or sian weights import FILE"
            _problem(problems, what, advice, stops_synthesis=False)
        elif not entry["known"]:
            what = f"{entry['path']} is not a file that SIAN knows"
            _problem(problems, what, f"sian weights get {name}, or --trust-weights", stops_synthesis=False)
    return dict(found)


def _model(problems: list[Facts]) -> Facts | None:
    """The bundled model's file and how long it takes to paint once; None when there is none."""
    import sian

    files = sorted(Path(str(resources.files("sian"))).glob("assets/*.safetensors"))
    if not files or not hasattr(sian, "load"):
        advice = "install a complete SIAN, or give your own with --model FILE"
        _problem(problems, "no bundled model", advice, stops_synthesis=True)
        return None
    try:
        seconds = _paint_once()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what the doctor is asked about
        what = f"the bundled model does not paint ({type(error).__name__}: {error})"
        _problem(problems, what, "install SIAN again", stops_synthesis=True)
        seconds = None
    from sian.files.hashing import sha256_file

    return {"path": str(files[0]), "sha256": sha256_file(files[0]), "seconds": seconds, "size": PAINT_SIZE}


def _paint_once() -> float:
    """Seconds to paint one image with the bundled model, once warm."""
    import sian
    from sian.nuclei import scatter

    model = sian.load()
    mask = scatter(PAINT_SIZE, PAINT_SIZE, seed=0)
    style = next(iter(model.styles))
    model.synthesize(mask, style=style, seed=0)
    start = time.perf_counter()
    model.synthesize(mask, style=style, seed=0)
    return round(time.perf_counter() - start, 3)


def _torch_dataset() -> Facts | None:
    """Seconds an image and worker that `sian.torch_dataset` takes to invent, describe and paint; None if it cannot."""
    from functools import partial

    import sian

    try:
        style = next(iter(sian.load().styles))
        masks = partial(sian.nuclei.generate, PAINT_SIZE, PAINT_SIZE, "kidney")  # not every style's organ has nuclei
        data = sian.torch_dataset(masks, styles=style, length=2)
        data[0]
        start = time.perf_counter()
        data[1]
    except Exception:  # noqa: BLE001 - what stops the model is told beside it
        return None
    return {"painted_seconds": round(time.perf_counter() - start, 3), "size": PAINT_SIZE, "threads": 1}


def _print(facts: Facts) -> None:
    """The facts as a page for a person."""
    torch = facts["torch"]
    lines = [
        ("sian", facts["sian"]),
        ("python", f"{facts['python']} ({sys.executable})"),
        ("platform", facts["platform"]),
        ("memory", f"{facts['memory_gb']} GB" if facts["memory_gb"] else "unknown"),
        *(("disk", f"{gigabytes} GB free at {folder}") for folder, gigabytes in facts["disk_free_gb"].items()),
        (
            "torch",
            f"{torch['version']}, {torch['threads']} threads, {', '.join(torch['devices'])}" if torch else "-",
        ),
        ("freed memory", torch["freed_memory"] if torch else "-"),
        *((name, _weights_line(entry)) for name, entry in facts["weights"].items()),
        ("model", _model_line(facts["model"])),
        ("torch_dataset", _torch_dataset_line(facts["torch_dataset"])),
        *((name, _package_line(entry)) for name, entry in facts["packages"].items() if name != "torch"),
    ]
    for name, text in lines:
        console.out(f"{name:<18}{text}")
    for problem in facts["problems"]:
        weight = "synthesis does not work" if problem["stops_synthesis"] else "note"
        console.out(f"\n{weight}: {problem['what']}\n  try: {problem['advice']}")
    works = not any(problem["stops_synthesis"] for problem in facts["problems"])
    console.out("\nEverything that synthesis needs works." if works else "\nSynthesis does not work yet; see above.")


def _weights_line(entry: Facts) -> str:
    if entry["path"] is None:
        return "not found"
    return f"{entry['path']} ({'known' if entry['known'] else 'unknown SHA-256'})"


def _model_line(entry: Facts | None) -> str:
    if entry is None:
        return "none"
    took = f"{entry['seconds']} s for {entry['size']} x {entry['size']}" if entry["seconds"] else "does not paint"
    return f"{entry['path']} (SHA-256 {entry['sha256'][:12]}..., {took})"


def _torch_dataset_line(entry: Facts | None) -> str:
    if entry is None:
        return "does not paint"
    return f"{entry['painted_seconds']} s an image of {entry['size']} x {entry['size']} and worker, painted on the fly"


def _package_line(entry: Facts) -> str:
    if entry["installed"] is None:
        return "missing"
    same = entry["tested"] in (None, entry["installed"])
    return str(entry["installed"]) + ("" if same else f" (tested with {entry['tested']})")

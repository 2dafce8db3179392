"""Build the wheel and use it outside the checkout, in a virtual environment that has nothing else of SIAN.

The new environment borrows the installed packages of the one that runs this script, so that torch isn't installed
twice. Checked: the wheel holds every file of the package, `sian --version` runs, `sian doctor` judges the wheel as it
judges the checkout, and what is imported is the wheel's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"


def main() -> None:
    """Run the check; leaves with a sentence when something is wrong."""
    with tempfile.TemporaryDirectory(prefix="sian-wheel-") as name:
        folder = Path(name)
        wheel = build(folder / "dist")
        check_content(wheel)
        check_use(install(wheel, folder / "venv"), folder)
    print(f"{wheel.name} works outside the checkout")  # noqa: T201


def build(folder: Path) -> Path:
    """Build the wheel into `folder`."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        sys.exit(f"building the wheel failed:\n{result.stdout}{result.stderr}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_content(wheel: Path) -> None:
    """Every file of the package is in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = (path for path in (SOURCE / "sian").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    missing = sorted({path.relative_to(SOURCE).as_posix() for path in files} - packed)
    if missing:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel into a new environment at `folder`; returns its folder of programs."""
    venv.create(folder, with_pip=False)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    programs = Path(sysconfig.get_path("scripts", "venv", paths))
    python = programs / Path(sys.executable).name
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--force-reinstall", str(wheel)], check=True)  # noqa: S603
    return programs


def check_use(programs: Path, folder: Path) -> None:
    """The wheel's `sian` runs from `folder` and agrees with the checkout's."""
    python = programs / Path(sys.executable).name
    where = capture([python, "-c", "import sian; print(sian.__file__)"], folder)
    if not Path(where).is_relative_to(folder):
        sys.exit(f"the wheel's environment imports {where}")
    capture([programs / "sian", "--version"], folder)
    ours = json.loads(capture([sys.executable, "-m", "sian", "doctor", "--json"], folder, (0, 4)))
    theirs = json.loads(capture([programs / "sian", "doctor", "--json"], folder, (0, 4)))
    if ours["problems"] != theirs["problems"]:
        sys.exit(f"sian doctor finds {theirs['problems']} with the wheel, {ours['problems']} in the checkout")


def capture(command: list[str | Path], folder: Path, allowed: tuple[int, ...] = (0,)) -> str:
    """What `command` prints when it runs in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(  # noqa: S603
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, command))} left with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout.strip()


if __name__ == "__main__":
    main()

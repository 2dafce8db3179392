"""``python -m maintainers.carried_rows paint|judge|carry|page``: a row's numbers and a few pictures, not its weights.

    paint   RUNS/SCALE/ROW/paintings/WINDOW.png: the protocol's paintings, for segmenters from elsewhere
    judge   RUNS/SCALE/ROW/judge-NAME.json: what such a segmenter found in them; nothing is painted again
    carry   INTO/SCALE/ROW: report, judges, job and the windows that figures show; small enough to be committed
    page    a page's tables, between <!-- table1 --> and <!-- end of table1 -->, become those in INTO/SCALE/table1.md

`sian reproduce table1 --from-reports -o INTO` makes the tables of what was carried.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sian.cli import console
from sian.cli.arguments import Device, Threads
from sian.cli.main import explain
from sian.cli.reproduce_options import Data, Runs, ScaleName, Seed, check_runs, open_bench
from sian.errors import BadInput

if TYPE_CHECKING:
    from sian.evaluation.collection import Collection
    from sian.reproduce.bench import Bench
    from sian.reproduce.rows import Row

PAINTINGS = "paintings"
ROW_BYTES = 250_000  # of a carried row

app = typer.Typer(help="Rows without their weights: judged, and carried to other machines.", rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="ROW", help="A row of the tables, e.g. sian.")]


PLACE = re.compile(r"(?<![\w.:/])/(?:[^/\s]+/)*")  # the folders of an absolute path


def without_places(value: Any) -> Any:
    """JSON without this machine's folders: of an absolute path its last name stays.

    >>> without_places({"what": ["/home/me/data/monuseg (train) against data/monuseg", 3]})
    {'what': ['monuseg (train) against data/monuseg', 3]}
    """
    if isinstance(value, dict):
        return {key: without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_places(one) for one in value]
    return PLACE.sub("", value) if isinstance(value, str) else value


@app.command()
def paint(
    name: Name,
    data: Data,
    runs: Runs,
    scale: ScaleName = "core",
    seed: Seed = 0,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Write the paintings that a row's report is of, as PNG without loss."""
    row, bench = _row(name, data, runs, scale, seed, device, threads)

    from sian.evaluation.reconstruction import model_painter, reconstruct
    from sian.files import write_png
    from sian.synthesis import load
    from sian.synthesis.labels import png_text

    model = load(bench.folder(row) / "model.safetensors").to(bench.device)
    with console.progress("painting", "windows") as report:
        made = reconstruct(model_painter(model, row.noise), bench.scene, seed=seed, report=report)
    text = png_text(model, None, seed)
    for window in made.fake.names:
        about = {**text, "Style": made.references[window], "Mask": window, "Noise": str(row.noise)}
        write_png(bench.folder(row) / PAINTINGS / f"{window}.png", made.fake.read(window), about)


@app.command()
def judge(
    name: Name,
    data: Data,
    runs: Runs,
    segmented: Annotated[Path, typer.Option(help="Masks that the segmenter found in the paintings.")],
    segmented_real: Annotated[Path, typer.Option(help="The same of the real windows, for the floor.")],
    judged_by: Annotated[str, typer.Option("--judge", help="The segmenter's name.")],
    scale: ScaleName = "core",
    seed: Seed = 0,
) -> None:
    """Measure the masks that another segmenter found in a row's paintings."""
    row, bench = _row(name, data, runs, scale, seed, "cpu", None)

    from sian.cli.evaluating import segmenter_facts
    from sian.evaluation.collection import open_images
    from sian.evaluation.evaluate import Tools, evaluate
    from sian.evaluation.scenes import collection_of
    from sian.evaluation.segmented import open_segmented
    from sian.files import write_json

    windows = bench.scene.windows
    real, masks = (collection_of(str(data), windows, kind) for kind in ("image", "mask"))
    sizes = {window.name: window.mask.shape for window in windows}
    found, found_real = (open_segmented(folder, sizes, "window") for folder in (segmented, segmented_real))
    painted = open_images(bench.folder(row) / PAINTINGS)
    finished = evaluate(
        painted,
        real,
        masks,
        tools=Tools(),
        predicted=found,
        predicted_real=found_real,
        protocol="reconstruction",
        settings={
            "style": bench.style,
            "noise": row.noise,
            "window": len(windows[0].mask),
            "inputs": {
                "model": {"path": "model.safetensors", "sha256": _painter_of(painted, bench.folder(row) / PAINTINGS)},
                **segmenter_facts(None, found, judged_by),
            },
        },
    )
    write_json(bench.folder(row) / f"judge-{judged_by}.json", finished.result)
    console.print_json({"row": name, "judge": judged_by, **finished.result["metrics"]})


@app.command()
def carry(
    name: Name,
    data: Data,
    runs: Runs,
    into: Annotated[Path, typer.Option(help="Folder of carried rows: INTO/SCALE/ROW.")],
    scale: ScaleName = "core",
    seed: Seed = 0,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Copy a row's report, judges and job, and the windows that figures show; the scale's floors with the first row."""
    row, bench = _row(name, data, runs, scale, seed, device, threads)

    from sian.files import write_json
    from sian.files.jsonfiles import read_json
    from sian.reproduce.figures import windows_shown
    from sian.reproduce.paintings import SHOWN, keep_paintings, painter_of
    from sian.reproduce.running import read_job, read_report, report_of

    folder, there = bench.folder(row), into / scale / name
    report = read_report(bench.report_path(row))
    bench.judge_sha256 = report["inputs"]["segmenter"]["sha256"] if report is not None else None  # whoever it was
    if report_of(row, bench) is None:
        raise BadInput(f"{folder}: found no report of the model there; measure the row first by `sian reproduce`")
    there.mkdir(parents=True, exist_ok=True)
    for path in [bench.report_path(row), *sorted(folder.glob("judge-*.json"))]:
        write_json(there / path.name, without_places(read_json(path)))
    write_json(there / "job.json", {**read_job(folder), "model": False})
    keep_paintings(painter_of(row, bench), bench.scene, windows_shown(bench.scene), there / SHOWN)
    if bench.floors_path().is_file():
        write_json(into / scale / bench.floors_path().name, without_places(read_json(bench.floors_path())))
    size = sum(path.stat().st_size for path in there.rglob("*") if path.is_file())
    console.say(f"{there}: {size / 1000:.0f} kB")
    if size > ROW_BYTES:
        raise BadInput(f"{there}: has {size:,} bytes, expected at most {ROW_BYTES:,}; commit less of it")


@app.command()
def page(
    path: Annotated[Path, typer.Argument(metavar="PAGE", help="A page in Markdown with marked places.")],
    tables: Annotated[Path, typer.Option(help="Folder with table1.md and so on, as `sian reproduce` wrote them.")],
) -> None:
    """Put tables into a page; their own headings stay out."""
    from sian.files import write_text

    write_text(path, filled(path.read_text(encoding="utf-8"), tables))


def filled(text: str, tables: Path) -> str:
    """A page with the tables of a folder at its marked places.

    Raises:
        BadInput: a table that the page names is not there.
    """

    def table(found: re.Match[str]) -> str:
        source = tables / f"{found[1]}.md"
        if not source.is_file():
            raise BadInput(
                f"{source}: not found, but the page has a place for it; make it by `sian reproduce {found[1]}`"
            )
        _, _, body = source.read_text(encoding="utf-8").partition("\n")
        return f"<!-- {found[1]} -->\n\n{body.strip()}\n\n<!-- end of {found[1]} -->"

    return re.sub(r"<!-- (table\d) -->.*?<!-- end of \1 -->", table, text, flags=re.DOTALL)


def _row(
    name: str, data: Path, runs: Path, scale: Any, seed: int, device: str, threads: int | None
) -> tuple[Row, Bench]:
    check_runs(data, runs)

    from sian.reproduce.rows import ROWS, rows_named

    (row,) = rows_named([name], ROWS)
    bench = open_bench(
        data,
        scale,
        runs,
        seed=seed,
        weights=None,
        trust_weights=False,
        device=device,
        threads=threads,
        workers=0,
        precision=None,
    )
    return row, bench


def _painter_of(painted: Collection, folder: Path) -> str:
    """The SHA-256 of the one model that painted all of a folder."""
    from sian.files import read_png_text

    models = {read_png_text(folder / f"{window}.png").get("Model", "unknown") for window in painted.names}
    if len(models) != 1:
        raise BadInput(f"{folder}: found paintings of {len(models)} models, expected one; paint them again")
    return models.pop()


def main(arguments: list[str]) -> int:
    """Run a verb and return its exit code; an error is one line on stderr, as with `sian`."""
    try:
        code = app(args=arguments, prog_name="python -m maintainers.carried_rows", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the one place where every error ends
        code, sentence = explain(error)
        console.say(f"carried_rows: error: {sentence}")
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

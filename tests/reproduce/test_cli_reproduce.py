"""`sian reproduce` through the command line: tables, and one sentence with the right code for what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.evaluation import toys as evaluation_toys

from sian.cli.main import main
from sian.files import read_png_text
from sian.files.weights import find_weights
from sian.reproduce import bench as benches

pytestmark = [
    pytest.mark.usefixtures("toy_world"),
    pytest.mark.filterwarnings("ignore::sian.errors.SianWarning"),  # toys know few styles
]


@pytest.fixture
def finished(finished_runs, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_runs[1], tmp_path / "finished"))


def run(data_folder: Path, runs: Path, *more: str, verb: str = "table1") -> int:
    return main(["reproduce", verb, "--data", str(data_folder), "-o", str(runs), "--device", "cpu", *more])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_finished_table_is_written(data_folder, finished, capsys):
    assert run(data_folder, finished) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "# A toy table (tiny)"
    assert "training" not in captured.err
    assert (finished / "tiny" / "table1.md").read_text(encoding="utf-8") == captured.out.removesuffix("\n")
    assert {path.name for path in (finished / "tiny").glob("table1.*")} == {"table1.md", "table1.csv", "table1.html"}


def test_figures_say_what_they_are(data_folder, finished, capsys):
    assert run(data_folder, finished, "--rows", "first,second", verb="figures") == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == [f"figure{n}.png" for n in (1, 2, 5, 6, 7)]
    text = read_png_text(finished / "tiny" / "figures" / "figure6.png")
    assert (text["Synthetic"], text["Licence"], text["Scale"]) == ("true", "CC0-1.0", "tiny")
    assert "first: " in text["Model"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--scale", "huge"], 2, "'huge' is not one of 'tiny', 'core'"),
        (["--rows", "frist"], 3, "--rows 'frist': no such row; did you mean 'first'?"),
        (["--style-from", "pared"], 2, "'pared' is not one of 'paired'"),
    ],
)
def test_unknown_names(data_folder, tmp_path, capsys, arguments, code, sentence):
    assert run(data_folder, tmp_path / "runs", *arguments) == code
    assert sentence in said(capsys)
    assert not (tmp_path / "runs").exists()


def test_a_data_set_without_test_tiles(tmp_path, capsys):
    data = evaluation_toys.write_dataset(tmp_path / "data")
    lines = [line for line in (data / "items.jsonl").read_text().splitlines() if '"train"' in line]
    (data / "items.jsonl").write_text("\n".join(lines) + "\n")
    assert run(data, tmp_path / "runs") == 3
    assert "no items of split 'test'" in said(capsys)


def test_missing_weights(data_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benches, "find_weights", find_weights)
    monkeypatch.delenv("SIAN_WEIGHTS", raising=False)
    monkeypatch.setattr("sian.files.weights.cache_folder", lambda: tmp_path / "none")
    assert run(data_folder, tmp_path / "runs") == 4
    assert "vgg19.safetensors: not found" in said(capsys)


def test_a_run_of_another_recipe_and_the_row_that_is_fine(data_folder, finished, capsys):
    first = finished / "tiny" / "first"
    shutil.rmtree(first)
    shutil.copytree(finished / "tiny" / "second" / "run", first / "run")
    assert run(data_folder, finished) == 3
    captured = capsys.readouterr()
    assert "1 of 2 rows failed; first: " in captured.err
    assert "started with another recipe" in captured.err
    assert "| First | failed |" in captured.out
    assert "| Second | 6 |" in captured.out

"""What the doctor calls a problem, and which problems stop synthesis."""

import shutil
from types import SimpleNamespace

import pytest

from sian.cli import main as cli
from sian.cli import verb_doctor
from sian.files import weights


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("SIAN_WEIGHTS", raising=False)


@pytest.fixture
def healthy(monkeypatch):
    """A machine with room on the disk, whose bundled model works."""
    monkeypatch.setattr(verb_doctor, "_model", lambda _: None)
    monkeypatch.setattr(verb_doctor, "_torch_dataset", lambda: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e11))


def whats(problems):
    return [problem["what"] for problem in problems]


def test_missing_weights_are_told_but_stop_nothing(healthy, capfd):
    problems = verb_doctor.examine()["problems"]
    assert [what.split()[0] for what in whats(problems)] == ["vgg19.safetensors", "inception_fid.safetensors"]
    assert not any(problem["stops_synthesis"] for problem in problems)
    assert cli.main(["doctor"]) == 0
    assert "Everything that synthesis needs works." in capfd.readouterr().out


def test_weights_of_an_unknown_hash_are_told(healthy, tmp_path, monkeypatch):
    (tmp_path / "vgg19.safetensors").write_bytes(b"something")
    monkeypatch.setenv("SIAN_WEIGHTS", str(tmp_path))
    facts = verb_doctor.examine()
    assert facts["weights"]["vgg19"]["known"] is False
    assert whats(facts["problems"])[0].endswith("vgg19.safetensors is not a file that SIAN knows")


def test_a_missing_or_old_package_stops_synthesis(healthy, monkeypatch, capfd):
    installed = {"scipy": None, "numpy": "1.20.0"}
    real = verb_doctor._installed
    monkeypatch.setattr(verb_doctor, "_installed", lambda name: installed[name] if name in installed else real(name))
    problems = verb_doctor.examine()["problems"]
    stopping = [problem for problem in problems if problem["stops_synthesis"]]
    assert [what.split()[0] for what in whats(stopping)] == ["numpy", "scipy"]
    assert stopping[0]["advice"].startswith("pip install 'numpy>=")
    assert cli.main(["doctor"]) == 4
    assert "does not work yet" in capfd.readouterr().out


def test_a_full_disk_is_told(healthy, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2e8))
    assert any("0.2 GB free" in what for what in whats(verb_doctor.examine()["problems"]))


def test_a_machine_that_cannot_tell_its_memory(healthy, monkeypatch):
    monkeypatch.delattr(verb_doctor.os, "sysconf")
    assert verb_doctor.examine()["memory_gb"] is None


def test_little_memory_is_told(healthy, monkeypatch):
    monkeypatch.setattr(verb_doctor.os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 200_000)
    facts = verb_doctor.examine()
    assert facts["memory_gb"] == 0.8
    assert any("0.8 GB of memory" in what for what in whats(facts["problems"]))


def test_a_model_that_does_not_paint_stops_synthesis(monkeypatch):
    def broken():
        raise RuntimeError("a weight is missing")

    monkeypatch.setattr(verb_doctor, "_paint_once", broken)
    problems = []
    verb_doctor._model(problems)
    assert [problem["stops_synthesis"] for problem in problems] == [True]


def test_pins_are_read_from_the_checkout():
    assert verb_doctor._pins()["torch"].startswith("2.")

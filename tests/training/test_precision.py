"""What a run multiplies in: asked for, by default, and `auto` on CPUs with and without bfloat16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training import toys

from sian.files import write_json
from sian.training import Hardware, device
from sian.training.environment import ENVIRONMENT, as_before


@pytest.mark.parametrize(
    ("wanted", "has", "chosen"),
    [
        (None, True, "32-true"),
        (None, False, "32-true"),
        ("auto", True, "bf16-mixed"),
        ("auto", False, "32-true"),
        ("bf16-mixed", False, "bf16-mixed"),
        ("32-true", True, "32-true"),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_is_quicker(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, has: bool, chosen: str
) -> None:
    monkeypatch.setattr(device, "bfloat16_is_quicker", lambda: has)
    hardware = Hardware("cpu", precision=wanted)
    assert hardware.chosen_precision == chosen
    assert hardware.could_be_quicker is (has and chosen == "32-true")


def test_the_cpus_own_word_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for answers in ((True, False), (False, True), (False, False)):
        for name, answer in zip(("_is_avx512_bf16_supported", "_is_amx_tile_supported"), answers, strict=True):
            monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
        assert device.cpu_has_bfloat16() is any(answers)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert device.cpu_has_bfloat16() is False


@pytest.mark.parametrize(("half", "quicker"), [(0.5, True), (0.95, False), (2.0, False)])
def test_the_cpu_is_timed(monkeypatch: pytest.MonkeyPatch, half: float, quicker: bool) -> None:
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(device, "_step_seconds", lambda dtype: half if dtype == torch.bfloat16 else 1.0)
    assert device.bfloat16_is_quicker.__wrapped__() is quicker
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: False)
    assert device.bfloat16_is_quicker.__wrapped__() is False


def test_a_trial_leaves_no_trace() -> None:
    state = torch.get_rng_state()
    with torch.no_grad():
        assert device._step_seconds(torch.float32) > 0
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_resumed_run_keeps_its_precision_under_auto(tmp_path: Path) -> None:
    write_json(tmp_path / ENVIRONMENT, {"precision": "bf16-mixed"})
    assert as_before(Hardware("cpu", precision="auto"), tmp_path).precision == "bf16-mixed"


@pytest.mark.parametrize(("has", "lines"), [(True, 1), (False, 0)])
def test_a_cpu_that_could_be_quicker_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has: bool, lines: int
) -> None:
    from sian.production import train_and_export

    monkeypatch.setattr(device, "bfloat16_is_quicker", lambda: has)
    monkeypatch.setattr(train_and_export, "run_training", lambda *_, **__: tmp_path)
    monkeypatch.setattr(train_and_export, "read_tiles", lambda *_, **__: toys.tiles())
    said: list[str] = []
    monkeypatch.setattr(train_and_export, "check_tiles", lambda *_: None)
    monkeypatch.setattr(train_and_export, "resolve", lambda recipe, _: recipe)
    recipe = toys.recipe()
    train_and_export.train(recipe, object(), tmp_path / "run", hardware=Hardware("cpu"), export=False, say=said.append)  # type: ignore[arg-type]
    assert sum("--precision auto" in line for line in said) == lines

"""Freed memory is kept where glibc allows it, and loading a model imports no compiler."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sian import memory

# 20 times 64 MB: 16,384 pages each time where memory goes back to the kernel, once or twice in all where it is kept.
FAULTS = """
import resource
import sian.networks
import torch
torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def output_of(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def fresh() -> None:
    memory.keep_freed_memory.cache_clear()
    yield
    memory.keep_freed_memory.cache_clear()


@pytest.mark.skipif(memory._glibc() is None, reason="there is no glibc here, and nothing to switch")
def test_freed_memory_is_kept_in_every_process_that_computes_unless_switched_off() -> None:
    assert int(output_of(FAULTS, SIAN_RETURN_MEMORY="")) < 40_000
    assert int(output_of(FAULTS, SIAN_RETURN_MEMORY="1")) > 300_000


def test_the_switch_is_said(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.SWITCH, "1")
    assert memory.keep_freed_memory() == "returned (SIAN_RETURN_MEMORY)"


def test_nothing_is_touched_without_glibc(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.SWITCH, raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep_freed_memory() == "returned (no glibc)"


def test_a_library_that_refuses_is_said(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def mallopt(self, _what: int, _value: int) -> int:
            return 0

    monkeypatch.delenv(memory.SWITCH, raising=False)
    monkeypatch.setattr(memory, "_glibc", Refusing)
    assert memory.keep_freed_memory() == "returned (refused)"


def test_loading_models_imports_no_compiler() -> None:
    loading = "import sys, sian; sian.load(); sian.segmentation.load()"
    code = f"{loading}; print('torch._dynamo' in sys.modules)"
    assert output_of(code) == "False"

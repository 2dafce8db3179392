"""Random streams depend on (seed, purpose, index) and on nothing else."""

import subprocess
import sys

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sian import seeds


def test_written_down_values_so_that_old_runs_stay_repeatable():
    assert seeds.derive(0, "window") == 7369307868132977478
    assert seeds.derive(7, "noise", 1, 2) == 7199995754329616300


@given(seed=st.integers(-(2**70), 2**70), index=st.lists(st.integers(0, 2**40), max_size=3))
def test_derived_seeds_fit_into_63_bits(seed, index):
    assert 0 <= seeds.derive(seed, "any", *index) < 2**63


def test_streams_are_apart():
    streams = [
        (0, "a"),
        (1, "a"),
        (0, "b"),
        (0, "a", 0),
        (0, "a", 1),
        (0, "a", 0, 1),
        (0, "a", 1, 0),
        (10, "a"),
    ]
    assert len({seeds.derive(*stream) for stream in streams}) == len(streams)


def test_numpy_integers_are_taken_like_python_ones():
    assert seeds.derive(np.int64(3), "a", np.int32(5)) == seeds.derive(3, "a", 5)


def test_generators_repeat_and_leave_the_global_states_alone():
    np.random.seed(0)  # noqa: NPY002 - the global state is what is watched
    torch.manual_seed(0)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    numbers = seeds.generator(3, "test").random(4)
    tensor = torch.rand(4, generator=seeds.torch_generator(3, "test"))
    assert np.array_equal(numbers, seeds.generator(3, "test").random(4))
    assert torch.equal(tensor, torch.rand(4, generator=seeds.torch_generator(3, "test")))
    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002


def test_another_process_derives_the_same():
    code = "from sian import seeds; print(seeds.derive(5, 'worker', 3))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == seeds.derive(5, "worker", 3)

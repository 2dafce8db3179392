"""Tests of the networks."""

import pytest

pytest.register_assert_rewrite("tests.networks.contract")

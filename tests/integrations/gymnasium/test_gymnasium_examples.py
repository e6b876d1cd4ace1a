"""The two examples for Gymnasium's vector envs: envs in processes of their own, and all in one object."""

from __future__ import annotations

import pytest
from promises import ExamplePromises
from recordings import Program, channels


class TestVector(ExamplePromises):
    example = "gymnasium_vector.py"
    checkpoint = "gymnasium_vector.json"
    steps = 20_000
    processes = 8


class TestNative(ExamplePromises):
    example = "gymnasium_native.py"
    checkpoint = "gymnasium_native.json"
    steps = 60_000
    processes = 0


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])  # TestVector has the default, NextStep
def test_every_autoreset_mode_sees_the_newest_value(mode, traincast_dir, tmp_path):
    recording = Program("gymnasium_vector.py", tmp_path).run("--steps", "10000", "--autoreset", mode)
    recording.check(updates=5)
    assert len(recording.processes) == 8
    assert channels(traincast_dir) == set()

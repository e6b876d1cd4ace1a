"""What `to_json` writes of an env with curricula makes the same env again; else it refuses to write."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from collections import deque
from enum import IntEnum
from functools import partial
from pathlib import Path

import curricula
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from hypothesis import given
from hypothesis import strategies as st
from ids import shown

import traincast
from traincast.curriculum import (
    Apply,
    Chain,
    Clip,
    Constant,
    Exponential,
    Linear,
    Milestones,
    PerformanceCurriculum,
    Piecewise,
    ProgressCurriculum,
)
from traincast.curriculum._json import read_argument, write_argument

RISING = Linear(0.0, 10.0, duration=100)


def strict_json(text):
    """Read JSON as other languages do: without NaN and infinities."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def made_from_json(env):
    """Make the env anew from its spec's JSON."""
    text = env.spec.to_json()
    strict_json(text)
    spec = EnvSpec.from_json(text)
    twin = gymnasium.make(spec)
    assert twin.spec == env.spec == spec
    assert spec == env.spec
    assert twin.spec.to_json() == text
    return twin


def by_progress(schedule, **arguments):
    return ProgressCurriculum(gymnasium.make("Recording-v0"), {"difficulty": schedule}, **arguments)


def by_performance(values, **arguments):
    arguments = {"promote_at": 1.0} | arguments
    return PerformanceCurriculum(gymnasium.make("Recording-v0"), {"difficulty": values}, **arguments)


def difficulty_of(env):
    env.reset()
    return env.unwrapped.difficulty


# --- what is written ---


@pytest.mark.parametrize(
    "schedule",
    [
        Constant((1, "x", [None, True], {"a": 1, 2: (3,)}, {"$schedule": "Linear"})),
        Constant(range(1, 9, 2)),
        Constant(10**100),
        Constant(-math.inf),
        RISING,
        Exponential(1.0, 0.1, 10, begin=3),
        Piecewise(((0, 0.0), (10, 1.0))),
        Milestones("walls", ((10, "doors"),)),
        Chain(((Constant(1.0), 10),), Linear(1.0, 0.0, 10)),
        Clip(RISING, low=0.5),
        Apply(round, RISING),
        Apply(curricula.ten_times, RISING),
        1 / (2 - RISING / 100) + np.float32(3) * RISING,
        curricula.Steps(25),
        curricula.ten_times,
        math.sqrt,
    ],
    ids=shown,
)
def test_a_schedule_survives(schedule):
    env = by_progress(schedule, default=50)
    twin = made_from_json(env)
    value = difficulty_of(twin)
    assert value == difficulty_of(env)
    assert type(value) is type(difficulty_of(env))
    assert twin.spec.additional_wrappers[-1].kwargs["schedules"]["difficulty"] == schedule


def test_every_argument_survives():
    env = by_progress(RISING, key="k", default=7.5, info_key=None, on_missing="ignore")
    assert made_from_json(env).spec.additional_wrappers[-1].kwargs == {
        "schedules": {"difficulty": RISING},
        "key": "k",
        "default": 7.5,
        "info_key": None,
        "on_missing": "ignore",
    }
    env = by_performance((1, 2), statistic=("episode", "r"), demote_at=np.float64(-1), max_level=np.int64(1))
    arguments = made_from_json(env).spec.additional_wrappers[-1].kwargs
    assert arguments["attributes"] == {"difficulty": (1, 2)}
    assert arguments["statistic"] == ("episode", "r")
    assert (arguments["demote_at"], arguments["max_level"]) == (-1.0, 1)
    assert made_from_json(by_performance((1, 2), statistic=curricula.ten_times))


@pytest.mark.parametrize(
    "values",
    [range(3), [1, 2.5], ("easy", "hard"), [(1, 2), (3, 4)], [{"a": 1}, {}], "ab", curricula.ten_times],
    ids=shown,
)
def test_the_values_of_a_level_survive(values):
    env = by_performance(values)
    twin = made_from_json(env)
    assert difficulty_of(twin) == difficulty_of(env)
    kept = twin.spec.additional_wrappers[-1].kwargs["attributes"]["difficulty"]
    assert kept == values
    assert type(kept) is type(values)


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(0, 1, 4),
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.zeros((2, 0), np.float32),
        np.array([[True], [False]]),
        np.array([math.nan, math.inf]),
        np.array(["easy", "hard"]),
        np.array(5, np.uint8),
    ],
    ids=shown,
)
def test_arrays_and_numpys_numbers_survive(array):
    kept = difficulty_of(made_from_json(by_progress(Constant(array))))
    assert (kept.dtype, kept.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(kept, array)
    number = array.ravel()[0] if array.size else array.dtype.type(2)
    kept = difficulty_of(made_from_json(by_progress(Constant(number))))
    assert type(kept) is type(number)
    np.testing.assert_array_equal(kept, number)


def test_curricula_inside_of_wrappers_survive():
    env = by_performance(range(3))
    env = ProgressCurriculum(env, {"max_level": RISING})
    env = traincast.TrainingInfoWrapper(gymnasium.wrappers.TimeAwareObservation(env), "a-run")
    twin = made_from_json(env)
    assert twin.spec.additional_wrappers == env.spec.additional_wrappers
    twin.reset()
    assert twin.unwrapped.difficulties == [0]


def test_an_env_that_is_registered_with_its_curriculum_survives():
    """Gymnasium compares the wrappers that such an env comes with to those of its spec."""
    env = gymnasium.make("Rising-v0")
    twin = made_from_json(env)
    assert twin.spec.additional_wrappers[0].entry_point == "traincast.curriculum:ProgressCurriculum"
    assert len(twin.spec.additional_wrappers) == 1
    assert difficulty_of(twin) == 1
    other = EnvSpec.from_json(env.spec.to_json().replace('"end": 10.0', '"end": 11.0'))
    with pytest.raises(ValueError, match="different from the saved"):
        gymnasium.make(other)


def test_another_program_makes_the_same_env():
    text = by_progress(Apply(curricula.ten_times, curricula.Steps(25)), default=60).spec.to_json()
    code = (
        "import sys, gymnasium, recording_envs\n"
        "from gymnasium.envs.registration import EnvSpec\n"
        "env = gymnasium.make(EnvSpec.from_json(sys.stdin.read()))\n"
        "env.reset()\n"
        "print(env.unwrapped.difficulty)"
    )
    support = str(Path(curricula.__file__).parent)
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {support!r})\n{code}"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.strip() == "500"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text("$ab", max_size=3) | st.integers() | st.tuples(st.integers()), inner)
    ),
)


@given(json_like)
def test_plain_values_survive_exactly(value):
    read = read_argument(strict_json(json.dumps(write_argument({"a": value}, "here"))))
    assert read == {"a": value}
    assert repr(read) == repr({"a": value})  # with the types of everything in it


# --- what stays as it is ---


def test_without_json_the_objects_themselves_are_used():
    handle, function = object(), lambda steps: handle
    env = by_progress(function)
    twin = gymnasium.make(env.spec)
    assert twin.spec == env.spec
    assert twin.spec.additional_wrappers[-1].kwargs["schedules"]["difficulty"] is function
    assert difficulty_of(twin) is handle


def test_specs_of_different_curricula_differ():
    assert by_progress(RISING).spec != by_progress(RISING + 1).spec
    assert by_progress(RISING).spec != by_progress(RISING, default=1).spec
    assert by_progress(RISING).spec != by_performance((1, 2)).spec
    assert by_progress(RISING).spec != gymnasium.make("Recording-v0").spec
    assert by_progress(RISING).spec != "Recording-v0"
    assert by_progress(lambda steps: 1).spec != by_progress(lambda steps: 1).spec
    assert by_progress(RISING).spec is not None
    env = by_progress(RISING)
    assert env.spec is env.spec


def test_wrappers_further_out_do_not_copy_large_values():
    class Handle:
        def __deepcopy__(self, memo):
            raise AssertionError("copied")

    handle = Handle()
    env = traincast.TrainingInfoWrapper(by_performance((handle,)), "a-run")
    assert difficulty_of(gymnasium.make(env.spec).env) is handle


def test_an_env_without_a_spec_has_none():
    assert ProgressCurriculum(curricula.PlainEnv(), {}).spec is None


# --- what is refused ---


class Mode(IntEnum):
    HARD = 1


class Handle:
    def method(self, steps):
        return 1


def cyclic():
    values = []
    values.append(values)
    return values


class InMain(curricula.Steps):
    pass


InMain.__module__ = "__main__"


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda steps: 1, r"schedules\['difficulty'\] cannot .* cannot import .*<lambda>; use a schedule"),
        (Apply(lambda value: 1, RISING), r"schedules\['difficulty'\]\.function cannot be written to JSON"),
        (partial(curricula.ten_times), "has no name by which it can be imported"),
        (Handle().method, "another program cannot import .*Handle.method"),
        (curricula.Opaque(), "Opaque is not a dataclass"),
        (1 + curricula.Opaque(), r"\.schedules\[0\] cannot be written to JSON: Opaque is not"),
        (curricula.Doubling(1), "Doubling made from its fields has other fields"),
        (curricula.Forgetful(1, 2), "Forgetful cannot be made from its fields: .*secret"),
        (InMain(1), "another program cannot import __main__.InMain"),
        (Constant(Handle()), r"schedules\['difficulty'\]\.value cannot .* Handle is not supported, only"),
        (Constant([{"a": {1}}]), r"\.value\[0\]\['a'\] cannot be written to JSON: set is not supported"),
        (Constant({Handle(): 1}), "key .* cannot be written to JSON: Handle is not"),
        (Constant(Mode.HARD), "Mode is not supported"),
        (Constant(torch.ones(1)), "Tensor is not supported"),
        (Constant(np.longdouble(1)), "numpy's longdouble is not supported|numpy's float128 is not supported"),
        (Constant(np.array([object()])), "numpy's object is not supported"),
        (Constant(np.datetime64("2020-01-01")), "numpy's datetime64"),
        (Constant(np.ma.masked_array([1])), "MaskedArray is not supported"),
        (Constant(cyclic()), "nested too deeply"),
    ],
    ids=shown,
)
def test_what_cannot_be_written_is_refused_with_its_place(schedule, message):
    env = traincast.TrainingInfoWrapper(by_progress(schedule), "a-run")
    with pytest.raises(ValueError, match=message) as refused:
        env.spec.to_json()
    assert str(refused.value).startswith("ProgressCurriculum: schedules")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": [Handle()]}, r"PerformanceCurriculum: attributes\['difficulty'\]\[0\] cannot be written"),
        ({"values": lambda level: level}, r"attributes\['difficulty'\] cannot be written"),
        ({"values": deque([1])}, "deque is not supported"),
        ({"values": (1,), "statistic": lambda episode: 1}, "PerformanceCurriculum: statistic cannot be"),
    ],
)
def test_so_are_the_arguments_of_the_other_curriculum(arguments, message):
    with pytest.raises(ValueError, match=message):
        by_performance(**arguments).spec.to_json()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"$schedule": "Lineal"}, "unknown schedule: 'Lineal'"),
        ({"$schedule": "curricula:ten_times"}, "unknown schedule"),
        ({"$schedule": "math"}, "unknown schedule"),
        ({"$pickle": "x"}, r"unknown form: '\$pickle'"),
    ],
)
def test_a_form_that_nobody_wrote_is_refused(form, message):
    spec = by_progress(RISING).spec.to_json()
    text = spec.replace(json.dumps(write_argument(RISING, "")["$json"]), json.dumps(form))
    assert text != spec
    with pytest.raises(ValueError, match=message):
        gymnasium.make(EnvSpec.from_json(text))


def test_nothing_is_said_on_the_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made_from_json(by_progress(RISING))

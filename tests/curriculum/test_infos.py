"""What curricula show of themselves: one dictionary of floats, which vector envs can aggregate."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import curricula
import gymnasium
import numpy as np
import pytest
import torch
from recording_envs import STEPS, PlainEnv

import traincast
from traincast.curriculum import Constant, Linear, PerformanceCurriculum, ProgressCurriculum

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

GYMNASIUM_1 = int(gymnasium.__version__.split(".")[0]) >= 1
KEYS = {"level", "average", "progress", "reward"}


def by_progress(env=None, value=None, **arguments):
    schedule = Linear(0.0, 10.0, 100) if value is None else Constant(value)
    return ProgressCurriculum(env or PlainEnv(), {"difficulty": schedule}, **arguments)


def by_performance(env=None, **arguments):
    arguments = {"promote_at": 3.0, "window": 2} | arguments
    return PerformanceCurriculum(env or PlainEnv(), {"difficulty": range(4)}, **arguments)


def episode_of(env):
    """Play one; returns the infos of the reset and of each step."""
    infos = [env.reset()[1]]
    finished = False
    while not finished:
        _, _, terminated, truncated, info = env.step(0)
        infos.append(info)
        finished = terminated or truncated
    return infos


def shown(env):
    """Play an episode; returns what is shown at its reset and at its end."""
    first, *between, last = episode_of(env)
    assert all("curriculum" not in info for info in between)
    return first["curriculum"], last["curriculum"]


def test_the_progress_and_each_value_are_shown_at_reset_and_in_the_last_step():
    env = by_progress()
    assert shown(env) == ({"progress": 0.0, "difficulty": 0.0},) * 2
    env.set_training_info({STEPS: 50})
    assert shown(env) == ({"progress": 50.0, "difficulty": 5.0},) * 2


def test_the_last_step_shows_what_its_episode_was_played_with():
    env = by_progress()
    env.reset()
    env.set_training_info({STEPS: 50})
    for _ in range(3):
        *_, info = env.step(0)
    assert info["curriculum"] == {"progress": 0.0, "difficulty": 0.0}


def test_the_level_and_its_average_are_shown():
    env = by_performance()
    (first, last), (first_again, last_again) = shown(env), shown(env)
    assert first["level"] == 0.0
    assert math.isnan(first["average"])  # there is no result yet
    assert last == first_again == last_again == {"level": 0.0, "average": 3.0}
    first, last = shown(env)  # the level has risen: its own results count, and there are none yet
    assert first["level"] == 1.0
    assert math.isnan(first["average"])
    assert last == {"level": 1.0, "average": 3.0}


@pytest.mark.parametrize("order", [(by_performance, by_progress), (by_progress, by_performance)])
def test_curricula_inside_of_one_another_share_the_dictionary(order):
    env = PlainEnv()
    for wrap in order:
        env = wrap(gymnasium.Wrapper(env))
    for values in shown(env):
        assert values.keys() == {"level", "average", "progress", "difficulty"}


def test_where_two_use_one_key_the_outer_one_stands():
    env = by_progress(by_progress(default=10), default=20)
    assert shown(env)[0] == {"progress": 20.0, "difficulty": 2.0}
    assert env.env.values == {"difficulty": 1.0}


def test_nothing_is_shown_while_the_attributes_are_left_alone():
    env = by_progress(default=None)
    assert all("curriculum" not in info for info in episode_of(env))
    env.set_training_info({STEPS: 50})
    assert shown(env)[1] == {"progress": 50.0, "difficulty": 5.0}


@pytest.mark.parametrize("wrap", [by_progress, by_performance])
def test_infos_can_be_left_alone_or_another_key_be_given(wrap):
    assert all(info.keys() <= {"success"} for info in episode_of(wrap(info_key=None)))
    first, *_, last = episode_of(wrap(info_key="bots"))
    assert "bots" in first
    assert first.keys() | last.keys() == {"bots", "success"}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (True, 1.0),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.bool_(True), 1.0),
        (np.array(2), 2.0),
        (torch.tensor(0.25), 0.25),
        (Fraction(1, 4), 0.25),
        (math.inf, math.inf),
    ],
    ids=repr,
)
def test_numbers_of_all_kinds_are_shown_as_floats(value, number):
    for values in shown(by_progress(value=value)):
        assert values == {"progress": 0.0, "difficulty": number}
        assert all(type(shown_value) is float for shown_value in values.values())


@pytest.mark.parametrize(
    "value",
    [
        "maze",
        (1, 2),
        [1],
        {"a": 1},
        1j,
        np.arange(3),
        np.array("maze"),
        torch.ones(2),
        10**400,
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_are_not_numbers_are_left_out(value):
    env = by_progress(value=value)
    assert shown(env) == ({"progress": 0.0},) * 2
    assert env.values["difficulty"] is value


# --- the env's own infos ---


def test_the_envs_own_info_is_not_changed():
    class Keeping(PlainEnv):
        kept = {"a": 1, "curriculum": {"walls": 3.0}}  # noqa: RUF012

        def reset(self, **arguments):
            return super().reset(**arguments)[0], self.kept

    env = by_performance(by_progress(Keeping()))
    info = env.reset()[1]
    assert info["curriculum"].keys() == {"walls", "progress", "difficulty", "level", "average"}
    assert Keeping.kept == {"a": 1, "curriculum": {"walls": 3.0}}


def test_an_info_of_the_same_name_stays_and_is_named_in_a_warning(monkeypatch):
    monkeypatch.setattr("traincast._warnings._said", set())

    class Other(PlainEnv):
        def reset(self, **arguments):
            return super().reset(**arguments)[0], {"curriculum": "maze"}

    env = by_progress(Other())
    with pytest.warns(traincast.TraincastWarning, match=r"'curriculum' of its own.*another info_key="):
        assert env.reset()[1] == {"curriculum": "maze"}
    assert env.reset()[1] == {"curriculum": "maze"}  # and it is said once


class Team(PlainEnv):
    """Two agents, whose flags and infos come as `kind` puts several things together."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def reset(self, **arguments):
        observation, info = super().reset(**arguments)
        return observation, [info, dict(info)]

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        flags = self.kind([False, terminated]), self.kind([truncated, False])
        return observation, [reward] * 2, *flags, [info, dict(info)]


@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, torch.tensor, lambda flags: dict(zip("ab", flags, strict=True))],
    ids=["list", "tuple", "array", "tensor", "dict"],
)
def test_each_agent_of_several_is_shown_it(kind):
    env = by_progress(Team(kind))
    expected = {"progress": 0.0, "difficulty": 0.0}
    assert [info["curriculum"] for info in env.reset()[1]] == [expected] * 2
    assert env.step(0)[-1] == [{"success": 1.0}] * 2
    env.step(0)
    assert [info["curriculum"] for info in env.step(0)[-1]] == [expected] * 2


def test_infos_of_an_unknown_kind_pass_through():
    class Odd(PlainEnv):
        def reset(self, **arguments):
            return super().reset(**arguments)[0], None

    assert by_progress(Odd()).reset()[1] is None


# --- in vector envs ---

# Episodes of 2 and 3 steps. The first env is reset in step 2 (or 3), the second in step 3 (or 4).
MAKERS = [partial(curricula.make_skilled, 2), partial(curricula.make_skilled, 3)]


@pytest.mark.parametrize("kind", [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv])
@pytest.mark.skipif(not GYMNASIUM_1, reason="0.29 has one way of resetting, tested below")
class TestGymnasium1:
    def make(self, kind, mode):
        mode = gymnasium.vector.AutoresetMode[mode]
        return kind(MAKERS, autoreset_mode=mode)

    def check(self, infos, who, level=0.0):
        """The dictionary is there for `who` alone, complete, as arrays of floats."""
        if not any(who):
            assert "curriculum" not in infos
            return
        values = infos["curriculum"]
        assert infos["_curriculum"].tolist() == who
        assert values.keys() == KEYS | {f"_{key}" for key in KEYS}
        for key in KEYS:
            assert values[key].dtype == np.float64
            assert values[f"_{key}"].tolist() == who
        assert values["reward"].tolist() == [float(there) for there in who]
        assert values["level"].tolist() == [level * there for there in who]

    def test_next_step(self, kind):
        envs = self.make(kind, "NEXT_STEP")
        self.check(envs.reset()[1], [True, True])
        # Ends: step 2 and 3; the resets after them: step 3 and 4; the next ends: step 5 and 7.
        for who in ([False, False], [True, False], [True, True], [False, True], [True, False]):
            self.check(envs.step(np.zeros(2, int))[-1], who)
        envs.close()

    def test_same_step(self, kind):
        envs = self.make(kind, "SAME_STEP")
        self.check(envs.reset()[1], [True, True])
        # Ends, and the resets after them: steps 2 and 4; and 3.
        for who in ([False, False], [True, False], [False, True]):
            infos = envs.step(np.zeros(2, int))[-1]
            self.check(infos, who)
            self.check(infos.get("final_info", {}), who)
        infos = envs.step(np.zeros(2, int))[-1]
        self.check(infos["final_info"], [True, False])
        self.check(infos, [True, False], level=1.0)  # after the second episode of the first env
        envs.close()

    def test_no_automatic_resets(self, kind):
        envs = self.make(kind, "DISABLED")
        self.check(envs.reset()[1], [True, True])
        self.check(envs.step(np.zeros(2, int))[-1], [False, False])
        self.check(envs.step(np.zeros(2, int))[-1], [True, False])
        self.check(envs.reset(options={"reset_mask": np.array([True, False])})[1], [True, False])
        self.check(envs.step(np.zeros(2, int))[-1], [False, True])
        envs.close()


@pytest.mark.parametrize("kind", [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv])
@pytest.mark.skipif(GYMNASIUM_1, reason="that of Gymnasium 0.29")
def test_gymnasium_0_29_keeps_a_dictionary_for_each_env(kind):
    def values_of(infos, who):
        assert infos["_curriculum"].tolist() == who
        return [{**values} for values in infos["curriculum"][who]]

    envs = kind(MAKERS)
    assert [values.keys() for values in values_of(envs.reset()[1], [True, True])] == [KEYS, KEYS]
    assert "curriculum" not in envs.step(np.zeros(2, int))[-1]
    for who in ([True, False], [False, True]):
        infos = envs.step(np.zeros(2, int))[-1]
        assert [values.keys() for values in values_of(infos, who)] == [KEYS]
        assert infos["_final_info"].tolist() == who
        (final,) = infos["final_info"][who]
        assert final["curriculum"].keys() == KEYS
        assert final["curriculum"]["level"] == 0.0
    envs.close()

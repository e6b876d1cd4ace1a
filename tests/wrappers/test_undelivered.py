"""A delivery that reaches nobody says so, with what was looked at."""

from __future__ import annotations

import gymnasium
import pytest
from recording_envs import STEPS, PlainEnv, RecordingEnv

import traincast
from traincast.curriculum import Linear, ProgressCurriculum

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def run():
    with traincast.Run("ppo", start=10) as run:
        yield run


def test_an_env_without_the_method_is_warned_of_once(run):
    env = run.wrap_env(gymnasium.wrappers.TimeLimit(PlainEnv(), 9))
    with pytest.warns(
        traincast.TraincastWarning, match=r"nothing in TimeLimit > PlainEnv has .*Give the env"
    ) as said:
        env.reset()
    assert said[0].filename == __file__
    assert env.training_info == {STEPS: 10}
    run.publish(20)
    env.reset()  # it is said once
    assert env.training_info == {STEPS: 20}
    run.wrap_env(gymnasium.wrappers.TimeLimit(PlainEnv(), 9)).reset()


def test_a_delivery_in_step_that_reaches_nobody_warns_too(run):
    env = run.wrap_env(PlainEnv(), deliver="step")
    env.reset()
    with pytest.warns(traincast.TraincastWarning, match="reached nobody"):
        env.step(0)
    env.step(0)


class Keeper(gymnasium.Wrapper):
    """Keeps what wants to be told under a name that the search does not know."""

    def __init__(self, env):
        super().__init__(env)
        self.game = RecordingEnv()


def test_what_has_the_method_under_an_unknown_name_is_named(run):
    env = run.wrap_env(Keeper(PlainEnv()))
    with pytest.warns(
        traincast.TraincastWarning, match=r"The 'game' of Keeper has it.*\(self\.game, \.\.\.\)"
    ):
        env.reset()


class Misspelt(PlainEnv):
    def set_trainings_info(self, training_info):
        raise AssertionError("nobody calls it")


class CamelCase(PlainEnv):
    def setTrainingInfo(self, training_info):  # noqa: N802
        raise AssertionError("nobody calls it")


class Getter(PlainEnv):
    def get_training_info(self):
        raise AssertionError("nobody calls it")


@pytest.mark.parametrize(
    ("make", "near"), [(Misspelt, "set_trainings_info"), (CamelCase, "setTrainingInfo"), (Getter, None)]
)
def test_a_method_of_nearly_that_name_is_named(run, make, near):
    hint = f"{make.__name__} has '{near}': did you mean that?" if near else "Give the env that method"
    with pytest.warns(traincast.TraincastWarning, match=hint.replace("?", r"\?")):
        run.wrap_env(make()).reset()


def test_a_curriculum_outside_of_the_wrapper_is_warned_of(run):
    env = ProgressCurriculum(run.wrap_env(PlainEnv()), {"reward": Linear(0, 1, 10)})
    with pytest.warns(traincast.TraincastWarning) as said:
        env.reset()
    texts = [str(warning.message) for warning in said]
    assert any("and curricula, inside of this one" in text for text in texts)
    assert any("Put the wrapper around it" in text for text in texts)


def test_an_async_vector_env_names_where_its_envs_are(run):
    envs = gymnasium.vector.AsyncVectorEnv([RecordingEnv] * 2)
    wrapped = run.wrap_env(envs)
    try:
        with pytest.warns(
            traincast.TraincastWarning,
            match=r"envs of AsyncVectorEnv live in other processes.*run\.wrap_env_fn",
        ):
            wrapped.reset()
    finally:
        wrapped.close()


def test_the_warning_can_be_switched_off(run):
    env = run.wrap_env(PlainEnv(), on_undelivered="ignore")
    env.reset()
    assert env.training_info == {STEPS: 10}
    with pytest.raises(ValueError, match="on_undelivered must be one of"):
        run.wrap_env(PlainEnv(), on_undelivered="raise")


class Lazy(PlainEnv):
    """Builds its inner env at the first reset."""

    def reset(self, **arguments):
        self._env = RecordingEnv()
        self.reset_again = self._env.reset(**arguments)
        return super().reset(**arguments)


def test_an_inner_env_that_is_built_at_the_first_reset_gets_it_at_the_next_one(run):
    class BuiltOnce(PlainEnv):
        _env = None

        def reset(self, **arguments):
            self._env = self._env or RecordingEnv()
            return self._env.reset(**arguments)

    env = run.wrap_env(BuiltOnce())
    assert env.reset()[1]["known_steps"] == -1
    assert env.reset()[1]["known_steps"] == 10
    env.reset()
    assert env.unwrapped._env.seen == [10]


def test_a_newer_snapshot_takes_the_place_of_one_that_reached_nobody(run):
    env = run.wrap_env(Lazy())
    env.reset()
    inner = env.unwrapped._env
    run.publish(20)
    env.reset()
    assert inner.seen == [20]


class Failing(RecordingEnv):
    """Fails at the given deliveries, after it has changed its dictionary."""

    def __init__(self, *fails, error=OSError):
        super().__init__()
        self.calls, self.fails, self.error = 0, fails, error

    def set_training_info(self, training_info):
        self.calls += 1
        if self.calls in self.fails:
            training_info.clear()
            raise self.error("not now")
        super().set_training_info(training_info)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_failed_delivery_is_repeated(run, error):
    env = run.wrap_env(Failing(1, 2, 4, error=error))
    for _ in range(2):
        with pytest.raises(error):
            env.reset()
        assert env.training_info == {}  # it was not delivered
    env.reset()
    assert env.unwrapped.seen == [10]
    run.publish(20)
    with pytest.raises(error):
        env.reset()
    assert env.training_info == {STEPS: 10}
    env.reset()
    env.reset()
    assert env.unwrapped.seen == [10, 20]


def test_a_newer_snapshot_takes_the_place_of_a_failed_one(run):
    env = run.wrap_env(Failing(1))
    with pytest.raises(OSError, match="not now"):
        env.reset()
    run.publish(20)
    env.reset()
    assert env.unwrapped.seen == [20]


def test_a_failed_delivery_is_repeated_after_the_run_has_ended(run):
    class Once(Failing):
        def set_training_info(self, training_info):
            if not self.calls:
                self.calls = 1
                raise OSError("not now")
            RecordingEnv.set_training_info(self, training_info)

    env = run.wrap_env(Once())
    with pytest.raises(OSError, match="not now"):
        env.reset()
    run.close()
    env.reset()
    assert env.unwrapped.seen == [10]


def test_a_failed_delivery_is_repeated_for_all_interfaces(run):
    class Team(PlainEnv):
        def __init__(self):
            super().__init__()
            self.envs = [RecordingEnv(), Failing(1), RecordingEnv()]

    env = run.wrap_env(Team())
    with pytest.raises(OSError, match="not now"):
        env.reset()
    env.reset()
    assert [inner.seen for inner in env.unwrapped.envs] == [[10, 10], [10], [10]]


@pytest.mark.parametrize("given", [True, False])
def test_a_frozen_snapshot_is_repeated_unchanged(run, given):
    run.publish(20)
    env = run.wrap_eval_env(Failing(1, 2), {STEPS: 20} if given else None, info_key="traincast")
    for _ in range(2):
        with pytest.raises(OSError, match="not now"):
            env.reset()
        run.publish(30)
    info = env.reset()[1]
    assert env.unwrapped.seen == [20]
    assert info["traincast"]["version"] == (0 if given else 2)
    env.reset()
    assert env.unwrapped.seen == [20]


def test_a_failed_delivery_in_step_is_repeated(run):
    env = run.wrap_env(Failing(1), deliver="step")
    env.reset()
    with pytest.raises(OSError, match="not now"):
        env.step(0)
    env.step(0)
    assert env.unwrapped.seen == [10]


def test_an_exception_during_the_search_passes_through(run):

    class Outer(PlainEnv):
        def __init__(self):
            super().__init__()
            self.env = Inner()

    class Inner(PlainEnv):
        broken = True

        def __init__(self):
            super().__init__()
            self.inner = RecordingEnv()

        @property
        def env(self):
            if self.broken:
                raise OSError("not yet")
            return self.inner

    env = run.wrap_env(Outer())
    with pytest.raises(OSError, match="not yet"):
        env.reset()
    env.unwrapped.env.broken = False
    env.reset()
    assert env.unwrapped.env.inner.seen == [10]

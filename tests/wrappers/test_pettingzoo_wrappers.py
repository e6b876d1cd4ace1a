"""`TrainingInfoParallelWrapper`, `TrainingInfoAECWrapper`: PettingZoo's own tests, and through converters."""

from __future__ import annotations

import copy
import pickle

import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from pettingzoo.utils import aec_to_parallel, parallel_to_aec
from pettingzoo.utils.wrappers import OrderEnforcingWrapper
from recording_envs import RecordingEnv
from zoo_envs import Nim, Pennies

import traincast

STEPS = "approx_total_training_steps"

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    # Warnings of PettingZoo's tests about any env.
    pytest.mark.filterwarnings(
        "ignore:(?!training information|nothing has arrived|the process ends):UserWarning"
    ),
]


@pytest.fixture
def run():
    with traincast.Run("zoo", start=10) as run:
        yield run


@pytest.mark.parametrize("options", [{}, {"info_key": "traincast"}, {"deliver": "both"}], ids=str)
def test_the_parallel_wrapper_passes_pettingzoos_tests(run, options):
    parallel_api_test(run.wrap_env(Pennies(), **options), num_cycles=50)
    parallel_seed_test(lambda: run.wrap_env(Pennies(), **options), num_cycles=20)


@pytest.mark.parametrize("options", [{}, {"info_key": "traincast"}, {"deliver": "both"}], ids=str)
def test_the_aec_wrapper_passes_pettingzoos_tests(run, options):
    def make():
        return run.wrap_env(OrderEnforcingWrapper(Nim()), **options)

    assert type(make()) is traincast.TrainingInfoAECWrapper
    api_test(make(), num_cycles=50)
    if "info_key" not in options:  # ages differ
        seed_test(make, num_cycles=20)


def test_converted_envs_pass_too(run):
    api_test(run.wrap_env(parallel_to_aec(Pennies())), num_cycles=20)
    api_test(parallel_to_aec(run.wrap_env(Pennies())), num_cycles=20)
    parallel_api_test(aec_to_parallel(run.wrap_env(parallel_to_aec(Pennies()))), num_cycles=20)


def play(env):
    """One episode of a parallel env; the steps that its reset knew."""
    observations, _ = env.reset()
    while env.agents:
        env.step(dict.fromkeys(env.agents, 0))
    return observations["even"][1]


@pytest.mark.parametrize(
    "convert",
    [
        lambda run: run.wrap_env(Pennies()),
        lambda run: aec_to_parallel(run.wrap_env(parallel_to_aec(Pennies()))),
        lambda run: aec_to_parallel(parallel_to_aec(run.wrap_env(Pennies()))),
        lambda run: run.wrap_env(aec_to_parallel(parallel_to_aec(Pennies()))),
    ],
    ids=["parallel", "aec inside", "parallel inside", "outside"],
)
def test_every_reset_knows_the_newest(run, convert):
    env = convert(run)
    assert play(env) == 10
    for steps in (20, 30, 40):
        run.publish(steps)
        assert play(env) == steps
    env.close()


def test_an_aec_env_gets_it_once_per_version(run):
    env = run.wrap_env(OrderEnforcingWrapper(Nim()))
    for _ in range(2):
        env.reset(seed=1)
    run.publish(20)
    env.reset()
    assert env.unwrapped.received == [10, 20]
    assert env.unwrapped is env.env.unwrapped


def test_infos_show_version_and_age(run):
    env = run.wrap_env(Pennies(rounds=2), info_key="traincast")
    _, infos = env.reset()
    assert {info["traincast"]["version"] for info in infos.values()} == {1}
    assert all("traincast" not in info for info in env.step({"even": 0, "odd": 1})[4].values())
    assert {info["traincast"]["version"] for info in env.step({"even": 0, "odd": 1})[4].values()} == {1}


def test_infos_of_aec_envs_show_version_and_age(run):
    env = run.wrap_env(OrderEnforcingWrapper(Nim()), info_key="traincast")
    env.reset()
    assert env.last()[4]["traincast"]["version"] == 1
    env.step(1)
    assert "traincast" not in env.last()[4]
    env.step(1)
    env.step(0)  # takes two, the last ones
    assert env.last()[2]
    assert env.last()[4]["traincast"]["version"] == 1


@pytest.mark.parametrize("make", [Pennies, lambda: OrderEnforcingWrapper(Nim())])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_they_can_be_copied(run, make, duplicate):
    env = run.wrap_env(make())
    env.reset()
    twin = duplicate(env)
    run.publish(20)
    twin.reset()
    assert twin.training_info == {STEPS: 20}
    assert env.training_info == {STEPS: 10}


def test_an_env_function_can_be_wrapped_and_pickled(run):
    make = pickle.loads(pickle.dumps(run.wrap_env_fn(Pennies)))
    assert play(make(rounds=5)) == 10


def test_an_evaluation_keeps_the_given_value(run):
    env = run.wrap_eval_env(Pennies(), {STEPS: 99})
    run.publish(20)
    assert [play(env), play(env)] == [99, 99]


def test_envs_of_other_kinds_are_refused_with_the_remedy(run):
    for env in (parallel_to_aec(Pennies()), RecordingEnv()):
        with pytest.raises(TypeError, match="TrainingInfoAECWrapper for AECEnv, TrainingInfoWrapper for gym"):
            traincast.TrainingInfoParallelWrapper(env, run)
    with pytest.raises(TypeError, match="TrainingInfoParallelWrapper is for ParallelEnv"):
        traincast.TrainingInfoAECWrapper(Pennies(), run)
    with pytest.raises(TypeError, match="TrainingInfoParallelWrapper and TrainingInfoAECWrapper"):
        traincast.TrainingInfoWrapper(Pennies(), run)


def test_an_env_without_the_method_says_so(run):
    class Deaf(Pennies):
        set_training_info = None

    with pytest.warns(traincast.TraincastWarning, match="nothing in Deaf has the method"):
        run.wrap_env(Deaf()).reset()


def test_without_a_learner_it_warns(channel_name):
    env = traincast.TrainingInfoParallelWrapper(Pennies(), channel_name)
    for _ in range(99):
        env.reset()
    with pytest.warns(traincast.TraincastWarning, match="in 100 resets"):
        env.reset()

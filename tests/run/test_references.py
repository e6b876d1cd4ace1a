"""A run travels: in env functions and callbacks, to workers of every start method, as a reference."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import functools
import multiprocessing
import os
import pickle

import cloudpickle
import gymnasium
import numpy as np
import pytest
import torch
from processes import Process, forked
from recording_envs import STEPS, RecordingEnv
from snapshots import assert_identical

import traincast

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

START_METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture
def run():
    with traincast.Run("ppo") as run:
        yield run


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_env_functions_pickle(run, dumps):
    make = pickle.loads(dumps(run.wrap_env_fn(RecordingEnv)))
    assert make().reset()[1]["known_steps"] == 0
    make = pickle.loads(dumps(run.wrap_env_fn(functools.partial(RecordingEnv, length=7), deliver="both")))
    assert make().unwrapped.length == 7


def test_lambdas_pickle_with_cloudpickle(run):
    length = 9
    make = pickle.loads(cloudpickle.dumps(run.wrap_env_fn(lambda: RecordingEnv(length))))
    assert make().unwrapped.length == 9
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(run.wrap_env_fn(lambda: RecordingEnv(length)))


def test_arguments_go_to_the_env_function(run):
    make = run.wrap_env_fn(RecordingEnv)
    assert make(5, reward=2.0).unwrapped.length == 5


@pytest.mark.parametrize("method", START_METHODS)
def test_no_reset_comes_before_the_first_snapshot(method):
    with traincast.Run("vec", start=3) as run:
        envs = gymnasium.vector.AsyncVectorEnv([run.wrap_env_fn(RecordingEnv)] * 2, context=method)
        try:
            assert envs.reset()[1]["known_steps"].tolist() == [3, 3]
            run.publish(50)
            assert envs.reset()[1]["known_steps"].tolist() == [50, 50]
        finally:
            envs.close()


def test_the_method_itself_is_a_wrapper_that_travels(run):
    run.publish(30)
    envs = gymnasium.make_vec("Recording-v0", num_envs=2, vectorization_mode="async", wrappers=[run.wrap_env])
    try:
        assert envs.reset()[1]["known_steps"].tolist() == [30, 30]
    finally:
        envs.close()


def make_elsewhere(make, place):
    """Make an env in a process whose environment names another directory."""
    os.environ["TRAINCAST_DIR"] = place
    os.environ["TRAINCAST_NAME"] = "another"
    return make()


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.parametrize("given", [False, True], ids=["environment", "argument"])
def test_the_directory_travels_with_the_run(method, given, tmp_path):
    (tmp_path / "mine").mkdir(mode=0o700)
    directory = tmp_path / "mine" if given else None
    with traincast.Run("vec", start=3, directory=directory) as run:
        make = functools.partial(make_elsewhere, run.wrap_env_fn(RecordingEnv), str(tmp_path / "elsewhere"))
        envs = gymnasium.vector.AsyncVectorEnv([make], context=method)
        try:
            assert envs.reset()[1]["known_steps"].tolist() == [3]
        finally:
            envs.close()


def test_a_relative_directory_is_the_learners(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with traincast.Run("relative", directory="channels") as run:
        twin = run.wrap_env(RecordingEnv())
        monkeypatch.chdir("/")
        assert twin.reset()[1]["known_steps"] == 0


class Callback:
    """A framework's callback that keeps the run, as users write them."""

    def __init__(self, run):
        self.run = run


def in_a_worker(callback, pipe):
    run = callback.run
    env = run.wrap_env(RecordingEnv())
    try:
        run.publish(1)
    except traincast.ForkedWriterError as error:
        refused = str(error)
    env.reset()
    run.close()
    state = run.state_dict()
    pipe.send((refused, run.publishes, repr(run), env.reset()[1]["known_steps"], state["training_info"]))


@pytest.mark.parametrize("method", START_METHODS)
def test_in_a_worker_a_run_wraps_and_reads_but_does_not_publish(run, method):
    run.publish(40)
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    worker = context.Process(target=in_a_worker, args=(Callback(run), theirs))
    worker.start()
    theirs.close()
    refused, publishes, shown, known, info = ours.recv()
    worker.join()
    ours.close()
    assert "the process that made" in refused
    assert not publishes
    assert shown == f"<Run {run.name!r} policy_id=0, a reference>"
    assert known == 40
    assert info == {STEPS: 40}
    assert run.publish(41)  # its close closed nothing


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda run: pickle.loads(pickle.dumps(run))])
def test_in_the_learner_a_copy_is_the_run(run, duplicate):
    twin = duplicate(run)
    assert twin is run
    run.close()
    assert duplicate(run) is run


def test_a_forked_child_leaves_the_run_alone(run):
    run.publish(5)

    def child():
        twin = copy.deepcopy(run)
        results = [run.publishes, twin.publishes, run.state_dict()["training_info"][STEPS]]
        for attempt in (
            lambda: run.publish(6),
            lambda: twin.publish(6),
            lambda: run.load_state_dict(run.state_dict()),
            lambda: run.log_to(print),
        ):
            with pytest.raises(traincast.ForkedWriterError):
                attempt()
        run.close()
        with traincast.Run("child") as own:
            own.publish(1)
        return results

    assert forked(child) == [False, False, 5]
    run.publish(7)
    assert traincast.TrainingInfoReader(run.name).read()[STEPS] == 7


def test_a_reference_elsewhere_knows_the_run_again_at_home(run):
    with Process() as other:
        other.run("import pickle")
        back = other.call("lambda data: pickle.dumps(pickle.loads(data))", pickle.dumps(run))
    assert pickle.loads(back) is run


def test_what_takes_a_run_takes_its_name(run):
    run.publish(8)
    for of in (run, run.name, copy.deepcopy(run)):
        assert traincast.TrainingInfoWrapper(RecordingEnv(), of).reset()[1]["known_steps"] == 8
    for other in (traincast.TrainingInfoReader(run.name), traincast.Run, 5, b"name"):
        with pytest.raises(TypeError, match=r"expected a traincast\.Run or the name of one, not"):
            traincast.TrainingInfoWrapper(RecordingEnv(), other)


def test_an_env_in_place_of_a_function_is_refused_and_vice_versa(run):
    with pytest.raises(TypeError, match="wrap_env takes an env"):
        run.wrap_env_fn(RecordingEnv())
    with pytest.raises(TypeError, match="wrap_env_fn takes a function"):
        run.wrap_env(RecordingEnv)
    with pytest.raises(TypeError, match=r"gymnasium\.Env, not builtins.int"):
        run.wrap_env(5)


def test_an_evaluation_keeps_what_is_newest_at_its_first_reset(run):
    env = run.wrap_eval_env(RecordingEnv())
    run.publish(10)
    assert env.reset()[1]["known_steps"] == 10
    run.publish(20)
    assert env.reset()[1]["known_steps"] == 10
    run.close()
    assert env.reset()[1]["known_steps"] == 10


def test_a_copy_of_an_evaluation_keeps_what_it_keeps(run):
    run.publish(10)
    env = run.wrap_eval_env(RecordingEnv())
    env.reset()
    run.publish(20)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert twin.reset()[1]["known_steps"] == 10
    env.close()
    assert env.reset()[1]["known_steps"] == 10


def test_an_evaluation_that_keeps_the_start_says_so(run):
    env = run.wrap_eval_env(RecordingEnv())
    with pytest.warns(
        traincast.TraincastWarning, match="at the start of the training.*wrap_eval_env"
    ) as said:
        env.reset()
    assert said[0].filename == __file__
    run.publish(5)
    assert env.reset()[1]["known_steps"] == 0


def test_an_evaluation_goes_on_where_warnings_are_errors(run):
    env = run.wrap_eval_env(RecordingEnv())
    with pytest.raises(traincast.TraincastWarning):
        env.reset()
    assert env.reset()[1]["known_steps"] == 0


def test_an_evaluation_sees_what_it_is_given(run):
    weights = np.array([1.0, 3.0])
    env = run.wrap_eval_env(RecordingEnv(), {STEPS: 9, "weights": weights})
    weights[0] = 99
    env.reset()
    env.unwrapped.training_info["weights"][0] = 77
    run.publish(20)
    twin = copy.deepcopy(env)
    assert env.reset()[1]["known_steps"] == 9
    assert twin.reset()[1]["known_steps"] == 9
    assert twin.unwrapped.seen == [9, 9]
    assert twin.unwrapped.training_info["weights"].tolist() == [1, 3]


class Phase(enum.Enum):
    EASY = "easy"


@dataclasses.dataclass
class Level:
    size: int = 4


def test_an_evaluation_sees_values_as_the_training_does(run):
    values = {
        "phase": Phase.EASY,
        "level": Level(),
        "queue": collections.deque([Level()]),
        "of": {np.int64(3): (collections.defaultdict(int, a=1), bytearray(b"b"))},
        "number": np.float32(0.5),
        "text": np.array(["a"]),
        "tensor": torch.ones(2, requires_grad=True),
    }
    run.publish(9, **values)
    training, evaluation = (
        run.wrap_env(RecordingEnv()),
        run.wrap_eval_env(RecordingEnv(), {STEPS: 9, **values}),
    )
    for env in (training, evaluation):
        env.reset()
    assert_identical(evaluation.unwrapped.training_info, training.unwrapped.training_info)
    assert training.unwrapped.training_info["phase"] == "easy"


def test_an_evaluation_may_be_given_what_no_channel_carries(run):
    env = run.wrap_eval_env(RecordingEnv(), {STEPS: 9, "of": [{("a", 1): len}]})
    env.reset()
    assert env.unwrapped.training_info == {STEPS: 9, "of": [{("a", 1): len}]}


def test_an_evaluation_without_steps_is_refused(run):
    with pytest.raises(traincast.MissingKeyError, match=STEPS):
        run.wrap_eval_env(RecordingEnv(), {"a": 1})

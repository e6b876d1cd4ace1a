"""The wrapper in other processes: pickling, copying, fork, spawn, forkserver."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle

import pytest
from learner_process import LearnerProcess
from recording_envs import STEPS, RecordingEnv, make_recording_env

import traincast

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

START_METHODS = ["fork", "spawn", "forkserver"]


def serve(env, pipe, directory):
    """Reset when asked, and answer with what the reset knew."""
    os.environ["TRAINCAST_DIR"] = (
        directory  # the environment of a fork server's child is that of the server's start
    )
    while pipe.recv() == "reset":
        pipe.send(env.reset()[1]["known_steps"])


class Worker:
    def __init__(self, method, env):
        context = multiprocessing.get_context(method)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(env, theirs, os.environ["TRAINCAST_DIR"]))
        self.process.start()
        theirs.close()

    def reset(self):
        self.pipe.send("reset")
        return self.pipe.recv()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.pipe.send("stop")
        self.process.join()
        self.pipe.close()


def test_an_open_wrapper_can_be_pickled(channel_name):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        env = make_recording_env(channel_name)
        env.reset()
        twin = pickle.loads(pickle.dumps(env))
        writer.publish({STEPS: 20})
        assert twin.reset()[1]["known_steps"] == 20
        assert env.reset()[1]["known_steps"] == 20
        assert twin.unwrapped is not env.unwrapped
        assert twin.training_info is not env.training_info


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_keeps_arguments_and_information(channel_name, duplicate):
    with traincast.TrainingInfoWriter(channel_name, 3) as writer:
        writer.publish({STEPS: 10})
        env = make_recording_env(channel_name, policy_id=3, deliver="both", on_missing="raise")
        env.reset()
        twin = duplicate(env)
    assert twin.training_info == {STEPS: 10}
    assert twin.unwrapped.training_info == {STEPS: 10}
    with pytest.raises(traincast.ChannelNotFoundError):
        twin.step(0)


def test_a_copy_serves_its_own_env_only(channel_name):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        env = make_recording_env(channel_name)
        env.reset()
        twin = copy.deepcopy(env)
        writer.publish({STEPS: 20})
        twin.reset()
        assert env.unwrapped.seen == [10]
        assert twin.unwrapped.seen[-1] == 20


@pytest.mark.parametrize("opened", [False, True], ids=["unopened", "opened"])
@pytest.mark.parametrize("method", START_METHODS)
def test_a_wrapper_can_be_handed_to_another_process(channel_name, method, opened):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        env = make_recording_env(channel_name)
        if opened:
            env.reset()
        with Worker(method, env) as worker:
            assert worker.reset() == 10
            writer.publish({STEPS: 20})
            assert worker.reset() == 20
            assert env.reset()[1]["known_steps"] == 20
            writer.publish({STEPS: 30})
            assert env.reset()[1]["known_steps"] == 30
            assert worker.reset() == 30


@pytest.mark.parametrize("method", START_METHODS)
def test_a_channel_that_appears_after_the_processes_is_found(channel_name, method):
    with Worker(method, make_recording_env(channel_name)) as worker:
        assert worker.reset() == -1
        with LearnerProcess(channel_name) as learner:
            learner.publish(**{STEPS: 10})
            assert worker.reset() == 10


def test_no_reset_is_stale(channel_name):
    """The learner in one process, the env in another: the first reset and every later one know the newest."""
    with LearnerProcess(channel_name) as learner:
        learner.publish(**{STEPS: 1000})
        with Worker("spawn", make_recording_env(channel_name)) as worker:
            assert worker.reset() == 1000
            for steps in range(1001, 1101):
                learner.publish(**{STEPS: steps})
                assert worker.reset() == steps


def test_a_killed_learner_does_not_disturb_envs_in_other_processes(channel_name):
    with Worker("spawn", make_recording_env(channel_name)) as worker:
        with LearnerProcess(channel_name) as learner:
            learner.publish(**{STEPS: 10})
            assert worker.reset() == 10
            learner.publish(**{STEPS: 20})
            learner.kill()
        assert worker.reset() == 20
        with LearnerProcess(channel_name) as learner:
            learner.publish(**{STEPS: 30})
            assert worker.reset() == 30


def test_a_wrapper_is_pickled_under_its_public_name():
    assert b"traincast.wrappers.gymnasium" not in pickle.dumps(traincast.TrainingInfoWrapper(RecordingEnv()))

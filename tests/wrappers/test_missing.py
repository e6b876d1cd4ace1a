"""An env that gets nothing says so, in each mode of `on_missing`, once, with what to do."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings

import gymnasium
import pytest
from learner_process import LearnerProcess
from recording_envs import STEPS, RecordingEnv

import traincast
from traincast.wrappers import missing

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SUPPORT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "support")


def wrapped(name, **arguments):
    return traincast.TrainingInfoWrapper(RecordingEnv(length=10**9), name, **arguments)


def said_in(action, times=1):
    """The warnings of so many calls."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(times):
            action()
    return [str(warning.message) for warning in said if warning.category is traincast.TraincastWarning]


def text_of(name, policy_id=0):
    (text,) = said_in(wrapped(name, policy_id=policy_id).reset, 100)
    return text


def python(code, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([SUPPORT, *sys.path])},
    )


def test_100_resets_warn_once(channel_name):
    env = wrapped(channel_name)
    assert said_in(env.reset, 99) == []
    (text,) = said_in(env.reset)
    assert f"nothing has arrived from channel {channel_name!r} (policy 0) in 100 resets" in text
    assert os.environ["TRAINCAST_DIR"] in text
    assert said_in(env.reset, 300) == []


def test_five_seconds_warn_with_few_resets(channel_name):
    env = wrapped(channel_name)
    assert said_in(env.reset) == []
    time.sleep(missing.SECONDS)
    (text,) = said_in(env.reset)
    assert "in 2 resets and 5." in text


@pytest.mark.parametrize("deliver", ["reset", "step", "both"])
def test_five_seconds_warn_within_one_long_episode(channel_name, deliver):
    env = wrapped(channel_name, deliver=deliver)
    env.reset()
    assert said_in(lambda: env.step(0), 500) == []  # steps are no resets
    time.sleep(missing.SECONDS)
    (text,) = said_in(lambda: env.step(0), 500)
    assert ("0 resets" if deliver == "step" else "1 reset ") in text


def test_a_channel_that_came_during_a_long_episode_is_no_reason_to_warn(channel_name):
    env = wrapped(channel_name)
    env.reset()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 5})
        time.sleep(missing.SECONDS)
        assert said_in(lambda: env.step(0), 100) == []
        assert env.reset()[1]["known_steps"] == 5


def test_eight_envs_of_a_process_warn_once(channel_name):
    envs = gymnasium.vector.SyncVectorEnv([lambda: wrapped(channel_name)] * 8)
    assert len(said_in(envs.reset, 100)) == 1
    envs.close()


def test_each_channel_warns(channel_name):
    for policy_id in (0, 1):
        assert f"(policy {policy_id})" in text_of(channel_name, policy_id)


def test_what_arrives_ends_the_waiting(channel_name):
    env, other = wrapped(channel_name), wrapped(channel_name)
    assert said_in(env.reset, 99) == []
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 5})
        env.reset()
        assert said_in(other.reset) == []
        assert said_in(lambda: other.step(0), 10) == []


def test_an_evaluation_after_the_run_says_so_though_the_training_got_all(channel_name):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 5})
        assert wrapped(channel_name).reset()[1]["known_steps"] == 5
    assert "has no channels" in text_of(channel_name)
    done = python(
        "import traincast, recording_envs as r\n"
        "with traincast.Run('ppo') as run:\n"
        "    run.wrap_env(r.RecordingEnv()).reset()\n"
        "traincast.TrainingInfoWrapper(r.RecordingEnv(), run).reset()\n"
    )
    assert done.stderr.count("the process ends, and nothing has arrived") == 1
    assert "the run has ended" in done.stderr


def test_a_warning_costs_once(channel_name, traincast_dir):
    """After it has been said, a reset looks for the channel, and for nothing else."""
    env = wrapped(channel_name)
    assert len(said_in(env.reset, 100)) == 1
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        env.reset()
    finally:
        sys.setprofile(None)
    assert "advice" not in calls
    assert "_absent" in calls


def test_ignore_is_silent(channel_name):
    assert said_in(wrapped(channel_name, on_missing="ignore").reset, 300) == []


def test_raise_raises_each_time(channel_name):
    env = wrapped(channel_name, on_missing="raise")
    for _ in range(300):
        with pytest.raises(traincast.ChannelNotFoundError, match="no training information from channel"):
            env.reset()


def test_wait_waits_for_the_learner(channel_name):
    env = wrapped(channel_name, on_missing="wait")
    with LearnerProcess(channel_name) as learner:
        threading.Timer(0.3, lambda: learner.publish(**{STEPS: 4})).start()
        assert env.reset()[1]["known_steps"] == 4


def test_wait_gives_up(channel_name):
    env = wrapped(channel_name, on_missing="wait", attach_timeout=0.1)
    for _ in range(2):
        with pytest.raises(traincast.ChannelNotFoundError, match=r"Waited for 0\.1 s \(attach_timeout\)\."):
            env.reset()


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_wrong_timeout_is_refused(channel_name, seconds):
    with pytest.raises(ValueError, match="attach_timeout"):
        wrapped(channel_name, attach_timeout=seconds)


def test_near_misses_are_named():
    with traincast.TrainingInfoWriter("halfcheetah-seed1") as writer:
        writer.publish({STEPS: 1})
        for name in ("halfcheetah_seed1", "HalfCheetah-seed1", "halfcheetah-seed2", "halfcheetah"):
            assert "Did you mean 'halfcheetah-seed1'?" in text_of(name)
        assert "has only 'halfcheetah-seed1'" in text_of("zzz")


def test_the_beginning_of_a_runs_name_is_a_near_miss():
    with traincast.Run("ppo") as run:
        for name in ("ppo", "pposs", "PPO"):
            assert f"Did you mean '{run.name}'?" in text_of(name)
        assert "Did you mean policy 0?" in text_of(run.name, 3)


def test_a_near_miss_that_has_ended_meanwhile_is_named_at_the_end():
    done = python(
        "import traincast, recording_envs as r\n"
        "with traincast.Run('cheetah') as run:\n"
        "    traincast.TrainingInfoWrapper(r.RecordingEnv(), 'cheeta').reset()\n"
    )
    assert "Did you mean 'cheetah-" in done.stderr


def test_another_policy_is_a_near_miss():
    with traincast.TrainingInfoWriter("ppo", 1) as writer:
        writer.publish({STEPS: 1})
        assert "Did you mean policy 1?" in text_of("ppo")


def test_an_empty_directory_and_one_that_is_not_there_are_named(tmp_path):
    assert "has no channels. Start the learner" in text_of("ppo")
    env = wrapped("ppo", directory=tmp_path / "nowhere")
    assert f"{tmp_path}/nowhere has no channels" in said_in(env.reset, 100)[0]


def test_a_wrapper_without_a_name_names_all_ways_to_give_one(monkeypatch):
    (text,) = said_in(wrapped(None).reset, 100)
    assert "Pass a run or its name=, or set TRAINCAST_NAME" in text
    monkeypatch.setenv("TRAINCAST_NAME", "ppo")
    assert "channel 'ppo'" in text_of(None)


def test_a_name_that_comes_late_is_no_reason_to_warn_at_the_end():
    done = python(
        "import os, traincast, recording_envs as r\n"
        "env = traincast.TrainingInfoWrapper(r.RecordingEnv())\n"
        "env.reset()\n"
        "run = traincast.Run('late')\n"
        "os.environ['TRAINCAST_NAME'] = run.name\n"
        "print(env.reset()[1]['known_steps'])\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_the_texts_are_short():
    for name in ("ppo", None):
        assert len(text_of(name)) < 450


DO = (
    "import traincast, recording_envs as r\nenv = traincast.TrainingInfoWrapper(r.RecordingEnv(), 'nobody')\n"
)


@pytest.mark.parametrize("options", [(), ("-O",), ("-W", "error"), ("-W", "ignore")], ids=str)
def test_a_program_that_ends_early_says_so_at_its_end(options):
    done = python(DO + "env.reset()", *options)
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if "the process ends, and nothing has arrived" in line]
    assert len(said) == (0 if "ignore" in options else 1), done.stderr
    if "error" in options:
        assert done.stderr.startswith("TraincastWarning: the process ends")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("code", ["", "env.close()", "del env"])
def test_a_program_that_never_resets_says_nothing(code):
    done = python(DO + code)
    assert (done.returncode, done.stderr) == (0, "")


def test_100_resets_raise_where_warnings_are_errors_and_then_go_on():
    done = python(
        DO + "for _ in range(300):\n"
        "    try: env.reset()\n"
        "    except traincast.TraincastWarning as w: print(w)\n",
        "-W",
        "error",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


CHILD = """
import multiprocessing, sys, traincast, recording_envs
def work():
    traincast.TrainingInfoWrapper(recording_envs.RecordingEnv(), "nobody").reset()
if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_worker_that_ends_early_says_so_at_its_end(tmp_path, method, strict):
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    done = subprocess.run(
        [sys.executable, *(["-W", "error::UserWarning"] if strict else []), script, method],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([SUPPORT, *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the process ends, and nothing has arrived from channel 'nobody'") == 1
    assert "Traceback" not in done.stderr


def test_it_is_no_runtime_warning(channel_name):
    """Some frameworks turn these into errors."""
    assert issubclass(traincast.TraincastWarning, UserWarning)
    assert not issubclass(traincast.TraincastWarning, RuntimeWarning)

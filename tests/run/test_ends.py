"""How runs end, and what the next run does with what they left."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import warnings

import pytest
from processes import Process
from recording_envs import STEPS, RecordingEnv

import traincast


def names(directory):
    return {file.partition("@")[0].lstrip(".") for file in os.listdir(directory)}


def dead_run(process, arguments="'dead'"):
    """Start a run in the process, and kill that; return the run's name."""
    process.run(f"run = traincast.Run({arguments}); run.publish(10)")
    name = process.value("run.name")
    process.kill()
    return name


def test_a_run_ends_when_nothing_refers_to_it(traincast_dir):
    run = traincast.Run("gone")
    run.publish(1)
    del run
    assert names(traincast_dir) == set()


def test_a_run_ends_with_its_block_also_by_an_exception(traincast_dir):
    with pytest.raises(ZeroDivisionError), traincast.Run("block"):
        1 / 0  # noqa: B018
    assert names(traincast_dir) == set()


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("raise RuntimeError('a bug')", 1),
        ("sys.exit(3)", 3),
        ("threading.Thread(target=lambda run: time.sleep(99), args=(run,), daemon=True).start()", 0),
        ("print('ready', flush=True); time.sleep(99)", -signal.SIGINT),
    ],
    ids=["normally", "exception", "exit", "daemon", "ctrl-c"],
)
def test_a_run_ends_with_its_process(traincast_dir, end, status):
    code = f"import sys, threading, time, traincast\nrun = traincast.Run('end')\nrun.publish(1)\n{end}\n"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        if status == -signal.SIGINT:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == status
    assert names(traincast_dir) == set()


def test_what_a_killed_run_left_goes_when_the_next_one_starts(traincast_dir):
    with Process() as process:
        dead = dead_run(process)
    assert names(traincast_dir) == {dead}
    with traincast.Run("next") as run:
        assert names(traincast_dir) == {run.name}


def test_a_killed_run_that_envs_still_read_stays(traincast_dir):
    with Process() as learner:
        learner.run("run = traincast.Run('dead'); run.publish(10)")
        with traincast.TrainingInfoReader(learner.value("run.name")) as reader:
            reader.read()
            dead = reader.name
            learner.kill()
            with traincast.Run("next"):
                assert dead in names(traincast_dir)
                assert reader.read()[STEPS] == 10
        with traincast.Run("after"):
            assert dead not in names(traincast_dir)


def test_channels_of_fixed_names_stay(traincast_dir):
    with Process() as process:
        dead = dead_run(process, "'fixed-name-1', unique=False")
    assert dead == "fixed-name-1"
    with traincast.Run("next"):
        assert dead in names(traincast_dir)


def test_a_run_whose_relay_lives_stays(traincast_dir):
    with Process() as learner, Process() as relay:
        learner.run("run = traincast.Run('relayed'); run.publish(10)")
        name = learner.value("run.name")
        relay.run("import fcntl")
        relay.run(f"lock = open({str(traincast_dir / f'{name}@0.relay')!r}, 'w')")
        relay.run("os.fchmod(lock.fileno(), 0o600); fcntl.lockf(lock, fcntl.LOCK_EX)")
        learner.kill()
        with traincast.Run("next"):
            assert name in names(traincast_dir)
            assert traincast.TrainingInfoReader(name).read()[STEPS] == 10
        relay.kill()
    with traincast.Run("after"):
        assert name not in names(traincast_dir)


def test_living_runs_stay(traincast_dir):
    with traincast.Run("one") as one, traincast.Run("two") as two:
        assert names(traincast_dir) == {one.name, two.name}
        with Process() as other:
            other.run("run = traincast.Run('three')")
            assert names(traincast_dir) == {one.name, two.name, other.value("run.name")}


def test_dead_runs_in_a_given_directory_are_removed_too(tmp_path):
    place = tmp_path / "channels"
    with Process() as process:
        dead_run(process, f"'dead', directory={str(place)!r}")
    assert len(names(place)) == 1
    with traincast.Run("next", directory=place) as run:
        assert names(place) == {run.name}


def test_a_fixed_name_goes_on_after_a_dead_learner():
    with Process() as process:
        dead_run(process, "'fixed', unique=False, training_info={'a': 1}")
    env = traincast.TrainingInfoWrapper(RecordingEnv(), "fixed", leftover="use")
    with pytest.warns(traincast.TraincastWarning, match="learner of channel 'fixed' .* is dead"):
        env.reset()
    with traincast.Run("fixed", unique=False) as run:
        assert run.state_dict()["epoch"] == 2
        assert env.reset()[1]["known_steps"] == 0
        run.publish(11)
        assert env.reset()[1]["known_steps"] == 11


def test_a_fixed_name_of_a_living_learner_is_refused():
    with Process() as other:
        other.run("run = traincast.Run('fixed', unique=False)")
        for arguments in ({}, {"supersede": True}):
            with pytest.raises(traincast.ChannelBusyError, match=f"process {other.pid}"):
                traincast.Run("fixed", unique=False, **arguments)


def test_superseding_takes_the_place_of_a_run_of_this_process(traincast_dir):
    old = traincast.Run("fixed", unique=False)
    old.publish(1, a=1)
    env = old.wrap_env(RecordingEnv())
    env.reset()
    with pytest.raises(traincast.ChannelBusyError, match=r"test_ends.py:\d+.*supersede=True"):
        traincast.Run("fixed", unique=False)
    with traincast.Run("fixed", unique=False, supersede=True) as new:
        new.publish(2)
        with pytest.raises(traincast.ChannelLostError):
            old.publish(3)
        assert (old.closed, new.closed) == (True, False)
        old.close()
        del old
        assert env.reset()[1]["known_steps"] == 2
    assert names(traincast_dir) == set()


def test_envs_keep_what_they_have_when_the_run_ends():
    with traincast.Run("ends") as run:
        env = run.wrap_env(RecordingEnv())
        env.reset()
        run.publish(10)
    assert env.reset()[1]["known_steps"] == 10


def test_an_env_of_an_ended_run_says_so():
    with traincast.Run("ends") as run:
        env = run.wrap_env(RecordingEnv())
    for _ in range(99):
        env.reset()
    with pytest.warns(traincast.TraincastWarning, match=r"the run has ended.*wrap_eval_env"):
        env.reset()
    for _ in range(200):
        env.reset()


@pytest.mark.parametrize("attached", [False, True])
def test_envs_of_a_killed_run_use_what_it_left(attached):
    with Process() as learner:
        learner.run("import pickle; run = traincast.Run('killed'); run.publish(10)")
        make = traincast.Run.wrap_env_fn(learner_run(learner), RecordingEnv)
        env = make()
        if attached:
            env.reset()
        learner.kill()
    if attached:
        assert env.reset()[1]["known_steps"] == 10
    else:
        with pytest.warns(traincast.TraincastWarning, match="is dead: envs go on with what it left"):
            assert env.reset()[1]["known_steps"] == 10


def learner_run(learner):
    return pickle.loads(learner.value("pickle.dumps(run)"))


def test_many_runs_in_one_process_need_no_care(traincast_dir):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = []
        for number in range(20):
            run = traincast.Run("sweep")
            env = run.wrap_env(RecordingEnv())
            run.publish(number)
            assert env.reset()[1]["known_steps"] == number
            if number % 2:
                kept.append((run, env))
            else:
                run.close()
        assert len(names(traincast_dir)) == 10
        for number, (run, _) in enumerate(kept):
            run.publish(100 + number)
        assert [env.reset()[1]["known_steps"] for _, env in kept] == [100 + number for number in range(10)]


def test_many_processes_at_once_need_no_care(traincast_dir):
    code = (
        "import sys, traincast\n"
        "sys.stdin.readline()\n"
        "for number in range(10):\n"
        "    with traincast.Run('sweep', start=number) as run:\n"
        "        run.publish(number + 1)\n"
        "        with traincast.TrainingInfoReader(run.name) as reader:\n"
        "            assert reader.read()['approx_total_training_steps'] == number + 1\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, said = process.communicate(timeout=200)
        assert (process.returncode, said) == (0, "")
    assert names(traincast_dir) == set()

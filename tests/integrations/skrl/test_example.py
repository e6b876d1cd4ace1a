"""The example, run as a program: a training from start to end, two at once, killed, interrupted, resumed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from places import clean, place
from recordings import Program, channels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EARTH = 1_500

pytestmark = pytest.mark.timeout(1_200, method="thread")  # a watchdog: the fixtures run several programs


def folder_of(program):
    (folder,) = (program.directory / "runs").iterdir()
    return folder


def curves(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def wait_for(happened, process):
    while not happened():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def program(tmp_path_factory, name):
    return Program("skrl_ppo.py", tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A whole training, and beside it one that fails before it begins: it lacks its checkpoint."""
    with place() as directory:
        whole, failing = (program(tmp_path_factory, name) for name in ("whole", "failing"))
        fails = failing.start("--resume", "missing.pt", TRAINCAST_DIR=str(directory))
        recording = whole.run("--steps", "1000", TRAINCAST_DIR=str(directory))
        failing.finish(fails, status=1)
        yield recording, folder_of(whole), directory, failing.recording()


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Two trainings at once: one is killed after its first checkpoint and resumed, one gets Ctrl-C."""
    with place() as directory:
        dead, interrupted = (program(tmp_path_factory, name) for name in ("dead", "interrupted"))
        environ = {"TRAINCAST_DIR": str(directory)}
        dying, stopped = (each.start("--steps", "1000000", **environ) for each in (dead, interrupted))
        runs = dead.directory / "runs"
        wait_for(lambda: list(runs.glob("*/checkpoints/agent_1000.pt")), dying)
        dead.kill(dying)
        dying.stdout.close()
        before = dead.recording()
        at_once = interrupted.recording()
        wait_for(lambda: len(interrupted.recording().resets) > len(at_once.resets), stopped)
        output = interrupted.interrupt(stopped)
        assert stopped.returncode != 0
        assert "KeyboardInterrupt" in output
        left = channels(directory)
        cleaned = clean(directory)
        after_cleaning = channels(directory)

        resumed = Program("skrl_ppo.py", tmp_path_factory.mktemp("resumed"))
        checkpoint = folder_of(dead) / "checkpoints" / "agent_500.pt"  # the newest may be half written
        again = resumed.run("--resume", str(checkpoint), "--steps", "900", **environ)
        yield {
            "before": before,
            "beside": interrupted.recording(),
            "left": left,
            "cleaned": cleaned,
            "after_cleaning": after_cleaning,
            "again": again,
            "saved": 500,
            "in the end": channels(directory),
        }


def test_each_reset_sees_the_newest_value_and_each_env_has_its_own_dictionary(trained):
    recording, *_ = trained
    recording.check(updates=10)
    assert len(recording.processes) == 4
    assert "TraincastWarning" not in recording.output


def test_evaluation_envs_see_what_they_were_given(trained):
    recording, *_ = trained
    assert len(recording.frozen_resets) >= 2
    assert {reset["steps"] for reset in recording.frozen_resets} == {EARTH}
    assert max(event["steps"] for event in recording.publishes) == 1_000  # 400 more in the evaluation


def test_its_curves_are_in_tensorboard(trained):
    _, folder, *_ = trained
    found = curves(folder)
    steps = found["Traincast / approx_total_training_steps"]
    training = [(step, value) for step, value in steps if value < 1_000]
    assert training == [(step, step) for step in range(100, 1_000, 100)]
    gravity = [value for _, value in found["Curriculum / unwrapped.gravity"]]
    assert gravity == sorted(gravity)
    assert 2.0 <= gravity[0] < gravity[-1] < 9.8


def test_nothing_is_left_after_the_end_or_an_exception(trained):
    _, _, directory, failed = trained
    assert failed.runs
    assert channels(directory) == set()


def test_two_runs_at_once_do_not_meet(killed):
    killed["before"].check()
    killed["beside"].check()
    assert len(killed["before"].runs) == len(killed["beside"].runs) == 1
    assert {reset["run"] for reset in killed["before"].resets} == set(killed["before"].runs)
    assert {reset["run"] for reset in killed["beside"].resets} == set(killed["beside"].runs)


def test_ctrl_c_leaves_nothing_and_a_killed_learner_leaves_what_clean_removes(killed):
    assert killed["left"] == set(killed["before"].runs)
    assert killed["cleaned"] > 0
    assert killed["after_cleaning"] == set()
    assert killed["in the end"] == set()


def test_a_resume_after_sigkill_goes_on_from_the_checkpoint(killed):
    again, saved = killed["again"], killed["saved"]
    again.check()
    assert min(reset["steps"] for reset in again.training_resets) == saved
    assert [event["steps"] for event in again.publishes][:2] == [0, saved]  # no env resets before the load
    assert "TraincastWarning" not in again.output


def test_the_example_is_short():
    text = (Path(__file__).parents[3] / "examples" / "skrl_ppo.py").read_text()
    assert len(text.splitlines()) <= 60

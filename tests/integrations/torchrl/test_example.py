"""The example as a program: what it promises is measured on its runs.

Two start at once. One ends by itself, the other one is killed; a third one goes on from its checkpoint, until
Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from recordings import Program, channels

STEPS = "approx_total_training_steps"


def wait_until(process: Any, condition: Callable[[], bool]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def reached(program: Program, steps: int) -> bool:
    resets = program.recording().training_resets
    return len({reset["pid"] for reset in resets if reset["steps"] >= steps}) == 2


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What three runs of the example did, and which channels were there afterwards."""
    place = tmp_path_factory.mktemp("channels")
    place.chmod(0o700)
    environ = {"TRAINCAST_DIR": str(place)}
    whole, killed, resumed = (
        Program("torchrl_ppo.py", tmp_path_factory.mktemp(name)) for name in ("whole", "killed", "resumed")
    )
    # At once, with one directory.
    first = whole.start("--steps", "2400", **environ)
    second = killed.start("--steps", "1000000", **environ)
    wait_until(second, lambda: len(channels(place)) == 2)
    together = channels(place)
    checkpoint = killed.directory / "cartpole.checkpoint"
    wait_until(second, lambda: checkpoint.exists() and reached(killed, 1200))
    killed.kill(second)
    second.stdout.close()
    ended = whole.finish(first)
    of_killed = killed.recording()
    left = channels(place)
    third = resumed.start("--steps", "1000000", "--resume", str(checkpoint), **environ)
    wait_until(third, lambda: reached(resumed, 1201) and len(resumed.recording().publishes) > 3)
    while_resumed = channels(place)
    # A terminal's Ctrl-C reaches all of them. TorchRL's learner alone would wait for its workers for ever.
    for pid in (third.pid, *resumed.recording().processes):
        os.kill(pid, signal.SIGINT)
    output, _ = third.communicate()
    for pid in (second.pid, *of_killed.processes, third.pid, *resumed.recording().processes):
        for file in Path("/dev/shm").glob(f"torch_{pid}_*"):
            file.unlink()  # torch's own: whoever is killed leaves them
    return SimpleNamespace(
        whole=ended,
        log=whole.directory / "csv_logs" / "cartpole" / "scalars",
        killed=of_killed,
        resumed=resumed.recording(output),
        interrupted=third.returncode,
        channels=SimpleNamespace(
            together=together, left=left, while_resumed=while_resumed, after=channels(place)
        ),
    )


def test_every_reset_of_its_workers_sees_the_newest_value(runs):
    runs.whole.check(updates=4)
    assert len(runs.whole.processes) == 2
    assert min(reset["steps"] for reset in runs.whole.training_resets) == 0
    assert [event["steps"] for event in runs.whole.publishes] == [0, *range(400, 2401, 400)]


def test_two_at_once_do_not_meet(runs):
    assert len(runs.channels.together) == 2
    runs.killed.check(updates=3)
    assert set(runs.whole.runs).isdisjoint(runs.killed.runs)


def test_its_evaluation_sees_a_frozen_value(runs):
    assert {reset["steps"] for reset in runs.whole.frozen_resets} == {2400}
    assert "after 2400 frames" in runs.whole.output
    assert "with a pole of length 0.38" in runs.whole.output


def test_what_its_curriculum_does_is_in_its_log(runs):
    def logged(name):
        return [float(line.split(",")[1]) for line in (runs.log / f"{name}.csv").read_text().split()]

    assert logged(f"traincast/{STEPS}") == [*range(400, 2401, 400)]
    lengths = logged("curriculum/length")
    assert lengths == sorted(lengths)
    assert lengths[0] == pytest.approx(0.2)
    assert lengths[-1] > 0.3
    assert logged("curriculum/progress") == pytest.approx([(of - 0.2) / 0.6 * 8000 for of in lengths], abs=1)


def test_a_killed_training_goes_on_from_its_checkpoint(runs):
    saved = runs.resumed.publishes[0]["steps"]
    assert saved in {event["steps"] for event in runs.killed.publishes} - {0}
    assert [event["steps"] for event in runs.resumed.publishes][:3] == [saved, saved, saved + 400]
    runs.resumed.check(updates=2)
    assert min(reset["steps"] for reset in runs.resumed.resets) == saved


def test_nothing_is_left_after_its_end_nor_after_ctrl_c(runs):
    assert runs.channels.left == set(runs.killed.runs)  # of the one that was killed
    assert runs.channels.while_resumed == set(runs.resumed.runs)  # the next start has removed it
    assert runs.channels.after == set()
    assert runs.interrupted != 0
    assert "KeyboardInterrupt" in runs.resumed.output


def test_it_says_nothing_of_trouble(runs):
    for recording in (runs.whole, runs.resumed):
        assert "TraincastWarning" not in recording.output

"""A second writer of a channel in a process: unreachable ones make way, living ones only when told to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import traincast

STEPS = "approx_total_training_steps"


def test_a_writer_that_only_a_cycle_keeps_makes_way() -> None:
    def leave_a_cycle() -> None:
        writer = traincast.TrainingInfoWriter("cycle")
        writer.publish({STEPS: 1})
        frames: list[object] = [writer]
        frames.append(frames)

    leave_a_cycle()
    with traincast.TrainingInfoWriter("cycle") as writer:
        assert writer.publish({STEPS: 2}) == 1  # the old one was closed, as at any other end


def test_a_living_writer_is_named_with_the_line_that_opened_it() -> None:
    with traincast.TrainingInfoWriter("living"):
        line = sys._getframe().f_lineno - 1
        with pytest.raises(traincast.ChannelBusyError) as caught:
            traincast.TrainingInfoWriter("living")
    assert f"{__file__}:{line}" in str(caught.value)
    assert "supersede=True" in str(caught.value)


def test_superseding_goes_on_at_the_version_of_the_old_writer() -> None:
    old = traincast.TrainingInfoWriter("superseded")
    old.publish({STEPS: 1, "kept": "a"})
    with traincast.TrainingInfoReader("superseded") as reader:
        assert reader.read()[STEPS] == 1
        with traincast.TrainingInfoWriter("superseded", supersede=True) as new:
            assert new.epoch == 2
            assert reader.read()[STEPS] == 1
            assert reader.writer_alive
            assert new.update(**{STEPS: 2}) > 1
            assert reader.read() == {STEPS: 2, "kept": "a"}
            with pytest.raises(
                traincast.ChannelLostError, match="opened anew in this process, with supersede=True"
            ):
                old.publish({STEPS: 3})
            assert old.closed
            old.close()
            del old
            assert reader.read()[STEPS] == 2
            assert not reader.closed
            assert traincast.TrainingInfoReader("superseded").read()[STEPS] == 2
        assert reader.closed


def test_superseding_before_the_first_snapshot() -> None:
    old = traincast.TrainingInfoWriter("early")
    with traincast.TrainingInfoWriter("early", supersede=True) as new:
        assert new.publish({STEPS: 1}) == 1
        with pytest.raises(traincast.ChannelLostError):
            old.publish({STEPS: 2})


def test_superseding_takes_nothing_from_another_process() -> None:
    code = (
        "import sys, traincast\n"
        "w = traincast.TrainingInfoWriter('elsewhere'); w.publish({'approx_total_training_steps': 1})\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(traincast.ChannelBusyError, match=f"process {other.pid}"):
            traincast.TrainingInfoWriter("elsewhere", supersede=True)
        assert traincast.TrainingInfoReader("elsewhere").writer_alive
        other.communicate()


def test_the_exit_of_the_process_removes_nothing_of_a_successor(tmp_path: Path) -> None:
    code = (
        "import sys, threading, time, traincast\n"
        "old = traincast.TrainingInfoWriter('exit')\n"
        "old.publish({'approx_total_training_steps': 1})\n"
        "new = traincast.TrainingInfoWriter('exit', supersede=True)\n"
        "new.publish({'approx_total_training_steps': 2})\n"
        "del old\n"
        "assert traincast.TrainingInfoReader('exit').read()['approx_total_training_steps'] == 2\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert os.listdir(os.environ["TRAINCAST_DIR"]) == []

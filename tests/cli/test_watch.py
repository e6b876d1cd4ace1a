from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shell import Shell, Start


@contextmanager
def watching(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `traincast watch`, its output going to a pipe; it has ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "watch", "--interval", "0.01", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_each_snapshot_gives_a_line_with_what_changed(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1, shaping={"goal": 0.5})
    with watching("run") as process:
        assert "version 1  epoch 1" in (first := line(process))
        assert first.endswith("approx_total_training_steps=1  shaping.goal=0.5\n")
        writer.publish(approx_total_training_steps=2, shaping={"goal": 0.5})
        assert line(process).endswith("/s  approx_total_training_steps=2\n")
        writer.close()
        assert line(process) == "run, policy 0, was closed by its writer at version 2.\n"
        assert process.wait() == 0


def test_the_snapshot_before_a_close_is_not_missed(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)
    with watching("run") as process:
        line(process)
        writer.publish(approx_total_training_steps=2)
        writer.close()
        assert "version 2" in line(process)


def test_ctrl_c_ends_it_without_a_word(learner: Start, traincast_dir: Path) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)
    before = sorted(traincast_dir.iterdir())
    with watching("run") as process:
        line(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "")
    left = sorted(traincast_dir.iterdir())
    assert [path for path in left if path.suffix != ".roster"] == [
        path for path in before if path.suffix != ".roster"
    ]


def test_a_dead_writer_is_reported_and_the_next_one_followed(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)
    with watching("run") as process:
        line(process)
        writer.kill()
        assert line(process).endswith("the writer is dead\n")
        second = learner("run")
        second.publish(approx_total_training_steps=5)
        seen = [line(process), line(process)]
        assert any("version 2  epoch 2" in text and "steps=5" in text for text in seen)
        assert any(text.endswith("the writer is alive\n") for text in seen)


def test_follow_waits_for_the_channel_and_for_its_successor(learner: Start) -> None:
    with watching("run", "--follow", "--json") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "Waiting for run, policy 0.\n"
        writer = learner("run")
        writer.publish(approx_total_training_steps=1)
        first = json.loads(line(process))
        assert first["version"] == 1
        assert first["training_info"] == {"approx_total_training_steps": 1}
        writer.close()
        learner("run").publish(approx_total_training_steps=7)
        said = json.loads(line(process))
        if said["writer"] == "closed":  # it looked between the two learners
            said = json.loads(line(process))
        assert said["training_info"] == {"approx_total_training_steps": 7}


def test_a_missing_channel_gets_a_sentence(shell: Shell) -> None:
    done = shell("watch", "missing")
    assert done.returncode == 1
    assert done.stderr.startswith("traincast: ")
    assert "missing" in done.stderr


def test_on_a_terminal_it_is_a_live_table(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=4321)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "watch", "run"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    ) as process:
        os.close(theirs)
        shown = b""
        while b"4321" not in shown:
            shown += os.read(ours, 4096)
        assert b"\x1b[" in shown
        assert b"publishes/s" in shown
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                rest = os.read(ours, 4096)
            except OSError:  # how Linux reports that the other side has closed
                break
            shown += rest
        assert process.wait() == 130
    os.close(ours)
    assert b"Traceback" not in shown
    assert shown.count(b"\x1b[?25h") >= 1  # the cursor is back

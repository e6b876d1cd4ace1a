"""The job with which a relay ends: a process, and what is left of one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from traincast.relay.process import Job

PROGRAM = """
import traincast
with traincast.Run("job") as run:
    traincast.relay.join(run, host="127.0.0.1")
    print(run.name, flush=True)
"""


def test_a_zombie_is_not_a_job() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        job = Job.of(process.pid)
        assert job.lives()
        assert process.stdin is not None
        process.stdin.close()
        while " Z " not in Path(f"/proc/{process.pid}/stat").read_text():
            time.sleep(0.01)
        assert not job.lives()


def test_the_output_of_a_program_with_a_relay_comes_to_an_end() -> None:
    """As in `out=$(python train.py 2>&1)`: the relay has the program's stderr, too."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        env=os.environ | {"TRAINCAST_KEY": "secret"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("job-")

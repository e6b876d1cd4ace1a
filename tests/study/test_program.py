"""`python -m benches.study` as `make study` runs it, in the small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benches.harness import ROOT
from benches.study.results import Results
from sessions import session_members, wait_until_alone


def command(folder: Path, *more: str) -> list[str]:
    results = str(folder / "results.jsonl")
    return [sys.executable, "-m", "benches.study", "--plan", "tiny", "--results", results, *more]


def channel_folders(session: int) -> set[Path]:
    """Where the processes of a session have channels mapped."""
    found = set()
    for pid in session_members(session):
        for line in Path("/proc", str(pid), "maps").read_text().splitlines():
            path = Path(line.rpartition(" ")[2])
            if path.parent.name.startswith("traincast-bench-"):
                found.add(path.parent)
    return found


def test_it_trains_shows_a_table_and_draws_and_the_next_time_has_it_all(tmp_path):
    done = subprocess.run(
        command(tmp_path, "--picture", str(tmp_path / "pictures")),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "2 of 2  lock, delay of 20,000 env steps, seed 0: solved after" in done.stdout
    assert "Lock, gate of 16 episodes" in done.stdout
    pictures = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert pictures == {
        f"study-{name}-{theme}.svg" for name in ("arms", "lags") for theme in ("light", "dark")
    }
    fresh, late = Results(tmp_path / "results.jsonl").all()
    assert fresh.solved
    assert late.solved
    assert late.steps - fresh.steps > 19 * 20_000 / 2
    assert fresh.context["load before"] >= 0

    again = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "2 of 2 trainings are there already" in again.stdout
    assert len(Results(tmp_path / "results.jsonl").all()) == 2


def test_ctrl_c_ends_all_processes_and_what_has_ended_is_kept(tmp_path):
    with subprocess.Popen(
        command(tmp_path, "--rate", "20000"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("1 of 2"):
            pass
        while not (folders := channel_folders(process.pid)):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()  # a process that was just forked may say something of its own, too
        assert "Stopped. What has ended is kept; the same command goes on.\n" in said
    assert process.returncode == 1
    wait_until_alone(process.pid)
    assert not any(folder.exists() for folder in folders)
    (kept,) = Results(tmp_path / "results.jsonl").all()
    assert kept.job.arm == "traincast"

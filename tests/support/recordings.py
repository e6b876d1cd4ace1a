"""Runs a program as a user would, and tells what its runs published and what its envs saw at their resets."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDER = Path(__file__).parent / "recorder"
EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass
class Recording:
    """What one or several runs of a program did."""

    output: str
    publishes: list[dict[str, Any]] = field(default_factory=list)
    resets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def training_resets(self) -> list[dict[str, Any]]:
        return [reset for reset in self.resets if not reset["frozen"]]

    @property
    def frozen_resets(self) -> list[dict[str, Any]]:
        return [reset for reset in self.resets if reset["frozen"]]

    @property
    def runs(self) -> list[str]:
        return list(dict.fromkeys(event["run"] for event in self.publishes))

    @property
    def processes(self) -> set[int]:
        """The processes in which envs of the training were reset."""
        return {reset["pid"] for reset in self.training_resets}

    def check(self, *, updates: int = 2) -> None:
        """Every reset saw the newest value, none went back, and at least `updates` values reached envs."""
        assert self.publishes, f"nothing was published:\n{self.output}"
        assert self.training_resets, f"no env was reset:\n{self.output}"
        assert all(reset["steps"] is not None for reset in self.resets), "a reset without anything"
        self._check_newest()
        self._check_order()
        assert len({reset["steps"] for reset in self.training_resets}) >= updates, "envs saw too few values"

    def _check_newest(self) -> None:
        for run in self.runs:
            published = sorted(
                (e for e in self.publishes if e["run"] == run), key=lambda event: event["began"]
            )
            for reset in (reset for reset in self.training_resets if reset["run"] == run):
                over = [event["steps"] for event in published if event["ended"] < reset["began"]]
                begun = [event["steps"] for event in published if event["began"] < reset["ended"]]
                allowed = begun[max(len(over) - 1, 0) :]
                assert reset["steps"] in allowed, f"a reset saw {reset}, not one of {allowed}"

    def _check_order(self) -> None:
        seen: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
        for reset in sorted(self.training_resets, key=lambda event: event["began"]):
            seen[reset["pid"], reset["env"]].append(reset)
        holders: dict[tuple[int, int], int] = {}
        for (pid, env), resets in seen.items():
            steps = [reset["steps"] for reset in resets]
            assert steps == sorted(steps), f"an env went back: {steps}"
            for reset in resets:
                holder = holders.setdefault((pid, reset["dictionary"]), env)
                assert holder == env, "two envs got one dictionary"


class Program:
    """A program that runs with the recorder, in a directory of its own.

    `start` returns at once; `finish` waits for the end. One object can start it again: the recordings add up.
    """

    def __init__(self, path: Path | str, directory: Path) -> None:
        self.path = EXAMPLES / path
        self.directory = directory
        self.records = directory / "records"
        self.records.mkdir(exist_ok=True)

    def start(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(RECORDER), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            [sys.executable, str(self.path), *args],
            env=os.environ | {"RECORD_DIR": str(self.records), "PYTHONPATH": path} | environ,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # for `interrupt`
        )

    def finish(self, process: subprocess.Popen[str], status: int = 0) -> Recording:
        output, _ = process.communicate()
        assert process.returncode == status, f"{self.path.name} ended with {process.returncode}:\n{output}"
        return self.recording(output)

    def run(self, *args: str, **environ: str) -> Recording:
        return self.finish(self.start(*args, **environ))

    def recording(self, output: str = "") -> Recording:
        """What has been recorded so far; a line that a kill has cut is left out."""
        return read_records(self.records, output)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """SIGKILL to the learner alone: its workers are left to find out."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()  # its workers may hold the other end

    def interrupt(self, process: subprocess.Popen[str]) -> str:
        """Ctrl-C, which a terminal sends to the learner and all its workers; returns the output."""
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate()
        return output


def read_records(directory: Path, output: str = "") -> Recording:
    """What programs have noted in a directory.

    They may still run, and the files are read one after the other: a reset that came meanwhile may have seen
    a value whose publish was noted behind what was read of its file.
    """
    recording, now = Recording(output), time.monotonic_ns()
    for file in directory.iterdir():
        begun: dict[str, Any] | None = None  # a publish, noted before and after
        for line in file.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                continue
            event = json.loads(line)
            if event["what"] == "reset":
                if event["ended"] < now:
                    recording.resets.append(event)
            elif event["ended"] is None:
                begun = event
            else:
                recording.publishes.append(event)
                begun = None
        if begun is not None:  # a signal came: nobody knows whether it was stored
            recording.publishes.append(begun | {"ended": math.inf})
    return recording


def channels(directory: Path) -> set[str]:
    """The channels in a channel directory, dead ones too."""
    return {file.name.partition("@")[0] for file in directory.iterdir() if "@" in file.name}

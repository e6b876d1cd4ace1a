"""The results: a line of JSON for each training. A stopped run can go on, and several may share a file."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.study.job import Job

__all__ = ["HELD", "Result", "Results"]

HELD = 0.95
"""A speed counts as held if it was at least this share of the stated one."""


@dataclass(frozen=True)
class Result:
    """A training that has ended, and the machine that it ran on."""

    job: Job
    outcome: Mapping[str, Any]
    """The fields of `training.Outcome`, without the trace."""
    context: Mapping[str, Any]
    """Load of the machine before and after, machine, versions, when it began."""

    @property
    def solved(self) -> bool:
        """Whether the task was solved within the budget."""
        return bool(self.outcome["solved"])

    @property
    def steps(self) -> int:
        """Env steps until it was solved, or the budget was spent."""
        return int(self.outcome["steps"])

    @property
    def promotions(self) -> int:
        """How often the gate opened."""
        return len(self.outcome["promotions"])

    @property
    def speed(self) -> float:
        """Env steps per second."""
        return self.steps / float(self.outcome["seconds"])

    @property
    def held(self) -> bool:
        """Whether the stated speed was held; true if none was stated, or the learner stalls on purpose."""
        meant = self.job.rate is None or self.job.arm.startswith("stalled")
        return meant or self.speed >= HELD * (self.job.rate or 0.0)

    def line(self) -> str:
        """One line of JSON."""
        row = {**dataclasses.asdict(self.job), "outcome": dict(self.outcome), "context": dict(self.context)}
        return json.dumps(row, separators=(",", ":")) + "\n"


class Results:
    """The file. Each line is appended whole, under a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Result]:
        """Return every training in the file once: the first one, if two sessions have run the same."""
        if not self._path.exists():
            return []
        found: dict[tuple[Any, ...], Result] = {}
        for line in self._path.read_text().splitlines():
            row = json.loads(line)
            job = Job(**{field.name: row[field.name] for field in dataclasses.fields(Job)})
            found.setdefault(job.key, Result(job, row["outcome"], row["context"]))
        return list(found.values())

    def append(self, result: Result) -> None:
        """Add a training."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # closing the file gives it back
            file.write(result.line())


def now() -> str:
    """Return the time, for a result's context."""
    return time.strftime("%Y-%m-%d %H:%M")

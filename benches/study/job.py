"""One training, in a process of its own: `python -m benches.study.job JOB`, where JOB is JSON.

It prints lines of JSON: the progress now and then, and the result at the end.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from benches.harness.machine import versions
from benches.study.training import Outcome
from traincast import TraincastWarning

__all__ = ["Job"]

_VERSIONS = (
    *("traincast", "numpy", "gymnasium", "minigrid", "torch"),
    *("stable-baselines3", "syllabus-rl", "sample-factory", "signal-slot-mp", "faster-fifo"),
)


@dataclass(frozen=True)
class Job:
    """A training of the plan."""

    task: str
    arm: str
    seed: int
    gate: int
    rate: float | None = None
    """Env steps per second of all workers together; None: as fast as they go."""
    budget: int | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What distinguishes trainings."""
        return self.task, self.arm, self.seed, self.gate, self.rate


def run(job: Job) -> Outcome:
    """Train, and print the progress."""

    def progress(steps: int, level: int) -> None:
        print(json.dumps({"steps": steps, "level": level}), flush=True)

    if job.task == "ppo":
        from benches.study.ppo import train_ppo

        return train_ppo(job.arm, job.seed, gate=job.gate, budget=job.budget, progress=progress)
    from benches.study.training import train

    return train(
        job.task, job.arm, job.seed, gate=job.gate, rate=job.rate, budget=job.budget, progress=progress
    )


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    # No output of a framework may come between the lines of JSON.
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = lines
    warnings.simplefilter("default", TraincastWarning)  # all other warnings are off
    outcome = dataclasses.asdict(run(job))
    del outcome["trace"]
    print(json.dumps({"outcome": outcome, "versions": versions(_VERSIONS)}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):  # the study was stopped
        os._exit(130)

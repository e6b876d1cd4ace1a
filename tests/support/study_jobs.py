"""A training of the study, in a process of its own, as the study starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def outcome_of(task: str, arm: str, **options: Any) -> dict[str, Any]:
    """What came of it."""
    job = {"task": task, "arm": arm, "seed": 1, "gate": 4} | options
    command = [sys.executable, "-W", "ignore", "-m", "benches.study.job", json.dumps(job)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    *progress, last = map(json.loads, done.stdout.splitlines())
    assert all(line.keys() == {"steps", "level"} for line in progress)
    outcome: dict[str, Any] = last["outcome"]
    return outcome

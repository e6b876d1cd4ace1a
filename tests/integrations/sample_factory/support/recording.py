"""What happens in a run, one JSON object a line, from all of its processes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

_files: dict[int, Any] = {}


def record(kind: str, **values: Any) -> None:
    """Write to this process's own file; the clock is the machine's, so that files can be merged."""
    pid = os.getpid()
    if pid not in _files:
        path = Path(os.environ["SF_RECORD"]) / f"{pid}.jsonl"
        _files[pid] = path.open("a", buffering=1)  # a line at a time: workers may be killed
    _files[pid].write(json.dumps({"time": time.monotonic(), "kind": kind, "pid": pid, **values}) + "\n")


def load(directory: Path) -> list[dict[str, Any]]:
    lines = [line for path in directory.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted((json.loads(line) for line in lines), key=lambda event: event["time"])

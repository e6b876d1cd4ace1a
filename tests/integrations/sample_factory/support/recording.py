"""What happens in a run, one JSON object a line, from all of its processes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def record(kind: str, **values: Any) -> None:
    """Write to this process's own file; the clock is the machine's, so that files can be merged."""
    pid = os.getpid()
    event = {"time": time.monotonic(), "kind": kind, "pid": pid, **values}
    with (Path(os.environ["SF_RECORD"]) / f"{pid}.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")


def load(directory: Path) -> list[dict[str, Any]]:
    lines = [line for path in directory.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted((json.loads(line) for line in lines), key=lambda event: event["time"])

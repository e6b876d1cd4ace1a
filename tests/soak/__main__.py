"""`make soak`: runs it, writes what was measured as JSON, and fails if something is not flat."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from benches import machine

from tests.soak import judging, running
from tests.soak.role import LEAKS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    parser.add_argument("--leak", choices=LEAKS, action="append", default=[], help="to see that it is found")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the directory is removed
    about = {
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "load before": machine.load(),
        "machine": machine.describe(),
        "versions": {name: machine.versions()[name] for name in ("traincast", "numpy", "gymnasium")},
    }
    with tempfile.TemporaryDirectory(prefix="traincast-soak-", dir="/dev/shm") as directory:
        found = about | running.run(Path(directory), arguments.seconds, arguments.leak)
    arguments.out.write_text(as_json(found))
    return report(found)


def as_json(found: dict[str, object]) -> str:
    """One series a line: an indented list would be one number a line."""
    text = json.dumps(found, indent=1, ensure_ascii=False)
    lines = [line.strip() for line in text.splitlines()]
    numbers = [line.rstrip(",").lstrip("-").replace(".", "", 1).isdigit() for line in lines]
    joined = ""
    for line, number, after in zip(lines, numbers, [*numbers[1:], False], strict=True):
        joined += line + ("" if number or (after and line.endswith("[")) else "\n")
    return joined


def report(found: dict[str, object]) -> int:
    print(f"{found['publishes per second']} publishes per second; {found['counts']}")
    print(f"processor seconds: {found['processor seconds']}")
    print(f"{'':32}{'start':>10}{'end':>10}{'growth':>10}{'limit':>8}")
    failed = bool(found["files left"])
    for verdict in judging.verdicts(found):
        failed |= not verdict.flat
        print(
            f"{verdict.series:32}{verdict.start:10.0f}{verdict.end:10.0f}{verdict.growth:10.1f}"
            f"{verdict.limit:8.0f}{'' if verdict.flat else '  NOT FLAT'}"
        )
    if found["files left"]:
        print(f"files left: {found['files left']}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""`make soak`: runs it, writes what was measured as JSON, and fails if something is not flat."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from benches.harness import machine
from benches.harness.files import write_json
from benches.harness.tables import plain

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
        "versions": machine.versions(("traincast", "numpy", "gymnasium")),
    }
    with tempfile.TemporaryDirectory(prefix="traincast-soak-", dir="/dev/shm") as directory:
        found = about | running.run(Path(directory), arguments.seconds, arguments.leak)
    write_json(arguments.out, found)
    return report(found)


def report(found: dict[str, object]) -> int:
    print(f"{found['publishes per second']} publishes per second; {found['counts']}")
    print(f"processor seconds: {found['processor seconds']}")
    failed = bool(found["files left"])
    lines = []
    for verdict in judging.verdicts(found):
        failed |= not verdict.flat
        figures = [
            f"{verdict.start:.0f}",
            f"{verdict.end:.0f}",
            f"{verdict.growth:.1f}",
            f"{verdict.limit:.0f}",
        ]
        lines.append([verdict.series, *figures, "" if verdict.flat else "NOT FLAT"])
    print(plain(["", "start", "end", "growth", "limit", ""], lines))
    if found["files left"]:
        print(f"files left: {found['files left']}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Measures the scoreboard beside what users do today: `python -m benches.scores`.

The figures of docs/scores.md are what this prints.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benches.harness.channels import own_directory
from benches.harness.tables import plain
from benches.scores import collecting, recording


def main() -> None:
    with own_directory(), tempfile.TemporaryDirectory(prefix="traincast-scores-") as folder:
        print(plain(["counting an episode", "ns", "quartiles"], recording.rows(Path(folder))))
        print()
        print(plain(["Scoreboard.collect()", "µs", "quartiles"], collecting.rows()))


if __name__ == "__main__":
    main()

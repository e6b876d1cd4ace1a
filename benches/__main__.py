"""Measures traincast beside its peers.

    python -m benches [--quick] [--only GROUP ...] [--json FILE] [--sample-factory PYTHON]

Prints the table, and writes everything measured, raw samples included, to FILE. With --only, the other groups
of FILE stay as they are; each group says when it was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benches.cases import groups
from benches.cases.peers import DISTRIBUTIONS
from benches.harness import machine
from benches.harness.files import write_json
from benches.report.terminal import show


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the result of one group, with the time and the load of the machine."""
    started, load = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()), machine.load()
    begun = time.monotonic()
    found = groups.result(name, options.quick, options.sample_factory)
    took = round(time.monotonic() - begun)
    return {"started": started, "seconds": took, "load before": load, "result": found}


def main() -> None:
    names = [*groups.GROUPS, groups.SAMPLE_FACTORY]
    parser = argparse.ArgumentParser(prog="python -m benches", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, only to check that everything runs")
    parser.add_argument("--only", nargs="+", choices=names, metavar="GROUP", help=", ".join(names))
    parser.add_argument("--json", type=Path, help="where to write all samples")
    parser.add_argument(
        "--sample-factory", type=os.path.abspath, metavar="PYTHON", help="a Python that has Sample Factory"
    )
    options = parser.parse_args()
    console = Console()
    results: dict[str, Any] = {"groups": {}}
    if options.only and options.json and options.json.exists():
        results = json.loads(options.json.read_text())
    results["machine"], results["versions"] = machine.describe(), machine.versions(DISTRIBUTIONS)
    chosen = options.only or [*groups.GROUPS, *([groups.SAMPLE_FACTORY] if options.sample_factory else [])]
    for name in chosen:
        console.print(f"[dim]{time.strftime('%H:%M:%S')} measuring {name}[/]")
        results["groups"][name] = measured(name, options)
        if options.json:
            write_json(options.json, results)
    show(results, console)
    if options.json:
        print(f"All samples are in {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Measures traincast beside its peers.

    python benches/bench.py [--quick] [--only GROUP ...] [--json FILE] [--sample-factory PYTHON]

Prints the table, and writes everything measured, raw samples included, to FILE. With --only, the other groups
of FILE stay as they are: each group says when it was measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import groups
import machine
import rows
from harness import Spread
from rich.console import Console
from rich.table import Table

SAMPLE_FACTORY = "sample_factory"


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The result of one group, with when and how busy the machine was."""
    with tempfile.TemporaryDirectory(prefix="traincast-bench-") as folder:
        started, load = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()), machine.load()
        begun = time.monotonic()
        if name == SAMPLE_FACTORY:
            script, path = Path(__file__).with_name("sample_factory_speed.py"), Path(folder) / "result.json"
            command = [options.sample_factory, str(script), "--json", str(path)]
            command += ["--pairs", "1", "--seconds", "4"] if options.quick else []
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            result = json.loads(path.read_text())
        else:
            result = groups.in_process(name, options.quick, __file__, Path(folder))
        took = round(time.monotonic() - begun)
        return {"started": started, "seconds": took, "load before": load, "result": result}


def written(spread: Spread, unit: str) -> tuple[str, str]:
    """Median and quartiles, with as many digits as they deserve."""
    digits = 0 if unit or spread.median >= 100 else 2
    return f"{spread.median:,.{digits}f}", f"{spread.q1:,.{digits}f} … {spread.q3:,.{digits}f}"


def show(results: dict[str, Any], console: Console) -> None:
    found = {name: group["result"] for name, group in results["groups"].items()}
    table = Table("", "what", "found", "quartiles", "bound", "", title="Medians of interleaved rounds")
    for row in rows.table(found):
        middle, quartiles = written(row.found, row.unit)
        bound = f"{'≥' if row.at_least else '≤'} {row.limit:,g} {row.unit}"
        mark = "[green]met[/]" if row.met else "[red]missed[/]"
        detail = f"{row.what} [dim]({row.detail})[/]" if row.detail else row.what
        table.add_row(row.letter, detail, f"{middle} {row.unit}", quartiles, bound, mark)
    console.print(table)
    for group in ("peers", "services"):
        if group not in found:
            continue
        table = Table("", "carries", "publish", "read, new", "read, nothing new", "torn reads?", title=group)
        for peer in found[group]:
            times = [
                rows.ns(peer["cases"][what]["samples"]) if what in peer["cases"] else "-"
                for what in ("publish", "changed", "unchanged")
            ]
            if "failed" in peer:
                times = ["failed", peer["failed"][:60], ""]
            table.add_row(peer["name"], peer["carries"], *times, peer["torn"])
        console.print(table)


def dump(results: dict[str, Any]) -> str:
    """JSON with one line for each innermost list: readable, and small in a diff."""
    lists: list[str] = []

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list) and not any(isinstance(inner, (dict, list)) for inner in value):
            lists.append(json.dumps(value, separators=(",", ":")))
            return f"@@{len(lists) - 1}@@"
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    text = json.dumps(walk(results), indent=1, ensure_ascii=False)
    for number, line in enumerate(lists):
        text = text.replace(f'"@@{number}@@"', line, 1)
    return text + "\n"


def main() -> None:
    names = [*groups.GROUPS, SAMPLE_FACTORY]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that all of it runs")
    parser.add_argument("--only", nargs="+", choices=names, metavar="GROUP", help=", ".join(names))
    parser.add_argument("--json", type=Path, help="where to write all samples")
    parser.add_argument("--sample-factory", metavar="PYTHON", help="a Python that has Sample Factory")
    parser.add_argument("--group", choices=list(groups.GROUPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.group:
        options.json.write_text(json.dumps(groups.child(options.group, options.quick)))
        return
    console = Console()
    results: dict[str, Any] = {"groups": {}}
    if options.only and options.json and options.json.exists():
        results = json.loads(options.json.read_text())
    results["machine"], results["versions"] = machine.describe(), machine.versions()
    chosen = options.only or [*groups.GROUPS, *([SAMPLE_FACTORY] if options.sample_factory else [])]
    for name in chosen:
        console.print(f"[dim]{time.strftime('%H:%M:%S')} measuring {name}[/]")
        results["groups"][name] = measured(name, options)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(dump(results))
    show(results, console)
    if options.json:
        print(f"All samples are in {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()

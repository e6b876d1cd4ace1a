"""Measures what telling the envs costs in each framework, and writes the table of the documentation.

    python -m benches.frameworks [--only NAME ...]

Each framework is measured in a process of its own. Figures go to docs/frameworks.json, and from there into
docs/frameworks/costs.md. With --only, the others keep their figures; --only without a NAME writes only the
table anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benches.frameworks.table import page
from benches.harness import ROOT, machine
from benches.harness.files import write_json

JSON = ROOT / "docs" / "frameworks.json"
PAGE = ROOT / "docs" / "frameworks" / "costs.md"
OTHER_PYTHONS = {"sample_factory": ROOT / ".venv-sf" / "bin" / "python"}


def modules() -> list[str]:
    """Return the modules with costs, without importing them: that would load every framework."""
    here = Path(__file__).parent
    return sorted(file.stem for file in here.glob("*.py") if "\ndef costs(" in file.read_text())


def measured(name: str) -> dict[str, Any] | None:
    """Return what a module has measured; None if it has failed, which it has reported itself."""
    python = OTHER_PYTHONS.get(name, sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "costs.json")
        command = [python, "-m", "benches.frameworks.measure", name, file]
        if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
            return None
        found: dict[str, Any] = json.loads(Path(file).read_text())
        return found


def main() -> None:
    names = modules()
    parser = argparse.ArgumentParser(
        prog="python -m benches.frameworks", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", nargs="*", choices=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine.describe(), "frameworks": {}}
    if options.only is not None and JSON.exists():
        before = json.loads(JSON.read_text())
        if options.only and before["machine"] != results["machine"]:
            sys.exit(f"{JSON} was measured on another machine: measure all frameworks, without --only")
        results = before
    failed = []
    for name in names if options.only is None else options.only:
        print(f"{time.strftime('%H:%M:%S')} measuring {name}", flush=True)
        found = measured(name)
        if found is None:
            failed.append(name)
        else:
            results["frameworks"][name] = found
            write_json(JSON, results)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(results))
    print(PAGE.read_text())
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()

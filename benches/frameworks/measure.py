"""Measures one framework, in a process of its own: `python -m benches.frameworks.measure NAME FILE`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benches.harness import machine
from benches.harness.channels import own_directory

DISTRIBUTIONS = {  # of a module, if it is not the module's name with hyphens
    "gymnasium": ["gymnasium", "numpy"],
    "pufferlib": ["pufferlib-core"],
    "rllib": ["ray"],
    "sample_factory": ["sample-factory", "gymnasium"],
    "stable_baselines3": ["stable-baselines3"],
    "supersuit": ["pettingzoo", "supersuit"],
}


def main(name: str, file: str) -> None:
    load, begun = machine.load(), time.monotonic()
    with own_directory():
        costs = [asdict(cost) for cost in import_module(f"benches.frameworks.{name}").costs()]
    measured = {
        "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "seconds": round(time.monotonic() - begun),
        "load before": load,
        "versions": machine.versions(DISTRIBUTIONS.get(name, [name.replace("_", "-")])),
        "costs": costs,
    }
    Path(file).write_text(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The text of docs/performance.md: fills the templates."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benches.cases import rows
from benches.cases.groups import PROCESSES
from benches.cases.memory import READERS
from benches.cases.payloads import CHANNELS, OTHER_WORK
from benches.harness import figures
from benches.harness.pages import templates
from benches.report import tables

WORST = 2.0  # times msgspec: the aim for any structure


def peers(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All peers by name, each once."""
    several = [*found.get("peers", []), *found.get("services", [])]
    once = {peer["name"]: peer for peer in reversed(several)}
    return dict(reversed(once.items()))


def _failed(results: dict[str, Any], there: dict[str, dict[str, Any]]) -> list[str]:
    """Sentences on the peers without figures."""
    said = [f"{name} did not run: {peer['failed']}." for name, peer in there.items() if "failed" in peer]
    return said + [f"{n} is {v}." for n, v in results["versions"].items() if v.startswith("not installed")]


def _beyond(structures: dict[str, Any]) -> list[str]:
    """The structures that are slower than the aim."""
    said = []
    for name, cases in structures.items():
        for what, base in (("publish", "encode"), ("read", "decode")):
            middle = figures.ratios(cases[what]["samples"], cases[base]["samples"]).median
            if middle > WORST:
                said.append(f"{name}: {what} {middle:.2f}")
    return said


def _steepest(structures: dict[str, Any], *names: str) -> float:
    """The largest cost of one of these structures relative to the one before it."""
    return max(
        figures.ratios(structures[more][what]["samples"], structures[fewer][what]["samples"]).median
        for fewer, more in pairwise(names)
        for what in ("publish", "read")
    )


def context(results: dict[str, Any]) -> dict[str, Any]:
    """The values for the templates."""
    groups = results["groups"]
    found = {name: group["result"] for name, group in groups.items()}
    table = rows.table(found)
    there = peers(found)
    structures = found["structures"]
    return {
        "machine": results["machine"],
        "versions": results["versions"],
        "started": sorted(group["started"] for group in groups.values()),
        "loads": [group["load before"] for group in groups.values()],
        "minutes": sum(group["seconds"] for group in groups.values()) / 60,
        "rows": {row.letter: row for row in reversed(table)},  # the first of each letter
        "missed": list(dict.fromkeys(row.letter for row in table if not row.met)),
        "table": table,
        "calls": {name: case["samples"] for name, case in found["calls"].items()},
        "pings": {
            mode: {side: [median(turn) for turn in turns] for side, turns in sides.items()}
            for mode, sides in found["wakeups"]["pings"].items()
        },
        "cache_line": min(found["wakeups"]["cache_line_ns"]),
        "told": max(found["vector_envs"], key=lambda row: row["envs"]),
        "pairs": len(found["sample_factory"]["fps"]["queue"]) if "sample_factory" in found else 0,
        "peers": there,
        "failed": _failed(results, there),
        "fleet": found["fleet"],
        "arrays": found["arrays"],
        "structures": structures,
        "worst": WORST,
        "beyond": _beyond(structures),
        "more_keys": _steepest(
            structures, *(name for name in structures if name.rstrip("s").endswith("key"))
        ),
        "deeper": _steepest(structures, *(name for name in structures if name.startswith("depth"))),
        "memory": found["memory"],
        "readers": READERS,
        "channels": CHANNELS,
        "other_work": OTHER_WORK,
        "processes": PROCESSES,
        "tables": tables,
    }


def text(results: dict[str, Any]) -> str:
    environment = templates(Path(__file__).parent / "templates")
    environment.filters |= {
        "ns": figures.ns,
        "time": figures.time,
        "times": figures.times,
        "size": figures.size,
        "spread": figures.spread,
    }
    environment.globals |= {"ratios": figures.ratios}
    return environment.get_template("performance.md.j2").render(context(results)).rstrip() + "\n"

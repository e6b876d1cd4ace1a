"""The page about costs, made of what was measured."""

from __future__ import annotations

from typing import Any

from benches.harness import figures

HEAD = """# What telling the envs costs, in each framework

`python -m benches.frameworks` writes this page.

- **blocked**: for how long the learner waits, each time it tells all envs something new.
- **reset**: what a reset takes longer when there is something new, beside one without any of it. It is 0
  where the envs are told between two resets.

What they are told is a dictionary of two integers and eight floats, if the row does not say otherwise. The
ways of one framework were timed in turns, in one run; these are medians.

| framework | way | envs | blocked | reset |
|---|---|--:|--:|--:|
"""


def page(results: dict[str, Any]) -> str:
    """The text of `docs/frameworks/costs.md`."""
    frameworks = results["frameworks"]
    lines = [_line(cost) for name in sorted(frameworks) for cost in frameworks[name]["costs"]]
    return HEAD + "".join(lines) + _footer(results)


def _line(cost: dict[str, Any]) -> str:
    ours = "traincast" in cost["way"].lower() or "TrainingInfo" in cost["way"]
    way = f"**{cost['way']}**" if ours else cost["way"]
    blocked, reset = figures.time(cost["blocked_ns"]), _reset(cost["reset_ns"])
    return f"| {cost['framework']} | {way} | {cost['envs']} | {blocked} | {reset} |\n"


def _reset(nanoseconds: float) -> str:
    """Differences below this are those of two medians of the same thing."""
    return "0" if nanoseconds < 20 else figures.time(nanoseconds)


def _footer(results: dict[str, Any]) -> str:
    machine = results["machine"]
    kind = "virtual machine" if machine["virtual machine"] else "machine"
    versions = {k: v for one in results["frameworks"].values() for k, v in one["versions"].items()}
    loads = [one["load before"] for one in results["frameworks"].values()]
    days = sorted({one["started"].split()[0] for one in results["frameworks"].values()})
    installed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"\nMeasured on {' and '.join(days)}, on a {kind} with {machine['cores']} cores "
        f"({machine['processor']}), Linux {machine['kernel']}, Python {machine['Python']}; {installed}. "
        f"Load averages before a framework were up to {max(loads, default=0)}.\n"
    )

"""The page about costs, made from the measurements."""

from __future__ import annotations

from typing import Any

from benches.harness import figures

HEAD = """# What telling the envs costs, in each framework

`python -m benches.frameworks` writes this page.

- **blocked**: how long the learner waits each time it tells all envs something new.
- **reset**: how much longer a reset takes when there is something new, compared with an env that is told
  nothing. It is 0 where the envs are told between two resets.

The envs are told a dictionary of two integers and eight floats, unless the row says otherwise. The ways of
one framework were timed in turn, in one run; the figures are medians. traincast's are in bold.

| framework | way | envs | blocked | reset |
|---|---|--:|--:|--:|
"""

OURS = ("traincast", "TrainingInfo", "publishing", "broadcast")
"""What the names of traincast's own ways contain."""


def page(results: dict[str, Any]) -> str:
    """Return the text of `docs/frameworks/costs.md`."""
    frameworks = results["frameworks"]
    lines = [_line(cost) for name in sorted(frameworks) for cost in frameworks[name]["costs"]]
    return HEAD + "".join(lines) + _footer(results)


def _line(cost: dict[str, Any]) -> str:
    ours = any(name in cost["way"] for name in OURS)
    way = f"**{cost['way']}**" if ours else cost["way"]
    blocked, reset = figures.time(cost["blocked_ns"]), _reset(cost["reset_ns"])
    return f"| {cost['framework']} | {way} | {cost['envs']} | {blocked} | {reset} |\n"


def _reset(nanoseconds: float) -> str:
    """Smaller differences are noise: two medians of the same thing differ as much."""
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
        f"The load average before each framework was at most {max(loads, default=0)}.\n"
    )

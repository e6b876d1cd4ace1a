"""How long a snapshot takes to all nodes, by a model that is held against what `scale.py` has measured.

    python tests/relay/model.py docs/relays.json docs/images

prints tables for docs/nodes.md and draws its picture. T = L F max(S / NIC, c) + L t0: in a tree of L levels
each relay sends S bytes to F others, one after the other or all at once, which comes to the same (the last
level may be less than full); c is what a copy costs a core, and t0 what a level takes beside that. c and t0
are fitted to small snapshots, on this machine's cores, which all relays share; large ones are then predicted
from these and the links' rate.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benches.report.pictures import THEMES, WIDTH, Theme, themed

ENVELOPE = 600
"""Bytes around a snapshot's values: wire form, message, and a share of TCP's headers."""

NODES = 1000


class Costs(NamedTuple):
    copy: float
    """Seconds of a core."""
    level: float


def sent(nodes: int, fan_out: int) -> list[int]:
    """How many copies the busiest relay of each level sends: all but the last are full."""
    copies, width = [], 1
    while nodes > 0:
        copies.append(min(fan_out, nodes))
        width *= fan_out
        nodes -= width
    return copies


def predicted(nodes: int, fan_out: int, size: int, mbit: float, costs: Costs) -> float:
    """Seconds until the last of so many nodes has it."""
    link = (size + ENVELOPE) * 1.05 * 8 / (mbit * 1e6)
    return sum(copies * max(link, costs.copy) + costs.level for copies in sent(nodes, fan_out))


def fitted(rows: Sequence[dict[str, Any]]) -> Costs:
    """Costs of a copy and a level, from the small snapshots: flat, every copy is made by one relay."""
    flat = next(row for row in rows if row["levels"] == 1)
    deepest = max(rows, key=lambda row: row["levels"])
    copy = flat["seconds"] / flat["relays"]
    level = max(0.0, (deepest["seconds"] - deepest["fan_out"] * deepest["levels"] * copy) / deepest["levels"])
    return Costs(copy, level)


def picture(found: dict[str, Any], costs: Costs, theme: Theme) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), layout="constrained")
    large = [row for row in found["rows"] if row["size"] > 1000]
    relays, size, mbit = large[0]["relays"], large[0]["size"], found["mbit"]
    grid = sorted({*range(2, 40), *range(40, relays, 5), relays})
    left.plot(grid, [predicted(relays, f, size, mbit, costs) for f in grid], color=theme.first, label="model")
    left.plot(
        [row["fan_out"] for row in large],
        [row["seconds"] for row in large],
        "o",
        color=theme.ours,
        label="measured",
    )
    left.set_title(f"{relays} relays, {size // 1000} KB, {mbit} Mbit/s")
    grid = sorted({*range(2, 100), *range(100, NODES, 25), NODES})
    for size, rate, name, colour, style in (
        (400_000, 1000, "400 KB, 1 Gbit/s", theme.second, "-"),
        (400_000, 10_000, "400 KB, 10 Gbit/s", theme.ours, "-"),
        (200, 10_000, "200 B", theme.third, "--"),
    ):
        times = [predicted(NODES, f, size, rate, costs) for f in grid]
        right.plot(grid, times, style, color=colour, label=name)
    right.set_title(f"model for {NODES:,} nodes")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("children of a relay (right end: flat)")
        axes.grid(alpha=0.5)
        axes.legend(fontsize=9)
    left.set_xticks([row["fan_out"] for row in large], [str(row["fan_out"]) for row in large])
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.set_xticks([2, 10, 32, 100, NODES], ["2", "10", "32", "100", f"{NODES:,}"])
    left.set_ylabel("seconds until the last one has it")
    return figure


def main() -> None:
    found = json.loads(Path(sys.argv[1]).read_text())
    rows = found["rows"]
    costs = fitted([row for row in rows if row["size"] <= 1000])
    print(f"c = {costs.copy * 1e3:.2f} ms, t0 = {costs.level * 1e3:.1f} ms; load {found['load']:.0f}")
    print("| snapshot | children of a relay | levels | measured, s | model, s |\n|-|-|-|-|-|")
    for row in rows:
        model = predicted(row["relays"], row["fan_out"], row["size"], found["mbit"], costs)
        children = "all" if row["levels"] == 1 else row["fan_out"]
        cells = (f"{row['size']:,} B", children, row["levels"], f"{row['seconds']:.3f}", f"{model:.3f}")
        print("|", " | ".join(map(str, cells)), "|")
    print(f"| {NODES:,} nodes, model | flat, s | 32 | 10 |\n|-|-|-|-|")
    for size, rate in ((200, 10_000), (400_000, 1000), (400_000, 10_000)):
        times = (f"{predicted(NODES, f, size, rate, costs):.2f}" for f in (NODES, 32, 10))
        print(f"| {size:,} B, {rate / 1000:g} Gbit/s |", " | ".join(times), "|")
    for theme in THEMES:
        with themed(theme):
            figure = picture(found, costs, theme)
            figure.savefig(Path(sys.argv[2]) / f"relays-{theme.name}.svg", metadata={"Date": None})
            plt.close(figure)


if __name__ == "__main__":
    main()

"""How long snapshots take to other nodes: what the measure scripts find, as tables, a file and a picture.

    python tests/relay/latencies.py docs/latencies.json docs/images

draws the picture of docs/nodes.md from what `measure.py`, `measure_zenoh.py` and `measure_ray.py` have saved.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

ENGINES = ("TCPStore", "Zenoh", "Ray")
HEADING = "| snapshot, nodes | bare {}, p50 / p99 ms | sealed | relay | p50 | p99 |\n|-|-|-|-|-|-|"


class Quantiles(NamedTuple):
    """Of a time, in milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, samples: Iterable[int]) -> Quantiles:
        """Of samples in nanoseconds."""
        ordered = sorted(samples)
        p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
        return cls(statistics.median(ordered) / 1e6, p99 / 1e6)

    def __str__(self) -> str:
        return f"{self.p50:.2f} / {self.p99:.2f}"


class Row(NamedTuple):
    """How long snapshots of one size took to so many nodes, by the ways that took turns."""

    size: int
    nodes: int
    bare: Quantiles
    relay: Quantiles
    sealed: Quantiles | None = None

    def __str__(self) -> str:
        ratios = (f"{self.relay[i] / self.bare[i]:.2f}" for i in range(2))
        cells = (f"{self.size:,} B, {self.nodes}", self.bare, self.sealed or "", self.relay, *ratios)
        return f"| {' | '.join(map(str, cells))} |"


def save(path: Path | None, engine: str, rows: Iterable[Row]) -> None:
    """Measure an engine's rows, and replace them in a file, if there is one."""
    measured = [row._asdict() for row in rows]
    if path is None:
        return
    found = json.loads(path.read_text()) if path.exists() else {"engines": {}}
    found["cores"] = os.cpu_count()
    found["engines"][engine] = measured
    path.write_text(json.dumps(found, indent=1) + "\n")


def picture(found: dict[str, Any], theme: Any) -> Any:
    import matplotlib.pyplot as plt
    from benches.report.pictures import WIDTH
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    engines = [engine for engine in ENGINES if engine in found["engines"]]
    figure, places = plt.subplots(1, len(engines), figsize=(WIDTH, 3.4), layout="constrained", sharey=True)
    for axes, engine in zip(places, engines, strict=True):
        rows = found["engines"][engine]
        for size, name, colour in ((400_000, "400 KB", theme.ours), (200, "200 B", theme.first)):
            mine = [row for row in rows if row["size"] == size]
            nodes = [row["nodes"] for row in mine]
            for way, style in (("bare", "o--"), ("relay", "o-")):
                times = [row[way][0] for row in mine]
                axes.plot(nodes, times, style, markersize=3.5, color=colour, label=f"{name}, {way}")
        axes.set_title(engine)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([row["nodes"] for row in rows], [str(row["nodes"]) for row in rows])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("nodes")
        axes.grid(alpha=0.5)
    places[0].set_ylabel("ms until another node has it, p50")
    places[0].legend(fontsize=8)
    return figure


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import matplotlib.pyplot as plt
    from benches.report.pictures import THEMES, themed

    found = json.loads(Path(sys.argv[1]).read_text())
    for theme in THEMES:
        with themed(theme):
            figure = picture(found, theme)
            figure.savefig(Path(sys.argv[2]) / f"latency-{theme.name}.svg", metadata={"Date": None})
            plt.close(figure)


if __name__ == "__main__":
    main()

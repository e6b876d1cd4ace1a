"""The pictures of docs/performance.md, for light and dark pages."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from benches.harness import figures

WIDTH = 8.4  # inches; a README is about 830 pixels wide


@dataclass(frozen=True)
class Theme:
    """Colours that suit GitHub's pages."""

    name: str
    text: str
    faint: str
    ours: str
    first: str
    second: str
    third: str


THEMES = (
    Theme("light", "#1f2328", "#d1d9e0", "#0969da", "#57606a", "#bc4c00", "#1a7f37"),
    Theme("dark", "#e6edf3", "#3d444d", "#58a6ff", "#9198a1", "#f0883e", "#3fb950"),
)


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    style: dict[Any, Any] = {
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.faint,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "grid.color": theme.faint,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "svg.hashsalt": "traincast",
    }
    with mpl.rc_context(style):
        yield


def time_name(value: float, _: object = None) -> str:
    return figures.time(value, "g")


def size_name(value: float, _: object = None) -> str:
    return figures.size(value)


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def peers_picture(peers: Sequence[dict[str, Any]], theme: Theme) -> Any:
    """One line for each peer: publish, a read of something new, a read that finds nothing new."""
    there = [peer for peer in peers if peer["cases"]]
    order = sorted(there, key=lambda peer: max(median(case["samples"]) for case in peer["cases"].values()))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.34 * len(order) + 1.3), layout="constrained")
    marks = {
        "unchanged": ("o", theme.third, "read, nothing new"),
        "changed": ("D", theme.second, "read, new"),
        "publish": ("s", theme.first, "publish"),
    }
    for place, peer in enumerate(reversed(order)):
        costs = {what: median(case["samples"]) for what, case in peer["cases"].items()}
        ours = peer["name"] == "traincast"
        if ours:
            axes.axhspan(place - 0.45, place + 0.45, color=theme.ours, alpha=0.13, lw=0)
        axes.plot([min(costs.values()), max(costs.values())], [place] * 2, color=theme.faint, lw=2, zorder=1)
        for what, (shape, colour, _) in marks.items():
            if what in costs:
                axes.plot(costs[what], place, shape, color=colour, ms=7, mec="none", zorder=2)
    axes.set_yticks(range(len(order)), [_label(peer) for peer in reversed(order)])
    for label in axes.get_yticklabels():
        if label.get_text().startswith("traincast"):
            label.set_fontweight("bold")
            label.set_color(theme.ours)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(time_name))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    for shape, colour, name in marks.values():
        axes.plot([], [], shape, color=colour, ms=7, mec="none", label=name)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _label(peer: dict[str, Any]) -> str:
    carries = {"the whole dictionary": "", "one number": " (one number)"}
    return peer["name"] + carries.get(peer["carries"], " (ten numbers)")


def _line(
    axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, name: str, style: str = "o-"
) -> None:
    axes.plot(x, y, style, color=colour, ms=4, lw=1.6, label=name)


def _axes(axes: Axes, title: str, x: str, *, time: bool = True) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if time:
        axes.yaxis.set_major_formatter(FuncFormatter(time_name))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.legend(fontsize=9)


def scaling_picture(found: dict[str, Any], theme: Theme) -> Any:
    figure, ((readers, told), (inside, size)) = plt.subplots(2, 2, figsize=(WIDTH, 7), layout="constrained")
    fleet = found["fleet"]

    idle, busy = fleet["idle"], fleet["busy"]
    for rows, colour, name in (
        (idle, theme.ours, "idle readers"),
        (busy, theme.second, "each reads 1,000 times a second"),
    ):
        _line(readers, [r["readers"] for r in rows], [median(r["attached"]) for r in rows], colour, name)
    alone = [median(row["alone"]) for row in idle]
    _line(readers, [row["readers"] for row in idle], alone, theme.first, "no reader", ":")
    pipes = [peer for peer in found["peers"] if peer["name"] == "multiprocessing.Pipe" and peer["cases"]]
    for pipe in pipes:
        counts = [1, 10, 100, 1000]
        put = median(pipe["cases"]["publish"]["samples"])
        _line(readers, counts, [put * n for n in counts], theme.third, "N sends to N pipes", "--")
    _axes(readers, "Publish", "reading processes")

    rows = found["vector_envs"]
    for side, colour in (
        ("SB3 env_method", theme.second),
        ("Gymnasium call", theme.third),
        ("traincast", theme.ours),
    ):
        mine = [(row["envs"], median(row[side])) for row in rows if side in row]
        if mine:
            _line(told, [x for x, _ in mine], [y for _, y in mine], colour, side)
    _axes(told, "Learner blocked while it tells all envs", "env processes")
    told.set_xticks([row["envs"] for row in rows])

    rows = fleet["in_process"]
    counts = [row["readers"] for row in rows]
    for what, colour in (
        ("publish", theme.first),
        ("changed read", theme.second),
        ("unchanged read", theme.third),
    ):
        name = {"changed read": "read, new", "unchanged read": "read, nothing new"}.get(what, what)
        _line(inside, counts, [median(row[what]) for row in rows], colour, name)
    _axes(inside, "Envs in one process, cost of each call", "envs")
    inside.set_ylim(bottom=1)

    rows = found["arrays"]
    sizes = [row["size"] for row in rows]
    for what, colour, style in (
        ("publish", theme.ours, "o-"),
        ("changed read", theme.second, "o-"),
        ("memcpy", theme.first, ":"),
    ):
        name = {"changed read": "read, new"}.get(what, what)
        values = [median(row["cases"][f"{what} {row['size']}"]["samples"]) for row in rows]
        _line(size, sizes, values, colour, name, style)
    _axes(size, "An array", "size")
    size.xaxis.set_major_formatter(FuncFormatter(size_name))
    size.set_xticks([1 << 6, 1 << 10, 1 << 14, 1 << 18, 1 << 22, 1 << 26])
    return figure


def draw(found: dict[str, Any], peers: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write the pictures, each for both themes, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for theme in THEMES:
        with themed(theme):
            for name, figure in (
                ("perf-peers", peers_picture(peers, theme)),
                ("perf-scaling", scaling_picture(found, theme)),
            ):
                path = folder / f"{name}-{theme.name}.svg"
                figure.savefig(path, metadata={"Date": None})
                plt.close(figure)
                paths.append(path)
    return paths

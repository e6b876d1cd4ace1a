"""Draws what a run has measured: `python -m tests.soak.picture docs/soak.json docs/images`."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from benches.report.pictures import THEMES, WIDTH, Theme, themed
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tests.soak import judging
from tests.soak.running import ROLES

PANELS = (
    ("own memory", "Memory of their own, MiB", 1024),
    ("descriptors", "File descriptors", 1),
    ("mappings", "Mappings", 1),
)
NAMES = {
    "learner": "learner, 1,000 publishes a second",
    "parent": "parent of children that are killed",
    "worker": "envs, and readers that come and go",
}


@dataclass(frozen=True)
class Line:
    """A series; `end` is written where it ends."""

    values: Sequence[float]
    colour: str
    end: str
    name: str | None = None


def picture(found: dict[str, Any], theme: Theme) -> Any:
    figure, panels = plt.subplots(2, 2, figsize=(WIDTH, 5.4), layout="constrained")
    seconds = found["times"]
    minute = 60 if seconds[-1] >= 300 else 1
    times = [second / minute for second in seconds]
    cold = found["parameters"]["warm up"] / minute
    colours = dict(zip(ROLES, (theme.ours, theme.third, theme.second), strict=True))
    growth = {verdict.series: verdict.growth for verdict in judging.verdicts(found)}
    for axes, (what, title, unit) in zip(panels.flat, PANELS, strict=False):
        lines = [
            Line(
                [value / unit for value in found["series"][role][what]],
                colours[role],
                _growth(growth[f"{role}: {what}"], unit),
                NAMES[role],
            )
            for role in ROLES
        ]
        _panel(axes, title, times, lines)
    directory = found["series"]["directory"]
    lines = [
        Line(directory["files"], theme.text, f"files {_growth(growth['directory: files'], 1)}"),
        Line(
            [size / 1024 for size in directory["KiB"]],
            theme.first,
            f"MiB {_growth(growth['directory: KiB'], 1024)}",
        ),
    ]
    _panel(panels[1][1], "The channel directory", times, lines)
    for axes in panels[1]:
        axes.set_xlabel("minutes" if minute > 1 else "seconds")
    for axes in panels.flat:
        axes.axvspan(0, cold, color=theme.faint, alpha=0.35, lw=0)
    panels[0][0].text(cold, 0, " after the warm-up, each line's slope is judged", fontsize=8, va="bottom")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9)
    return figure


def _growth(growth: float, unit: int) -> str:
    """The slope, over the time that is judged."""
    return f"{round(growth):+,}{'' if unit == 1 else ' KiB'}".replace("+0", "±0").replace(
        "-", "\N{MINUS SIGN}"
    )


def _panel(axes: Axes, title: str, times: Sequence[float], lines: Sequence[Line]) -> None:
    for line, width in zip(lines, (4.0, 2.6, 1.4), strict=False):  # one that lies on another shows both
        axes.plot(times, line.values, color=line.colour, lw=width, label=line.name, solid_joinstyle="round")
    top = 1.15 * max(max(line.values) for line in lines)
    axes.set_ylim(0, top)
    axes.set_xlim(0, times[-1])
    free = 0.0  # the lowest place for the next label
    for line in sorted(lines, key=lambda line: statistics.median(line.values)):
        place = max(statistics.median(line.values), free)
        free = place + 0.085 * top
        axes.annotate(
            line.end,
            (times[-1], place),
            (6, 0),
            textcoords="offset points",
            color=line.colour,
            va="center",
            fontsize=9,
        )
    axes.set_title(title)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def draw(found: dict[str, Any], folder: Path) -> None:
    for theme in THEMES:
        with themed(theme):
            figure = picture(found, theme)
            figure.savefig(folder / f"soak-{theme.name}.svg", metadata={"Date": None})
            plt.close(figure)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))

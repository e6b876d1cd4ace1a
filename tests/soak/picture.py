"""Draws what a run has measured: `python -m tests.soak.picture docs/soak.json docs/images`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from benches.pictures import THEMES, WIDTH, Theme, themed
from matplotlib.axes import Axes

from tests.soak import judging
from tests.soak.running import ROLES

PANELS = (
    ("own memory", "Memory of their own, MiB", 1024),
    ("descriptors", "File descriptors", 1),
    ("mappings", "Mappings", 1),
)
NAMES = {
    "learner": "learner, 1,000 publishes a second",
    "parent": "parent of killed children",
    "worker": "worker: envs, readers that come and go",
}


def picture(found: dict[str, Any], theme: Theme) -> Any:
    figure, panels = plt.subplots(2, 2, figsize=(WIDTH, 5.6), layout="constrained")
    seconds = found["times"]
    long = seconds[-1] >= 300
    times = [second / 60 for second in seconds] if long else seconds
    colours = dict(zip(ROLES, (theme.ours, theme.third, theme.second), strict=True))
    verdicts = {verdict.series: verdict for verdict in judging.verdicts(found)}
    for axes, (what, title, unit) in zip(panels.flat, PANELS, strict=False):
        for role in ROLES:
            values = [value / unit for value in found["series"][role][what]]
            label = NAMES[role] if what == PANELS[0][0] else None
            _line(axes, times, values, colours[role], _growth(verdicts[f"{role}: {what}"], unit), label)
        _axes(axes, title)
    files, size = found["series"]["directory"]["files"], found["series"]["directory"]["KiB"]
    axes = panels[1][1]
    _line(axes, times, [value / 1024 for value in size], theme.first, "MiB")
    _line(axes, times, files, theme.text, "files")
    _axes(axes, "The channel directory")
    for axes in panels[1]:
        axes.set_xlabel("minutes" if long else "seconds")
    cold = found["parameters"]["warm up"] / (60 if long else 1)
    for axes in panels.flat:
        axes.axvspan(0, cold, color=theme.faint, alpha=0.35, lw=0)
    panels[0][0].annotate(
        "warm-up", (cold / 2, 0), (0, 4), textcoords="offset points", rotation=90, ha="center", fontsize=8
    )
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9)
    return figure


def _growth(verdict: judging.Verdict, unit: int) -> str:
    """The slope, over the time that is judged."""
    if unit == 1:
        return f"{verdict.growth:+.0f}" if round(verdict.growth) else "±0"
    return f"{verdict.growth:+.0f} KiB"


def _line(
    axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, end: str, label: str | None = None
) -> None:
    axes.plot(x, y, "-", color=colour, lw=1.6, label=label, solid_joinstyle="round")
    middle = sorted(y)[len(y) // 2]
    axes.annotate(
        end, (x[-1], middle), (5, 0), textcoords="offset points", color=colour, va="center", fontsize=9
    )


def _axes(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.08)
    axes.set_xlim(left=0)
    axes.margins(x=0)
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

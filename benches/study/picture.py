"""The pictures: env steps until solved for each arm, and over the lag; for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from benches.report.pictures import THEMES, WIDTH, Theme, themed
from benches.study.figures import Cell, Group, lag_of
from benches.study.table import arm_name, in_thousands
from benches.study.tasks import TITLES

__all__ = ["draw"]

_ROW = 0.27  # inches for an arm


def draw(groups: Sequence[Group], folder: Path) -> list[Path]:
    """Write the pictures, each for both themes, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    lagging = [group for group in groups if group.prediction() is not None]
    lagging = [group for group in lagging if len(group.delays) > 2] or lagging  # two points show no curve
    for theme in THEMES:
        with themed(theme):
            for name, make, shown in (("study-arms", arms, groups), ("study-lags", lags, lagging)):
                if shown:
                    figure = make(shown, theme)
                    path = folder / f"{name}-{theme.name}.svg"
                    figure.savefig(path, metadata={"Date": None})
                    plt.close(figure)
                    paths.append(path)
    return paths


def arms(groups: Sequence[Group], theme: Theme) -> Any:
    """Draw a line for each arm: its median and range, and how much of it was practice at a stale level."""
    heights = [_ROW * len(group.cells) + 0.55 for group in groups]
    figure, panels = plt.subplots(
        len(groups),
        figsize=(WIDTH, sum(heights) + 0.5),
        layout="constrained",
        squeeze=False,
        sharex=True,
        gridspec_kw={"height_ratios": heights},
    )
    for axes, group in zip(panels[:, 0], groups, strict=True):
        _arms_of(axes, group, theme)
    marks = (
        ("o", theme.text, "env steps until solved: median and range"),
        ("s", theme.second, "of these, practice at a level that had passed"),
        (">", theme.text, "not solved by then"),
    )
    for shape, colour, name in marks:
        panels[0, 0].plot([], [], shape, color=colour, ms=6, mec="none", label=name)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)
    return figure


def _arms_of(axes: Axes, group: Group, theme: Theme) -> None:
    cells = list(group.cells.values())[::-1]
    for place, cell in enumerate(cells):
        low, high = cell.steps[0], cell.steps[-1]
        if cell.stale_steps:
            current = max(cell.median - cell.stale_steps, 1.0)
            axes.plot([current, cell.median], [place] * 2, color=theme.second, lw=6, alpha=0.45, zorder=1)
        axes.plot([low, high], [place] * 2, color=theme.text, lw=1.2, zorder=2)
        colour = theme.ours if cell.arm == "traincast" else theme.text
        shape = ">" if cell.bounded else "o"
        axes.plot(cell.median, place, shape, color=colour, ms=6, mec="none", zorder=3)
    axes.set_yticks(range(len(cells)), [arm_name(cell.arm) for cell in cells], fontsize=8)
    axes.set_ylim(-0.6, len(cells) - 0.4)
    axes.xaxis.set_tick_params(labelbottom=True)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(_steps))
    axes.xaxis.set_minor_locator(NullLocator())
    speed = "" if group.rate is None else f", {group.rate:,.0f} env steps/s"
    axes.set_title(f"{TITLES[group.task]}, gate of {group.gate}{speed}", fontsize=9)
    _plain(axes, "x")


def lags(groups: Sequence[Group], theme: Theme) -> Any:
    """Env steps over the added lag: at the level of the learner, at a stale one, and what was predicted."""
    columns = 2 if len(groups) in (2, 4) else min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.7 * rows + 0.4), layout="constrained", squeeze=False
    )
    for axes in panels.flat[len(groups) :]:
        axes.set_visible(False)
    for axes, group in zip(panels.flat, groups, strict=False):
        _lags_of(axes, group, theme)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    return figure


def _lags_of(axes: Axes, group: Group, theme: Theme) -> None:
    cells: list[Cell] = group.delays
    said = group.prediction()
    assert said is not None
    x = [lag_of(cell.arm) for cell in cells]
    middles = [cell.median for cell in cells]
    current = [cell.median - cell.stale_steps for cell in cells]
    axes.fill_between(x, current, color=theme.ours, alpha=0.3, lw=0, label="at the learner's level")
    axes.fill_between(x, current, middles, color=theme.second, alpha=0.3, lw=0, label="at a stale level")
    axes.plot(x, [said(lag) for lag in x], "--", color=theme.text, lw=1, label="fresh + promotions x lag")
    low = [cell.median - cell.steps[0] for cell in cells]
    high = [cell.steps[-1] - cell.median for cell in cells]
    axes.errorbar(x, middles, [low, high], fmt="o", color=theme.text, ms=4, lw=1, label="median and range")
    axes.set_title(f"{TITLES[group.task]}, gate of {group.gate}", fontsize=9)
    axes.set_xlabel("added lag in env steps")
    axes.set_ylabel("env steps until solved")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_steps))
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    kind = ", a check" if said.is_check else ""
    axes.text(0.05, 0.93, f"R² {said.r2:.3f}{kind}", transform=axes.transAxes, va="top", fontsize=8)
    _plain(axes, "both")


def _plain(axes: Axes, grid: Any) -> None:
    axes.grid(axis=grid, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8)


def _steps(value: float, _: object = None) -> str:
    return (
        "0"
        if value == 0
        else f"{value / 1e6:g}M"
        if value >= 1e6
        else in_thousands(value).replace(".0k", "k")
    )

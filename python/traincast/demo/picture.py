"""The picture at the end of the demo."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

from traincast.demo.learner import Learner
from traincast.demo.record import RECENT_EVALUATIONS, Evaluation
from traincast.demo.settings import ARMS, BASELINE, CURRICULUM, Settings
from traincast.demo.themes import DARK_INK, LIGHT, Theme
from traincast.demo.values import DISCOUNT, HIGH, LOW, ActionValues, tiles_of

__all__ = ["draw"]

_CELLS = 192
_MOST_STEPS = 150  # from the goal, on the map's colour scale


def draw(learners: Sequence[Learner], settings: Settings, path: Path, theme: Theme = LIGHT) -> None:
    """Write the picture (PNG, 2000 x 1100 pixels): learning curves, curriculum, values, age of information.

    The file appears complete or not at all.
    """
    with matplotlib.rc_context(theme.style):
        figure = Figure(figsize=(10, 5.5), dpi=200, facecolor=theme.page)
        axes: Any = figure.subplots(2, 2, width_ratios=(1.3, 1), height_ratios=(1.75, 1))
        figure.subplots_adjust(left=0.065, right=0.965, top=0.825, bottom=0.085, wspace=0.19, hspace=0.45)
        figure.text(
            0.065, 0.945, "A curriculum driven by broadcast training progress", size=14, weight="bold"
        )
        figure.text(
            0.065,
            0.905,
            f"MountainCar-v0, reward only at the goal, Q-learning, {settings.workers} worker processes. "
            f"Median and range of {settings.seeds} seeds.",
            color=theme.muted,
        )
        _draw_success(axes[0][0], learners, settings, theme)
        _draw_curriculum(axes[1][0], learners, settings, theme)
        _draw_values(axes[0][1], next(x for x in learners if x.run.arm == CURRICULUM), theme)
        _draw_ages(axes[1][1], learners, theme)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            figure.savefig(partial, format="png")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _draw_success(axes: Axes, learners: Sequence[Learner], settings: Settings, theme: Theme) -> None:
    steps = np.linspace(0, settings.steps, 241)
    for arm in ARMS:
        rates = np.array([_success(x.record.evaluations, steps) for x in learners if x.run.arm == arm])
        colour = theme.colours[arm]
        axes.fill_between(steps, rates.min(axis=0), rates.max(axis=0), color=colour, alpha=0.18, linewidth=0)
        axes.plot(steps, np.median(rates, axis=0), color=colour, linewidth=2.2, clip_on=False, zorder=3)
    axes.set_title("Episodes from the real start that reach the goal")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.text(
        0.985, 0.74, "with the curriculum", color=theme.colours[CURRICULUM], weight="bold", ha="right",
        transform=axes.transAxes,
    )  # fmt: skip
    axes.text(
        0.985, 0.045, "the same training without it", color=theme.colours[BASELINE], weight="bold",
        ha="right", transform=axes.transAxes,
    )  # fmt: skip
    _steps_axis(axes, settings, theme)


def _success(evaluations: Sequence[Evaluation], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the success rate at each of `steps`: over the latest evaluations, fewer at the beginning."""
    times = np.array([e.steps for e in evaluations])
    reached = np.cumsum([0] + [e.reached for e in evaluations])
    until = np.searchsorted(times, steps, side="right")
    since = np.maximum(until - RECENT_EVALUATIONS, 0)
    rates: NDArray[np.float64] = (reached[until] - reached[since]) / np.maximum(until - since, 1)
    return rates


def _draw_curriculum(axes: Axes, learners: Sequence[Learner], settings: Settings, theme: Theme) -> None:
    episodes = [e for x in learners if x.run.arm == CURRICULUM for e in x.record.trainings]
    axes.scatter(
        [e.steps for e in episodes], [e.head_start for e in episodes], s=3, color=theme.colours[CURRICULUM],
        alpha=0.3, linewidth=0, label="an episode", clip_on=False,
    )  # fmt: skip
    steps = np.linspace(0, settings.steps, 241)
    greatest = [settings.head_start(s) for s in steps]
    axes.plot(
        steps, greatest, color=theme.colours[CURRICULUM], linewidth=1.6, label="the maximum, by schedule"
    )
    axes.plot(steps, 0 * steps, color=theme.colours[BASELINE], linewidth=2.2, label="without the curriculum")
    axes.set_title("The curriculum: head start of each training episode")
    axes.set_ylim(-0.04, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend = axes.legend(
        loc="upper right", frameon=False, fontsize=8, markerscale=2.5, handletextpad=0.4, borderaxespad=0
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    _steps_axis(axes, settings, theme)
    axes.set_xlabel("env steps trained, as the envs are told", labelpad=2)


def _steps_axis(axes: Axes, settings: Settings, theme: Theme) -> None:
    axes.set_xlim(0, settings.steps)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x else "0"))
    axes.grid(axis="y", color=theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_values(axes: Axes, learner: Learner, theme: Theme) -> None:
    position = np.linspace(LOW[0], 0.5, _CELLS)
    velocity = np.linspace(LOW[1], HIGH[1], _CELLS)
    values = np.array([[max(learner.values.values(tiles_of(p, v))) for p in position] for v in velocity])
    with np.errstate(divide="ignore", invalid="ignore"):
        to_go = np.where(values > 0, np.log(values) / math.log(DISCOUNT) + 1, np.nan)
    to_go[to_go > _MOST_STEPS] = np.nan  # seldom or never visited
    axes.set_facecolor(theme.unknown)
    colours = matplotlib.colormaps["viridis_r"]
    image = axes.pcolormesh(position, velocity, to_go, cmap=colours, vmin=0, vmax=_MOST_STEPS)
    path = _drive(learner.values)
    axes.plot(*path.T, color=DARK_INK, linewidth=3.2)
    axes.plot(*path.T, color="white", linewidth=1.6)
    axes.plot(*path[0], "o", color="white", markeredgecolor=DARK_INK, markersize=6)
    arrived = path[-1][0] >= 0.5 - 1e-6
    end, mark = ("goal", "*") if arrived else ("out of time", "X")
    axes.plot(
        *path[-1], mark, color="white", markeredgecolor=DARK_INK, markersize=12, clip_on=False, zorder=4
    )
    label: Any = {
        "textcoords": "offset points", "ha": "center", "va": "center", "size": 8, "color": DARK_INK,
        "bbox": {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
    }  # fmt: skip
    for text, place, offset in (("start", path[0], (-22, 0)), (end, path[-1], (-20, -1))):
        axes.annotate(text, place, xytext=offset, **label)
    axes.set_title("What it learned: steps from each state to the goal")
    axes.set_xlabel("position", labelpad=2)
    axes.set_ylabel("velocity", labelpad=-14)
    axes.set_yticks([-0.07, 0.07])
    axes.set_xticks([-1.2, -0.8, -0.4, 0.0, 0.4])
    axes.set_xlim(LOW[0], 0.5)
    axes.set_ylim(LOW[1], HIGH[1])
    # Inside the axes' own column, so that the titles of both rows begin at the same place.
    bar = axes.figure.colorbar(image, ax=axes, pad=0.025, aspect=26, ticks=[0, 50, 100, _MOST_STEPS])
    bar.ax.spines["outline"].set_visible(False)


def _drive(values: ActionValues) -> NDArray[np.float64]:
    """Return positions and velocities, shape (steps + 1, 2), of the greedy policy from the real start."""
    env = gymnasium.make("MountainCar-v0", disable_env_checker=True)
    observation, _ = env.reset(seed=0)
    path = [observation.tolist()]
    rng = random.Random(0)
    terminated = truncated = False
    while not (terminated or truncated):
        observation, _, terminated, truncated, _ = env.step(values.greedy(tiles_of(*path[-1]), rng))
        path.append(observation.tolist())
    env.close()
    return np.array(path)


def _draw_ages(axes: Axes, learners: Sequence[Learner], theme: Theme) -> None:
    ages = np.concatenate([x.record.info_ages for x in learners])
    low, high = 1e-5, 10.0
    axes.hist(np.clip(ages, low, high), bins=np.geomspace(low, high, 73).tolist(), color=theme.bars)
    median = float(np.median(ages))
    axes.axvline(median, color=theme.ink, linewidth=1.4)
    axes.margins(y=0.2)
    axes.annotate(
        f"median {_duration(median)}", (median, 0.9), xycoords=("data", "axes fraction"), xytext=(5, 0),
        textcoords="offset points", va="center", weight="bold",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _duration(x)))
    axes.minorticks_off()
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(f"Age of the training information at {len(ages):,} resets")


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size * 0.9999:
            return f"{seconds / size:.2g} {unit}" if seconds / size < 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 1e-6:.0f} µs"

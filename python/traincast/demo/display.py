"""Progress of the demo: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from traincast.demo.learner import Learner
from traincast.demo.settings import ARMS, BASELINE, Settings
from traincast.demo.summary import Summary, summarize

__all__ = ["Progress", "milliseconds", "progress_display"]

Progress = Callable[[Sequence[Learner]], None]

_LIVE_INTERVAL = 0.2
_PLAIN_INTERVAL = 2.0
_RECENT_RESETS = 50
_CURVE = 26  # characters
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = " _.:-=+*#"


def milliseconds(seconds: float) -> str:
    """Return a duration as text, in milliseconds."""
    return f"{1e3 * seconds:.1f} ms" if seconds < 0.01 else f"{1e3 * seconds:,.0f} ms"


@contextmanager
def progress_display(settings: Settings, console: Console) -> Iterator[Progress]:
    """Yield a function that shows the progress of the learners; it limits its own rate."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            curves = _Curves(settings, _BLOCKS if console.encoding.startswith("utf") else _ASCII_BLOCKS)

            def update(learners: Sequence[Learner]) -> None:
                summaries = summarize(learners, settings, _RECENT_RESETS)
                curves.add(summaries)
                live.update(_view(settings, summaries, curves), refresh=True)

            yield _limited(_LIVE_INTERVAL, update)
    else:

        def write(learners: Sequence[Learner]) -> None:
            print(_line(summarize(learners, settings, _RECENT_RESETS)), flush=True)

        yield _limited(_PLAIN_INTERVAL, write)


def _limited(interval: float, show: Progress) -> Progress:
    last = -interval

    def progress(learners: Sequence[Learner]) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= interval:
            last = now
            show(learners)

    return progress


def _line(summaries: Sequence[Summary]) -> str:
    curriculum, baseline = summaries
    return (
        f"with: {curriculum.steps:>7,} steps  level {curriculum.level:4.0%}  "
        f"return {curriculum.training_return:4.2f}  success {curriculum.success:4.0%}  |  "
        f"without: {baseline.steps:>7,} steps  return {baseline.training_return:4.2f}  "
        f"success {baseline.success:4.0%}  |  info {milliseconds(curriculum.info_age)} old"
    )


class _Curves:
    """The success of each arm over the steps, as characters."""

    def __init__(self, settings: Settings, blocks: str) -> None:
        self._blocks = blocks
        self._steps = settings.steps
        self._values: dict[str, list[float | None]] = {arm: [None] * _CURVE for arm in ARMS}

    def add(self, summaries: Sequence[Summary]) -> None:
        for summary in summaries:
            place = min(int(summary.steps / self._steps * _CURVE), _CURVE - 1)
            self._values[summary.arm][place] = summary.success

    def text(self, arm: str) -> str:
        values = self._values[arm]
        known = [i for i, value in enumerate(values) if value is not None]
        shown = ""
        for i in range(_CURVE):
            # A place that was passed between two refreshes shows the value before it.
            earlier = [k for k in known if k <= i]
            value = values[earlier[-1]] if earlier and i <= known[-1] else None
            shown += " " if value is None else self._blocks[1 + round(value * 7)]
        return shown


def _view(settings: Settings, summaries: Sequence[Summary], curves: _Curves) -> Group:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", style="dim")
    table.add_column("with the curriculum", style="green", min_width=_CURVE)
    table.add_column("the same without it", style="yellow", min_width=_CURVE)
    table.add_row("training steps", *[f"{s.steps:,} of {s.total:,}" for s in summaries])
    bars = [ProgressBar(total=s.total, completed=min(s.steps, s.total), width=_CURVE) for s in summaries]
    table.add_row("", *bars)
    table.add_row("level", *[_level(s) for s in summaries])
    table.add_row("return in training", *[f"{s.training_return:.2f}" for s in summaries])
    table.add_row("success, real start", *[f"{s.success:.0%}" for s in summaries])
    table.add_row("  over the steps", *[Text(curves.text(s.arm)) for s in summaries])
    table.add_row(
        "info age at a reset",
        *[f"{milliseconds(s.info_age)}  (99 %: {milliseconds(s.info_age_99)})" for s in summaries],
    )
    hint = f"From another terminal: traincast ls, traincast watch {settings.name}-curriculum"
    return Group(table, Text(hint, style="dim"))


def _level(summary: Summary) -> str:
    if summary.arm == BASELINE:
        return "the task itself"
    return f"{summary.level:.0%}  (head start {1 - summary.level:.0%})"

"""Sinks for `Run.log_to`: functions that log a run's numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from traincast._infos import number_of

__all__ = ["Sink", "numbers_of", "tensorboard"]

Sink = Callable[[int, dict[str, float]], object]
"""A function of the training steps and the numbers by name; dots lead into nested dictionaries."""


@dataclass
class Log:
    """A sink, and when to call it next."""

    sink: Sink
    every: float
    next_at: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.sink):
            raise TypeError(
                f"a sink is a function of (step, {{name: number}}), not {type(self.sink).__qualname__}; for "
                "a SummaryWriter use traincast.sinks.tensorboard(writer)"
            )
        if not self.every >= 0:
            raise ValueError(f"every must be a number of seconds from 0 up, not {self.every}")


def log_due(logs: list[Log], steps: int, info: Callable[[], Mapping[Any, Any]]) -> None:
    """Call the sinks whose time has come with the numbers of what `info` returns."""
    now = time.monotonic()
    due = [log for log in logs if now >= log.next_at]
    numbers = numbers_of(info()) if due else {}
    for log in due:
        log.next_at = now + log.every
        log.sink(steps, dict(numbers))


class _SummaryWriter(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int, /) -> object: ...


def tensorboard(writer: _SummaryWriter, prefix: str = "traincast/") -> Sink:
    """Return a sink that writes scalars with a `SummaryWriter` of `torch.utils.tensorboard` or tensorboardX.

    >>> run.log_to(traincast.sinks.tensorboard(SummaryWriter("runs/ppo")))  # doctest: +SKIP
    """

    def sink(step: int, numbers: dict[str, float]) -> None:
        for name, number in numbers.items():
            writer.add_scalar(prefix + name, number, step)

    return sink


def numbers_of(info: Mapping[Any, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of a dictionary by dotted name: `{"a": {"b": 1}}` gives `{"a.b": 1.0}`.

    Arrays, strings and lists are left out, because they cannot be drawn as a curve.
    """
    numbers: dict[str, float] = {}
    for key, value in info.items():
        if isinstance(value, Mapping):
            numbers |= numbers_of(value, f"{prefix}{key}.")
        elif (number := number_of(value)) is not None:
            numbers[f"{prefix}{key}"] = number
    return numbers

"""What the user of a run may have forgotten, and how they hear of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from traincast._warnings import warn_once

if TYPE_CHECKING:
    from traincast.wrappers.channel import Channel

__all__ = ["warn_if_in_a_starting_worker", "warn_of_going_back", "warn_of_silence"]

_PATIENCE = 60.0  # seconds that a run may live without a publish: a look at it, or an early end


def warn_if_in_a_starting_worker(name: str) -> None:
    """Warn of a run that is made while multiprocessing imports the main module again, for a worker."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and getattr(process.current_process(), "_inheriting", False):
        warn_once(
            "run in a starting worker",
            f"a worker process that is starting has made a run of its own, {name!r}: multiprocessing imports "
            "the main module again, and the modules that it needs. Envs of the worker that use this run "
            'hear nothing from the learner. Make the run under `if __name__ == "__main__":`, and give the '
            "worker run.wrap_env_fn(make_env), or the run as an argument.",
        )


def warn_of_going_back(channel: Channel, before: int, steps: int) -> None:
    """Warn of a publish with fewer steps than the one before."""
    warn_once(
        ("steps went back", channel),
        f"run {channel.name!r} went back from {before} training steps to {steps}, and curricula with "
        "it. To go on after a checkpoint, use Run(state=...) or Run(start=...)",
    )


def warn_of_silence(channel: Channel, steps: int, lived: float) -> None:
    """Warn at the end of a run that has published nothing after its start, unless it was short, or failed."""
    if lived >= _PATIENCE and sys.exc_info()[0] is None and not hasattr(sys, "last_type"):
        warn_once(
            ("nothing published", channel),
            f"run {channel.name!r} has ended after {lived:.0f} s, and has published nothing since its start: "
            f"its envs stayed at {steps} training steps. Call run.publish(steps) as the training goes on; "
            "with an integration, give its callback or hook to the framework.",
        )

"""The dictionaries that the benchmarks publish."""

from __future__ import annotations

from typing import Any

CHANNELS = 32  # which a timed pass reads one after the other
OTHER_WORK = 8 << 20  # bytes: more than a core's own caches hold
STEPS = "approx_total_training_steps"
COEFFICIENTS = ("goal", "alive", "speed", "energy", "smooth", "contact", "height", "effort")


def payload(step: int, value: float | None = None) -> dict[str, Any]:
    """Two integers and eight floats: all follow `step`; with `value`, only the steps do."""
    base = float(step) if value is None else value
    return {
        STEPS: 1_000_000 + step,
        "epoch": step if value is None else 7,
        "reward_shaping": {key: base + 0.1 * index for index, key in enumerate(COEFFICIENTS)},
    }


def payloads(count: int, value: float | None = None) -> list[dict[str, Any]]:
    """`count` different ones."""
    return [payload(step, value) for step in range(count)]

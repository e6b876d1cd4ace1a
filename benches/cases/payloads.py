"""What is published in the benchmarks."""

from __future__ import annotations

from typing import Any

CHANNELS = 32  # read one after the other in a timed pass
OTHER_WORK = 8 << 20  # bytes: more than the caches that a core has for itself
STEPS = "approx_total_training_steps"
COEFFICIENTS = ("goal", "alive", "speed", "energy", "smooth", "contact", "height", "effort")


def payload(step: int, value: float | None = None) -> dict[str, Any]:
    """Two integers and eight floats: every leaf follows `step`, or all but the steps stay as `value` says."""
    base = float(step) if value is None else value
    return {
        STEPS: 1_000_000 + step,
        "epoch": step if value is None else 7,
        "reward_shaping": {key: base + 0.1 * index for index, key in enumerate(COEFFICIENTS)},
    }


def payloads(count: int, value: float | None = None) -> list[dict[str, Any]]:
    """`count` different ones."""
    return [payload(step, value) for step in range(count)]

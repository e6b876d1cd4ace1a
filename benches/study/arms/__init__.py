"""The arms of the study, by name: `delay-20000`, `schedule-80000-20000`.

A number is in env steps; for timers and stalls in milliseconds; for windows in episodes.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from benches.study.arms.arm import Arm, Setting

__all__ = ["make_arm", "parts"]

_PLACES = {
    "traincast": ("gated", "Gated"),
    "value": ("gated", "SharedValue"),
    "delay": ("gated", "Delayed"),
    "rollouts": ("gated", "Boundaries"),
    "results": ("gated", "DelayedResults"),
    "stalled": ("gated", "Stalled"),
    "timer": ("queues", "Timer"),
    "placebo": ("queues", "Placebo"),
    "samplefactory": ("sample_factory", "SampleFactory"),
    "syllabus": ("syllabus", "Syllabus"),
    "windows": ("ungated", "Windows"),
    "schedule": ("ungated", "Scheduled"),
    "none": ("ungated", "NoCurriculum"),
}


def parts(name: str) -> tuple[str, list[int]]:
    """The kind of an arm and its numbers."""
    kind, *numbers = name.split("-")
    return kind, [int(number) for number in numbers]


def make_arm(name: str, setting: Setting) -> Arm:
    """The learner's end of an arm; made before the workers are."""
    kind, numbers = parts(name)
    if kind not in _PLACES:
        raise ValueError(f"there is no arm {name!r}")
    module, attribute = _PLACES[kind]
    made: Callable[..., Arm] = getattr(import_module(f"benches.study.arms.{module}"), attribute)
    return made(setting, *numbers)

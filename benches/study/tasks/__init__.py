"""The tasks of the study, by name."""

from __future__ import annotations

from benches.study.tasks.task import Task

__all__ = ["TITLES", "make_task"]

TITLES = {
    "lock": "Lock",
    "lock-16": "Lock, 16 actions",
    "multiroom": "MiniGrid MultiRoom-N6",
    "mountain-car": "MountainCar",
    "ppo": "Lock, PPO",
}


def make_task(name: str, seed: int) -> Task:
    """Return an env of a task. The seed chooses what the agent must find out: right actions, or a layout."""
    match name:
        case "lock":
            from benches.study.tasks.lock import Lock

            return Lock(seed, actions=4)
        case "lock-16":
            from benches.study.tasks.lock import Lock

            return Lock(seed, actions=16)
        case "multiroom":
            from benches.study.tasks.multiroom import MultiRoom

            return MultiRoom(seed)
        case "mountain-car":
            from benches.study.tasks.mountain_car import MountainCar

            return MountainCar()
    raise ValueError(f"there is no task {name!r}")

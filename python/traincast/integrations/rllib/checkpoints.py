"""What goes into RLlib's checkpoints, and comes back: RLlib asks no callback for anything to save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

__all__ = ["join_checkpoints"]

_KEY = "traincast"


def join_checkpoints(algorithm: Any, saved: Callable[[], Any], restored: Callable[[Any, Any], None]) -> None:
    """Put what `saved()` returns into the checkpoints of an algorithm, and tell of each that it restores.

    Every way to save goes through `Algorithm.get_state`, and every way to restore through `set_state`:
    `save_to_path`, `restore_from_path`, `from_checkpoint`, and Tune's `save` and `restore`. `restored` is
    called with the algorithm, which has its counts by then, and what was saved; None if nothing was.
    """
    held = ref(algorithm)  # the end of a run is that its algorithm is gone

    def get_state(components: Any = None, **kwargs: Any) -> Any:
        algorithm = held()
        state = type(algorithm).get_state(algorithm, components, **kwargs)  # type: ignore[union-attr]
        return state if components is not None else {**state, _KEY: saved()}

    def set_state(state: Any) -> None:
        algorithm = held()
        type(algorithm).set_state(algorithm, state)  # type: ignore[union-attr]
        restored(algorithm, state.get(_KEY))

    algorithm.get_state, algorithm.set_state = get_state, set_state

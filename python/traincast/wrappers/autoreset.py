"""An env that resets itself inside of its step: what is outside of it never sees a reset again."""

from __future__ import annotations

from typing import Any

import gymnasium

from traincast._warnings import warn_once

__all__ = ["warn_of_autoreset"]

_NAMES = ("Autoreset", "AutoResetWrapper")  # Gymnasium 1.x's, and 0.29's, which others have as well


def warn_of_autoreset(wrapper: object, env: Any, remedy: str) -> None:
    """Warn if a Gymnasium wrapper inside of `wrapper`, which acts at resets, resets the env by itself."""
    while isinstance(env, gymnasium.Wrapper):
        name = type(env).__name__
        if name in _NAMES:
            ours = type(wrapper).__name__
            warn_once(
                ("autoreset", ours),
                f"{name} is inside of {ours}, and resets the env within step(): {ours} acts at its first "
                f"reset alone, and the env stays as it is then. {remedy}: {name}({ours}(env, ...)).",
            )
            return
        env = env.env

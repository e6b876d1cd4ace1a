"""Episodes whose end a wrapper never sees."""

from __future__ import annotations

from traincast._warnings import warn_once

__all__ = ["EndWatch"]

_EPISODES = 100


class EndWatch:
    """Counts the episodes that were reset before they ended, until one ends; warns once per kind of wrapper.

    What limits an episode from outside of a wrapper (`TimeLimit`) ends it where the wrapper does not see it:
    results are never counted, and a curriculum that follows them stays where it is.
    """

    def __init__(self) -> None:
        self._abandoned = 0

    def abandoned(self, wrapper: object) -> None:
        """Note that an episode with steps was reset before it ended."""
        self._abandoned += 1
        if self._abandoned == _EPISODES:
            kind = type(wrapper).__name__
            warn_once(
                ("no end", kind),
                f"{wrapper} has seen {_EPISODES} episodes begin, and none end, so none has counted. Put "
                f"{kind} outside of TimeLimit, and of whatever else ends episodes: "
                f"{kind}(TimeLimit(env, ...), ...).",
            )

"""How the envs in a worker learn the name of the run's channels."""

from __future__ import annotations

from typing import Any

__all__ = ["channel_of", "hide_channel", "show_channel"]

# An attribute of the configuration, which Sample Factory pickles to its workers. It exists only while a run
# lasts, and never in the saved config.json: an evaluation must not look for the channel of a run that has
# ended.
_KEY = "traincast_channel"


def show_channel(cfg: Any, name: str) -> None:
    """Let the envs that are made with `cfg` know the name of the run's channels."""
    setattr(cfg, _KEY, name)


def hide_channel(cfg: Any) -> None:
    """Remove the name, because the run has ended."""
    # A resumed run has an AttrDict, whose attributes are items; a new one has a Namespace.
    (cfg if isinstance(cfg, dict) else vars(cfg)).pop(_KEY, None)


def channel_of(cfg: Any) -> str | None:
    """Return the name of the channels of the run that `cfg` belongs to; None if no learner is publishing."""
    return getattr(cfg, _KEY, None)

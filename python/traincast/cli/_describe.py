"""Words for the state of channels and readers in tables."""

from __future__ import annotations

from rich.text import Text

from traincast.cli._channels import Channel, Reader
from traincast.cli._text import age, printable

__all__ = ["behind", "life", "who", "writer"]

_STYLES = {"alive": "green", "dead": "yellow", "closed": "dim", "broken": "red"}


def writer(channel: Channel) -> Text:
    """Return the state of a channel's writer: alive, dead or closed; broken if the file does not say.

    For a learner on another machine, it is what the relay here knows of it.
    """
    if channel["status"] == "dead" and channel["link"] in ("learner lost", "link lost"):
        return Text(channel["link"], style=_STYLES["dead"])
    word = "alive" if channel["status"] == "live" else channel["status"]
    return Text(word, style=_STYLES[word])


def life(reader: Reader) -> Text:
    """Return whether a reader is alive or dead."""
    word = "alive" if reader["alive"] else "dead"
    return Text(word, style=_STYLES[word])


def behind(seconds: float | None) -> str:
    """Return how far a reader is behind; `-` if there is none, or it has read nothing yet."""
    return "-" if seconds is None else age(seconds)


def who(reader: Reader) -> str:
    """Return a reader's command line, or why it is not known."""
    if reader["elsewhere"]:
        return "(in another container)"
    return printable(reader["command"] or ("(unknown)" if reader["alive"] else "-"))

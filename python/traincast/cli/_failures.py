"""Errors of the commands, as a sentence or as JSON, and the exit codes.

Needs neither typer nor rich, because they may be what is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import get_close_matches

from traincast.cli._json import print_json
from traincast.errors import TraincastError

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "USAGE",
    "NoSuchKeyError",
    "ShellError",
    "did_you_mean",
    "report",
    "sentence",
]

FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""The exit code that shells report for a program that Ctrl-C ended."""


class ShellError(TraincastError):
    """Something that the command needs is missing."""


class NoSuchKeyError(TraincastError):
    """The snapshot has no such key."""


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the question with up to three near misses; `None` if nothing is near."""
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.lower(), name)
    near = get_close_matches(word.lower(), folded, n=3)
    # difflib does not count a part of a long name as close: `ppo` to `ppo-20250301-1f3a`.
    near += [name for name in folded if word and word.lower() in name and name not in near][: 3 - len(near)]
    return f"did you mean {' or '.join(folded[name] for name in near)}?" if near else None


def sentence(error: Exception) -> str:
    """Return the message of an exception, without its notes: those are hints."""
    if isinstance(error, TraincastError) or not isinstance(error, OSError):
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else str(error)


def report(text: str, kind: str, code: int, hint: str | None = None) -> None:
    """Say on stderr what went wrong: a sentence, or an object of JSON if the command line asks for JSON.

    Args:
        text: the sentence.
        kind: the exception's name.
        code: the exit code.
        hint: what to do about it.
    """
    if wants_json(sys.argv[1:]):
        print_json({"error": text, "type": kind, "hint": hint, "exit_code": code}, file=sys.stderr)
    else:
        print(f"traincast: {text}{f'; {hint}' if hint else ''}", file=sys.stderr)


def report_error(error: Exception) -> None:
    """Report an exception, with its notes as the hint."""
    notes = getattr(error, "__notes__", [])
    report(sentence(error), type(error).__name__, FAILED, "; ".join(notes) or None)


def wants_json(arguments: list[str]) -> bool:
    """Whether --json is among the arguments, even if these are wrong otherwise."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options

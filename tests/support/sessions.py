"""The processes of a session: of a program and all that it started."""

from __future__ import annotations

import time
from pathlib import Path


def session_members(session: int) -> list[int]:
    """The processes of a session that are not zombies."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(its_session) == session and state != "Z":
                members.append(int(entry.name))
    return members


def wait_until_alone(session: int) -> None:
    """Return when no process of the session is left; the tests' watchdog ends a wait in vain."""
    while session_members(session):
        time.sleep(0.05)

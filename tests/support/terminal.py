"""Run a command on a terminal of its own, and see what it showed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


def on_terminal(
    arguments: Sequence[str], columns: int, lines: int = 24, **environment: str
) -> tuple[int, str]:
    """Return the exit code of `traincast ARGUMENTS`, and what it wrote, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environ = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environ, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # how Linux reports that the other side has closed
            break
    os.close(ours)
    text = _ESCAPES.sub("", shown.decode("utf-8", "replace")).replace("\r\n", "\n")
    return process.wait(), text

"""`traincast` on the command line: look at channels, clean up after dead writers, run the demo.

Needs typer and rich (`pip install 'traincast[cli]'`); without them the command says so.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

__all__ = ["main"]

_INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


def main() -> None:
    """Run the command line and exit: 0 for success, 1 with a sentence on stderr, 2 for wrong usage."""
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        needs = " and ".join(missing)
        print(f"traincast: the command line needs {needs}: pip install 'traincast[cli]'", file=sys.stderr)
        sys.exit(1)
    # Ctrl-C may come during the imports too.
    try:
        from traincast.cli.app import app
        from traincast.errors import TraincastError

        try:
            app(prog_name="traincast")
        except TraincastError as error:
            _fail(str(error))
        except BrokenPipeError:
            # The reader of a pipe (head, say) has enough. Python would complain when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            _fail(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _fail(sentence: str) -> None:
    print(f"traincast: {sentence}", file=sys.stderr)
    sys.exit(1)

"""`traincast` on the command line: show channels and scores, relay them, clean up, run the demo.

Needs typer, rich, humanize and, for `traincast top`, textual (`pip install 'traincast[cli]'`); without them
the command says so. `traincast --cflags` needs none of them, because build scripts call it. With `--json`
each command prints JSON, which the schemas in `traincast/cli/schemas` describe.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 for success, 1 with a sentence on stderr, 2 for wrong usage."""
    from traincast.cli._failures import FAILED, INTERRUPTED, report, report_error

    if sys.argv[1:] == ["--cflags"]:
        from traincast._native import cflags

        print(cflags())
        sys.exit(0)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None: closed by the shell
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.set_int_max_str_digits(0)  # a snapshot holds ints of any size
    missing = [name for name in ("typer", "rich", "humanize") if find_spec(name) is None]
    if missing:
        needs = " and ".join(missing)
        report(f"the command line needs {needs}", "ImportError", FAILED, "pip install 'traincast[cli]'")
        sys.exit(FAILED)
    # Ctrl-C may come during the imports too.
    try:
        from traincast.cli.app import run
        from traincast.errors import TraincastError

        try:
            code = run()
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            # The program that reads the pipe, head for example, has ended. Python would complain when it
            # flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = FAILED
        except (TraincastError, OSError) as error:
            report_error(error)
            code = FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)

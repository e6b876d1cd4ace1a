"""Runs a module under callgrind, and lets the module choose what is counted."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benches.harness import ROOT

CLIENT = ROOT / "target" / "bench" / "callgrind_client.so"


class Counter:
    """Requests of a module to callgrind, under which it runs. Nothing is counted until it asks."""

    def __init__(self) -> None:
        self._client = ctypes.PyDLL(str(CLIENT))
        if not self._client.under_valgrind():
            sys.exit("run this under callgrind: python -m benches.gate.instructions or benches.gate.growth")

    @contextmanager
    def instrumented(self) -> Iterator[None]:
        """Instrument the code in the block: it runs slowly, and can be counted."""
        self._client.start()
        yield
        self._client.stop()

    def toggle(self) -> None:
        """Start or stop counting."""
        self._client.toggle()

    def dump(self, name: str) -> None:
        """Dump all that was counted since the last dump, under this name."""
        self._client.dump(name.encode())

    def count(self, operation: Callable[[], object], name: str) -> None:
        """Count one call of the operation, and dump it under this name."""
        self.toggle()
        operation()
        self.toggle()
        self.dump(name)


def dumps(module: str, *arguments: str) -> dict[str, str]:
    """Return what callgrind wrote while Python ran the module, by the names that the module gave."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        sys.exit(
            "valgrind is missing: install it (apt-get install valgrind); the counts come from its callgrind"
        )
    with tempfile.TemporaryDirectory(prefix="traincast-callgrind-") as folder:
        command = [valgrind, "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no"]
        command += [f"--callgrind-out-file={folder}/out", "--quiet", sys.executable, "-X", "utf8"]
        command += ["-m", module, *arguments]
        environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the run under callgrind failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        texts = [dump.read_text() for dump in Path(folder).glob("out.*")]
    named = re.compile(r"^desc: Trigger: Client Request: (.*)$", re.MULTILINE)
    return {trigger[1]: text for text in texts if (trigger := named.search(text))}

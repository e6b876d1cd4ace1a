"""Channel directories for benchmarks: never the user's own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_directory() -> Iterator[Path]:
    """A fresh `$TRAINCAST_DIR` in shared memory, which is removed afterwards."""
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    path = Path(tempfile.mkdtemp(prefix="traincast-bench-", dir=shm))
    before = os.environ.get("TRAINCAST_DIR")
    os.environ["TRAINCAST_DIR"] = str(path)
    try:
        yield path
    finally:
        if before is None:
            del os.environ["TRAINCAST_DIR"]
        else:
            os.environ["TRAINCAST_DIR"] = before
        shutil.rmtree(path)

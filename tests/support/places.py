"""Channel directories for tests that share one, and what dead runs left in one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from traincast._core import leftovers, remove_leftover


@contextmanager
def place() -> Iterator[Path]:
    """A channel directory of its own, in shared memory."""
    path = Path(tempfile.mkdtemp(prefix="traincast-test-", dir="/dev/shm"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def clean(directory: Path) -> int:
    """Do what `traincast clean --yes` does; return how many files went."""
    return sum(remove_leftover(file["path"], directory=directory) for file in leftovers(directory=directory))

"""Channel directories for tests that share one, and what dead runs left in one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from traincast._core import leftovers, remove_leftover

ATTEMPTS = 100


@contextmanager
def place() -> Iterator[Path]:
    """A channel directory of its own (0700), in shared memory where there is a folder for it."""
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    path = Path(tempfile.mkdtemp(prefix="traincast-test-", dir=shm))
    try:
        yield path
    finally:
        remove(path)


def remove(directory: Path) -> None:
    """Remove a channel directory in which processes that just end may still remove their own files.

    Ray's actors, for one, end after the call that ends them has returned.
    """
    for _ in range(ATTEMPTS):
        try:
            shutil.rmtree(directory)
            return
        except FileNotFoundError:  # removed between rmtree's look and its hand; the rest is there still
            if not directory.exists():
                return
    raise OSError(f"{directory} still changes after {ATTEMPTS} attempts to remove it")


def clean(directory: Path) -> int:
    """Do what `traincast clean --yes` does; return how many files went."""
    return sum(remove_leftover(file["path"], directory=directory) for file in leftovers(directory=directory))

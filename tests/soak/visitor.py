"""A reader in an interpreter of its own, for half a second."""

from __future__ import annotations

import time

import traincast
from tests.soak.role import MAIN, die_with_parent

if __name__ == "__main__":
    die_with_parent()
    reader = traincast.TrainingInfoReader(MAIN, attach_timeout=60)
    end = time.monotonic() + 0.5
    while time.monotonic() < end and reader.wait(0.1):
        reader.read()
        time.sleep(0.005)

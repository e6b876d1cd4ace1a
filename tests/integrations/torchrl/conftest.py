"""What these tests share lies beside them, also for the processes that they start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

SUPPORT = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "support")]

sys.path[:0] = SUPPORT


@pytest.fixture(autouse=True)
def _path_of_children(monkeypatch: pytest.MonkeyPatch) -> None:
    path = [*SUPPORT, os.environ.get("PYTHONPATH")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))

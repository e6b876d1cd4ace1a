"""For a machine with a GPU: `make test-cuda`. Everything else passes without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.exit("these tests need a GPU that torch can use", returncode=1)

sys.path.insert(0, str(Path(__file__).parent.parent / "integrations/stable_baselines3/support"))

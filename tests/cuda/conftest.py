"""For a machine with a GPU: `make test-cuda`. Everything else passes without one."""

from __future__ import annotations

import pytest
import torch

if not torch.cuda.is_available():
    pytest.exit("these tests need a GPU that torch can use", returncode=1)

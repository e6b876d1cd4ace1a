"""Warnings in TorchRL's worker processes."""

from __future__ import annotations

import sys
import warnings
from multiprocessing import parent_process

from traincast.errors import TraincastWarning

__all__ = ["let_workers_warn"]


def let_workers_warn() -> None:
    """Let our warnings be seen in a worker process, where TorchRL ignores all warnings.

    It does so because of the noise that optional packages make there. Ours are few, each is said once, and
    without them an env that gets nothing would be trained on in silence.
    """
    if parent_process() is None or sys.warnoptions:
        return
    if warnings.filters and warnings.filters[0][:3] == ("ignore", None, Warning):
        warnings.filterwarnings("default", category=TraincastWarning)

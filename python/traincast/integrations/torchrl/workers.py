"""Warnings in TorchRL's worker processes."""

from __future__ import annotations

import sys
import warnings
from multiprocessing import parent_process

from traincast.errors import TraincastWarning

__all__ = ["let_workers_warn"]


def let_workers_warn() -> None:
    """Show our warnings in a worker process, where TorchRL ignores all warnings.

    TorchRL does so because optional packages warn a lot there. Ours are few and come once each, and without
    them nobody would notice that an env gets no training information.
    """
    if parent_process() is None or sys.warnoptions:
        return
    if warnings.filters and warnings.filters[0][:3] == ("ignore", None, Warning):
        warnings.filterwarnings("default", category=TraincastWarning)

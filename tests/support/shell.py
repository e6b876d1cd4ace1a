"""Types of the fixtures that run the command line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from learner_process import LearnerProcess

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., LearnerProcess]

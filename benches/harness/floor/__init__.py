"""The smallest programs that could do the same: two native modules in Rust, and `ping` in C.

`several` has a class with several methods, as any useful module does; `single` has one method and no other.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from benches.harness import ROOT

BUILD = Path(os.environ.get("TRAINCAST_BENCH_BUILD", ROOT / "target" / "bench"))


def load(name: str = "traincast_floor") -> Any:
    """Import one of the native modules that `make bench-build` builds."""
    if not (BUILD / f"{name}.abi3.so").exists():
        sys.exit(f"{BUILD}/{name}.abi3.so is missing: `make bench-build` builds it")
    sys.path.insert(0, str(BUILD))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BUILD))

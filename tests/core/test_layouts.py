"""Where the native module looks into the interpreter's objects itself, and that it does so where it can.

All other tests of this folder run both ways: `make test-layouts` has a module that knows no version.
"""

from __future__ import annotations

import os
import sys

from traincast import _core


def test_known_layouts() -> None:
    expected = "dict float int" if sys.version_info < (3, 14) else ""
    assert " ".join(_core.known_layouts) == os.environ.get("KNOWN_LAYOUTS", expected)

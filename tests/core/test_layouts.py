"""Where the native module looks into the interpreter's objects itself, and that it does so where it can.

All other tests of this folder run both ways: `make test-layouts` has the module ask the interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from traincast import _core


def test_the_module_uses_the_layouts_that_it_knows() -> None:
    official = os.environ.get("TRAINCAST_OFFICIAL_API", "") not in ("", "0")
    expected = () if official or sys.version_info >= (3, 16) else ("dict", "float")
    assert _core.known_layouts == expected


@pytest.mark.parametrize(("value", "official"), [("1", True), ("yes", True), ("", False), ("0", False)])
def test_an_environment_variable_switches_direct_access_off(value: str, official: bool) -> None:
    code = "import traincast._core as core; print(core.known_layouts)"
    environment = {**os.environ, "TRAINCAST_OFFICIAL_API": value}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert (told.stdout == "()\n") == (official or sys.version_info >= (3, 16))

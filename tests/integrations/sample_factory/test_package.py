"""The package imports Sample Factory when it is needed, and says how to get it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_sample_factory_is_imported_when_it_is_needed() -> None:
    code = (
        "import sys, traincast.integrations.sample_factory as t\n"
        "assert not {'numpy', 'torch', 'gymnasium', 'sample_factory'} & set(sys.modules)\n"
        "t.run_rl\n"
        "assert 'sample_factory' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_a_missing_sample_factory_is_named_with_its_install_command() -> None:
    code = (
        "import sys; sys.modules['sample_factory'] = None\n"
        "import traincast.integrations.sample_factory as t\n"
        "try: t.run_rl\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'traincast[sample-factory]'" in result.stdout


def test_an_unknown_name_is_an_attribute_error() -> None:
    import traincast.integrations.sample_factory as package

    with pytest.raises(AttributeError, match="no attribute 'run'"):
        package.__getattr__("run")
    assert Path(package.__file__ or "").name == "__init__.py"

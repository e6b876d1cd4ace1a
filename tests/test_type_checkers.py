"""mypy and pyright accept what a careful user writes, and object to each line that says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USER = "tests/typing/user.py"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def mypy(file: str) -> subprocess.CompletedProcess[str]:
    return run("mypy", "--strict", file)


def pyright(file: str) -> subprocess.CompletedProcess[str]:
    return run("pyright", "--pythonpath", sys.executable, file)


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_careful_users_file_is_accepted(check: object) -> None:
    assert callable(check)
    done = check(USER)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("check", "comment"), [(mypy, r"  # type: ignore.*"), (pyright, r"  # pyright: ignore.*")]
)
def test_each_marked_line_is_an_error(check: object, comment: str, tmp_path: Path) -> None:
    """Without their comments, exactly these lines are errors."""
    assert callable(check)
    text = (ROOT / USER).read_text()
    marked = {number for number, line in enumerate(text.splitlines(), 1) if re.search(comment, line)}
    assert len(marked) > 8
    bare = tmp_path / "bare.py"
    bare.write_text(re.sub(comment, "", text))
    done = check(str(bare))
    assert done.returncode == 1, done.stdout + done.stderr
    assert {
        int(line) for line in re.findall(r"\.py:(\d+)(?::\d+)?(?:: error| - error)", done.stdout)
    } == marked

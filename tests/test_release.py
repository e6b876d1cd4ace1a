"""What `scripts/check-release` lets through: a tag whose version, lock file and change log agree."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout as it is before version 3.2.1 is tagged."""
    for name in ("Cargo.toml", "Cargo.lock", "CITATION.cff", "CHANGELOG.md"):
        text = (ROOT / name).read_text()
        text = text.replace(f'version = "{VERSION}"\n', 'version = "3.2.1"\n')
        text = text.replace(f"\nversion: {VERSION}\n", "\nversion: 3.2.1\n")
        text = text.replace("## Unreleased\n", "## Unreleased\n\n## 3.2.1 - 2027-02-03\n", 1)
        (tmp_path / name).write_text(text)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/check-release", tmp_path / "scripts")
    return tmp_path


def check(tree: Path, tag: str) -> tuple[int, str]:
    done = subprocess.run(
        ["scripts/check-release", tag], cwd=tree, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_tag_of_the_version_passes(tree: Path) -> None:
    assert check(tree, "v3.2.1") == (0, "")


def test_tag_of_another_version_is_refused_with_every_reason(tree: Path) -> None:
    status, told = check(tree, "v3.3.0")
    assert status == 1
    files = [line.split()[0] for line in told.splitlines()]
    assert files == ["Cargo.toml", "CITATION.cff", "Cargo.lock", "CHANGELOG.md"]


def test_release_without_a_section_of_the_change_log_is_refused(tree: Path) -> None:
    shutil.copy(ROOT / "CHANGELOG.md", tree)
    assert check(tree, "v3.2.1") == (1, "CHANGELOG.md has no section: ## 3.2.1 - DATE\n")

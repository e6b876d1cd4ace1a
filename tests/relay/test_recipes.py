"""The files to copy of docs/nodes/recipes.md: shells understand them, and the page names them all."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples/cluster").iterdir())
PAGE = ROOT / "docs/nodes/recipes.md"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_file_is_on_the_page(file: Path) -> None:
    assert f"(../../examples/cluster/{file.name})" in PAGE.read_text()


def test_each_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / link).exists(), link


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.suffix in (".sh", ".sbatch")], ids=lambda file: file.name
)
def test_shells_can_read_each_script(file: Path) -> None:
    shell = "bash" if file.suffix == ".sbatch" else "sh"
    assert file.read_text().startswith(f"#!/bin/{shell}\n")
    subprocess.run([shell, "-n", str(file)], check=True)


@pytest.mark.parametrize("program", ["cluster_ray.py", "cluster_torchrun.py"])
def test_the_programs_that_they_start_are_there(program: str) -> None:
    assert (ROOT / "examples" / program).exists()
    assert any(program in file.read_text() for file in [*FILES, PAGE])

"""The README's Python runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_examples() -> None:
    names: dict[str, Any] = {}
    ran = 0
    for block in blocks():
        code = compile(block, "README.md", "exec")
        if (
            "sample_factory" not in block
        ):  # needs an env of the user's: tests/integrations/sample_factory runs the like
            exec(code, names)
            ran += 1
    assert ran == 3
    assert names["env"].unwrapped.gravity == pytest.approx(2.0 + 7.8 * 4096 / 1_000_000)
    names["env"].close()
    names["writer"].close()


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []

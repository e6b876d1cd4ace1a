"""What the guide shows runs: each of its fences is a program."""

from __future__ import annotations

from pathlib import Path

from snippets import Snippet, programs_of


@programs_of("docs/frameworks/pufferlib.md")
def test_what_the_guide_shows_runs(snippet: Snippet, tmp_path: Path) -> None:
    snippet.run(tmp_path)

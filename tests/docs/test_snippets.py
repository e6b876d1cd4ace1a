"""The documentation's code runs, each fence as a program; those of a framework where that is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import PROGRAMS, ROOT, SHOWN, Snippet, pages, programs_of, snippets

ELSEWHERE = {
    "README.md": "tests/test_readme.py",
    "docs/migration.md": "tests/integrations/stable_baselines3/test_guide.py",
    "docs/nodes.md": "tests/relay/test_guide.py",
    "docs/frameworks/cleanrl.md": "tests/integrations/cleanrl/test_guide.py",
    "docs/frameworks/gymnasium.md": "tests/integrations/gymnasium/test_guide.py",
    "docs/frameworks/isaac_lab.md": "tests/integrations/isaac_lab/test_guide.py",
    "docs/frameworks/pettingzoo.md": "tests/integrations/pettingzoo/test_guide.py",
    "docs/frameworks/pufferlib.md": "tests/integrations/pufferlib/test_guide.py",
    "docs/frameworks/rl_games.md": "tests/integrations/rl_games/test_guide.py",
    "docs/frameworks/rllib.md": "tests/integrations/rllib/test_guide.py",
    "docs/frameworks/rsl_rl.md": "tests/integrations/rsl_rl/test_guide.py",
    "docs/frameworks/sample_factory.md": "tests/integrations/sample_factory/test_guide.py",
    "docs/frameworks/skrl.md": "tests/integrations/skrl/test_guide.py",
    "docs/frameworks/stable_baselines3.md": "tests/integrations/stable_baselines3/test_guide.py",
    "docs/frameworks/tianshou.md": "tests/integrations/tianshou/test_guide.py",
    "docs/frameworks/torchrl.md": "tests/integrations/torchrl/test_guide.py",
}
"""Pages whose programs need another environment than these tests have, and the test that runs them there."""
PAGES = list(pages())
HERE = [page for page in PAGES if page not in ELSEWHERE]


@programs_of(*HERE)
def test_what_a_page_shows_runs(snippet: Snippet, tmp_path: Path) -> None:
    snippet.run(tmp_path)


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_other_pages_run_in_the_environment_of_their_framework(page: str, test: str) -> None:
    assert any(snippet.runs for snippet in snippets(page))
    assert page in PAGES
    assert Path(page).name in (ROOT / test).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_says_what_it_is(page: str) -> None:
    languages = {snippet.language for snippet in snippets(page)}
    assert languages <= {*PROGRAMS, *SHOWN}
    lines = (ROOT / page).read_text().splitlines()
    assert not any(line.lstrip().startswith("~~~") for line in lines)
    assert sum(line.lstrip().startswith("```") for line in lines) == 2 * len(snippets(page))


NOT_RUN = {
    ("docs/migration.md", "Syllabus is installed for the benchmarks alone"),
    ("docs/native.md", "the lines of rust/core/examples/env.rs, which is compiled with the tests"),
    ("docs/frameworks/envpool.md", "EnvPool is not installed here"),
    ("docs/frameworks/isaac_lab.md", "Isaac Lab is not installed here"),
    ("docs/frameworks/tianshou.md", "Tianshou's builders need joblib, which it does not install"),
}


def test_what_is_not_run_is_listed_with_its_reason() -> None:
    left = {(one.page, one.why_not_run) for page in PAGES for one in snippets(page) if one.why_not_run}
    assert left == NOT_RUN

"""Links in the documentation lead somewhere: to a file of the repository, and to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from snippets import ROOT, pages

_FENCE = re.compile(r"^ *```.*?^ *```$|^<!--.*?-->$", flags=re.DOTALL | re.MULTILINE)
_LINK = re.compile(
    r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)|(?:src|href|srcset)=\"(?!https?:)([^\"#]+)#?([^\"]*)\""
)


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings, and of the names that the site's reference has."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    named = re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(named)


@pytest.mark.parametrize("page", list(pages()))
def test_links_lead_somewhere(page: str) -> None:
    here = ROOT / page
    for match in _LINK.finditer(prose(here)):
        path, anchor = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
        there = (here.parent / path).resolve() if path else here
        assert there.exists(), match[0]
        assert there.is_relative_to(ROOT), match[0]
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), match[0]

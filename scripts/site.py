"""A hook of mkdocs that converts the pages, which are written to be read on GitHub, too.

- Comments are removed: they hold what turns the snippets into programs (tests/support/snippets.py).
- A `<picture>` for light and dark becomes two images, of which the site's own switch shows one.
- A link to a file outside of docs/ leads to a page with its content, so that the site is complete by itself.
- Lists may be indented by two spaces.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_COMMENT = re.compile(r"^ *<!--.*?-->\n", flags=re.DOTALL | re.MULTILINE)
_PICTURE = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">\s*'
    r'<img alt="(?P<alt>[^"]+)" src="(?P<light>[^"]+)">\s*</picture>'
)
_FENCE = re.compile(r"(^ *```.*?^ *```$)", flags=re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
_TO_DOCTEST = re.compile(r"\s*(?:<span[^>]*>)?# doctest: \+SKIP(?:</span>)?")
_LANGUAGES = {
    ".py": "python",
    ".c": "c",
    ".h": "c",
    ".cpp": "cpp",
    ".rs": "rust",
    ".yml": "yaml",
    ".toml": "toml",
}


def _address(file: str) -> str:
    """Return the page for a file of the repository; files in docs/ are pages themselves."""
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    if file == "README.md":
        return "README.md"
    return f"project/{file}" if file.endswith(".md") else f"source/{file}.md"


def _file(address: str, shown: dict[str, str]) -> str:
    """Return the file of the repository that a page was made from."""
    return shown.get(address, f"docs/{address}")


def _outer_links(file: str, text: str) -> Iterator[str]:
    for link in _LINK.finditer(text):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), link["path"]))
        if not target.startswith("docs/") and target != "README.md" and (ROOT / target).exists():
            yield target


def _content(file: str) -> str:
    path = ROOT / file
    if file.endswith(".md"):
        return path.read_text()
    if path.is_dir():
        inside = [one for one in sorted(path.rglob("*")) if one.is_file() and _is_source(one)]
        parts = [f"## {one.relative_to(path)}\n\n{_fenced(one)}" for one in inside]
        return f"# {file}\n\n" + "\n\n".join(parts)
    return f"# {file}\n\n{_notebook(path) if path.suffix == '.ipynb' else _fenced(path)}"


def _is_source(path: Path) -> bool:
    return path.suffix not in (".so", ".pyc", ".o") and "build" not in path.parts


def _fenced(path: Path) -> str:
    return f"````{_LANGUAGES.get(path.suffix, 'text')}\n{path.read_text()}\n````"


def _notebook(path: Path) -> str:
    cells = json.loads(path.read_text())["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in texts)


_shown: dict[str, str] = {}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file outside of docs/ that a page links to."""
    _shown.clear()
    todo = [(f"docs/{page.src_uri}", page.content_string) for page in files.documentation_pages()]
    todo.append(("CHANGELOG.md", ""))  # in the nav, even if nothing links to it
    wanted = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md"]
    while todo or wanted:
        if todo:
            wanted += _outer_links(*todo.pop())
            continue
        file = wanted.pop()
        address = _address(file)
        if address not in _shown:
            _shown[address] = file
            content = _content(file)
            files.append(File.generated(config, address, content=content))
            if file.endswith(".md"):
                todo.append((file, content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn a page for GitHub into one for the site."""
    address = page.file.src_uri
    file = _file(address, _shown)

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), found["path"]))
        if target.startswith("docs/") and address not in _shown:
            return found[0]
        there = posixpath.relpath(_address(target), posixpath.dirname(address) or ".")
        return there + (found["anchor"] or "")

    text = _COMMENT.sub("", markdown)
    parts = _FENCE.split(text)
    for number in range(0, len(parts), 2):
        part = _PICTURE.sub(r"![\g<alt>](\g<light>#only-light)![\g<alt>](\g<dark>#only-dark)", parts[number])
        parts[number] = _LINK.sub(link, part)
    return _deeper_lists("".join(parts))


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Remove directives to doctest from examples in docstrings."""
    return _TO_DOCTEST.sub("", html)


def _deeper_lists(text: str) -> str:
    """Indent what belongs to a list item by four spaces, as Python-Markdown requires."""
    lines, in_list, in_fence = [], False, False
    for line in text.split("\n"):
        if line.startswith("```"):
            in_fence = not in_fence
        if not in_fence:
            if re.match(r"[-*] ", line):
                in_list = True
            elif line and not line.startswith("  "):
                in_list = False
        lines.append("  " + line if in_list and line.startswith("  ") else line)
    return "\n".join(lines)

"""The code of the documentation, as programs.

A fence of Python runs as it stands. Comments, which neither GitHub nor the site shows, make a program of one
that is a part only:

    <!-- page begins with        at the top of the program of each part that is shown on this page
    <!-- begin with              before the fence, of this part alone
    <!-- end with                after it: assertions, say
    <!-- not run: WHY -->        before a fence of Python, C or Rust that is only shown
    <!-- printed by              before a fence of another language: a program that prints these lines

Parts run as a script would have them: what begins the page at its top, so that workers may import it,
the rest below `if __name__ == "__main__":`. They may import what is in examples/.
"""

from __future__ import annotations

import ast
import atexit
import os
import re
import subprocess
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from warm import Warm

import traincast

ROOT = Path(__file__).parents[2]
PROGRAMS = ("python", "c", "rust")
"""Languages that run, or say why not."""
SHOWN = ("sh", "console", "text", "toml", "yaml")
"""Languages of what is typed into a shell, printed by a program, or written into a file of settings."""
TIMEOUT = 280  # a watchdog
LINGER = 30

_WARM: dict[str, Warm] = {}

_PIECE = re.compile(
    r"^<!-- (?P<word>page begins with|begin with|end with|printed by)\n(?P<hidden>.*?)^-->\n"
    r"|^ *<!-- not run: (?P<why>[^\n]+) -->\n"
    r"|^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$",
    flags=re.DOTALL | re.MULTILINE,
)
_DURATION = re.compile(r"[\d.]+ (?:µs|ms|s)\b")
_NUMBER = re.compile(r"\d+")


@dataclass
class Snippet:
    """A fence, and what makes a program of it."""

    page: str
    line: int
    language: str
    code: str
    hidden: dict[str, str] = field(default_factory=dict)
    why_not_run: str | None = None

    @property
    def runs(self) -> bool:
        return self.why_not_run is None and (self.language in PROGRAMS or "printed by" in self.hidden)

    @property
    def program(self) -> str:
        if self.language == "c":
            return self.hidden.get("begin with", "") + self.code + self.hidden.get("end with", "")
        if "printed by" in self.hidden:
            top, body = self.hidden.get("page begins with", ""), self.hidden["printed by"]
        elif self.hidden.keys() & {"begin with", "end with"}:
            top = self.hidden.get("page begins with", "")
            body = self.hidden.get("begin with", "") + self.code + self.hidden.get("end with", "")
        else:
            return self.code
        return f'{top}\nif __name__ == "__main__":\n{textwrap.indent(body, "    ")}'

    def run(self, folder: Path) -> None:
        """Run it as its reader would; the test fails with all that it has printed."""
        run = _run_c if self.language == "c" else _run_python
        status, output = run(self, folder)
        said = f"{self.page}, line {self.line}, ended with {status}:\n{output}"
        assert status == 0, said
        if "printed by" in self.hidden:
            missing = [line for line in self.code.splitlines() if not _printed(line, output)]
            assert not missing, f"not printed: {missing}\n{said}"
        else:
            assert "TraincastWarning" not in output, said
        assert _left() == [], said


def _run_python(snippet: Snippet, folder: Path) -> tuple[int, str]:
    file = folder / f"{Path(snippet.page).stem.lower()}_{snippet.line}.py"
    file.write_text(snippet.program)
    log = folder / "output"  # no pipe: a relay that the program has started may hold it for longer
    with log.open("wb") as output:
        warm, paths = _warm_for(snippet.page), [ROOT / "examples"]
        status = warm.run(file, out=output, err=output, folder=folder, paths=paths, timeout=TIMEOUT)
    return status, log.read_text()


def _warm_for(page: str) -> Warm:
    """A process that has imported what the programs of a page import; that of the page before ends."""
    if page not in _WARM:
        _cool_down()
        _WARM[page] = Warm(sorted({name for one in snippets(page) if one.runs for name in _imports(one)}))
    return _WARM[page]


@atexit.register
def _cool_down() -> None:
    while _WARM:
        _WARM.popitem()[1].close()


def _imports(snippet: Snippet) -> Iterator[str]:
    """The modules that a program imports."""
    for node in ast.walk(ast.parse(snippet.program)) if snippet.language != "c" else ():
        match node:
            case ast.Import(names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module, _, 0):
                yield str(module)


def _run_c(snippet: Snippet, folder: Path) -> tuple[int, str]:
    source, program = folder / "env.c", folder / "env"
    source.write_text(snippet.program)
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{traincast.get_include()}"]
    status, output = _ended(["cc", *flags, str(source), "-o", str(program)], folder)
    return (status, output) if status else _ended([str(program)], folder)


def _ended(command: list[str], folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    return done.returncode, done.stdout


def _left() -> list[str]:
    """What the program has left of its channels; its relays end within a second or two."""
    deadline = time.monotonic() + LINGER
    while (left := os.listdir(os.environ["TRAINCAST_DIR"])) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _printed(line: str, output: str) -> bool:
    """Whether a line was printed: numbers, times and spaces may differ, and `…` stands for anything."""
    if line.startswith("$ "):
        return True

    def even(text: str) -> str:
        return _NUMBER.sub("0", _DURATION.sub("0 s", " ".join(text.split())))

    return re.search(".*".join(map(re.escape, even(line).split("…"))), even(output)) is not None


def snippets(page: str) -> list[Snippet]:
    """Return all fences of a page."""
    text = (ROOT / page).read_text()
    found: list[Snippet] = []
    top = ""
    before: dict[str, str] = {}
    why = None
    end = 0
    for piece in _PIECE.finditer(text):
        word, hidden = piece["word"], piece["hidden"]
        line = text.count("\n", 0, piece.start()) + 1
        far = text[end : piece.start()].strip() != ""
        end = piece.end()
        if word == "page begins with":
            top = hidden
        elif word == "end with":
            assert not far, f"{page}, line {line}: this comment follows no fence"
            found[-1].hidden["end with"] = hidden
        elif word:
            before[word] = hidden
        elif piece["why"]:
            why = piece["why"]
        else:
            assert not (far and (before or why)), f"{page}, line {line}: the comment before is not next to it"
            code = textwrap.dedent(piece["code"])
            found.append(
                Snippet(page, line, piece["language"], code, {"page begins with": top, **before}, why)
            )
            before, why = {}, None
    assert not before, f"{page}: no fence follows the last comment"
    assert not why, f"{page}: no fence follows the last comment"
    return found


def pages() -> Iterator[str]:
    """Give all pages, as paths from the root of the repository."""
    for pattern in ("*.md", "docs/**/*.md"):
        for file in sorted(ROOT.glob(pattern)):
            yield str(file.relative_to(ROOT))


def programs_of(*names: str) -> pytest.MarkDecorator:
    """Parametrize a test by the programs of some pages."""
    found = [snippet for page in names for snippet in snippets(page) if snippet.runs]
    return pytest.mark.parametrize("snippet", found, ids=[f"{one.page}:{one.line}" for one in found])

"""The reference has every public name, and the page on the shell every option.

`make docs` looks at the built site besides.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer.main
from snippets import ROOT

from traincast.cli.app import app

PACKAGE = ROOT / "python" / "traincast"
MODULES = ["", "curriculum", "scores", "relay", "relay/ray", "sinks"] + [
    f"integrations/{path.stem}"
    for path in sorted((PACKAGE / "integrations").iterdir())
    if not path.name.startswith("_")
]


def exports(module: str) -> list[str]:
    """The `__all__` of a module: its framework need not be installed here."""
    path = PACKAGE / module
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    raise AssertionError(f"{source} has no __all__")


def entries() -> set[str]:
    return {
        name
        for page in (ROOT / "docs" / "reference").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)
    }


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_has_every_public_name(module: str) -> None:
    path = ".".join(["traincast", *filter(None, module.split("/"))])
    names = {f"{path}.{name}" for name in exports(module)}
    modules = {f"traincast.{other}".replace("/", ".") for other in MODULES}
    assert names - modules <= entries()


def test_the_reference_has_nothing_else() -> None:
    public = {
        ".".join(["traincast", *filter(None, module.split("/")), name])
        for module in MODULES
        for name in exports(module)
    }
    assert entries() <= public


def test_the_page_on_the_shell_has_every_command_and_option() -> None:
    page = Path(ROOT / "docs" / "cli.md").read_text()
    root = typer.main.get_command(app)
    for command in (root, *root.commands.values()):
        if command is not root:
            assert f"`traincast {command.name}" in page
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-"):
                    assert option in page, (command.name, option)

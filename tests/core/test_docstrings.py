"""The native module shows the stub's docstrings and signatures: one text for `help()` and for editors."""

from __future__ import annotations

import ast
import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import traincast
from traincast import _core

STUB = ast.parse(Path(_core.__file__).with_name("_core.pyi").read_text())
Documented = ast.ClassDef | ast.FunctionDef


def declared(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Documented]]:
    """Classes, methods, properties and functions by their dotted names; of overloads the first."""
    seen = set()
    for node in body:
        if isinstance(node, Documented) and node.name not in seen:
            seen.add(node.name)
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from declared(node.body, f"{node.name}.")


NODES = dict(declared(STUB.body))
# What Python says of these is about all classes; there is nothing to add.
UNDOCUMENTED = {"__enter__", "__exit__", "__new__", "__getnewargs_ex__", "__class_getitem__", "__bool__"}
UNDOCUMENTED |= {"__getitem__", "__contains__", "__len__"}


def runtime(name: str) -> Any:
    found: Any = _core
    for part in name.split("."):
        found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
    return found


def test_the_stub_names_all_there_is() -> None:
    public = {name for name in vars(_core) if not name.startswith("_")}
    assert public == {name for name in NODES if "." not in name} | {"known_layouts"}
    assert set(_core.__all__ if hasattr(_core, "__all__") else public) <= public | {"__version__"}
    for name in public:
        value = getattr(_core, name)
        if inspect.isclass(value):
            members = {
                member for kind in value.__mro__[:-1] for member in vars(kind) if not member.startswith("_")
            }
            assert members == {key.partition(".")[2] for key in NODES if key.startswith(f"{name}.")} - {
                key.partition(".")[2] for key in NODES if key.startswith(f"{name}.__")
            }


@pytest.mark.parametrize("name", NODES)
def test_docstring(name: str) -> None:
    documented = ast.get_docstring(NODES[name])
    if name.rpartition(".")[2] in UNDOCUMENTED:
        assert documented is None
        return
    assert documented
    shown = runtime(name)
    assert inspect.getdoc(shown) == documented
    if inspect.isclass(shown):
        assert inspect.cleandoc(shown.__doc__ or "") == documented  # not one that it inherits


def test_docstring_of_the_module() -> None:
    assert inspect.getdoc(_core) == ast.get_docstring(STUB)


@pytest.mark.parametrize("name", [name for name in NODES if ast.get_docstring(NODES[name])])
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = ast.get_docstring(NODES[name]) or ""
    example = doctest.DocTestParser().get_doctest(documented, {"traincast": traincast}, name, None, None)
    results = doctest.DocTestRunner(verbose=False).run(example)
    assert results.failed == 0
    assert results.attempted == documented.count(">>> ")

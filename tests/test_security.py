"""No way in by what is installed: nothing unpickled, evaluated or hooked in; few dependencies, all known."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

import traincast

ROOT = Path(__file__).parents[1]
PACKAGE = Path(traincast.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Modules that make code out of data, load libraries by name, or open connections.
FORBIDDEN_MODULES = {
    *(
        "_pickle",
        "cffi",
        "cloudpickle",
        "code",
        "codeop",
        "copyreg",
        "ctypes",
        "dbm",
        "dill",
        "joblib",
        "marshal",
    ),
    *("pickle", "runpy", "shelve", "site", "zipimport"),
    *(
        "asyncio",
        "ftplib",
        "http",
        "requests",
        "smtplib",
        "socket",
        "socketserver",
        "ssl",
        "urllib",
        "xmlrpc",
    ),
}
# Relays alone open connections, and none to receive anything but bytes.
FORBIDDEN_BUT_IN_RELAYS = {"asyncio", "socket"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
FORBIDDEN_METHODS = {"system", "popen", "load_dynamic", "literal_eval", "loads", "allow_pickle"}


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_source_makes_no_code_out_of_data(path: Path) -> None:
    of_a_relay = path.relative_to(PACKAGE).parts[0] == "relay"
    forbidden = FORBIDDEN_MODULES - FORBIDDEN_BUT_IN_RELAYS if of_a_relay else FORBIDDEN_MODULES
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & forbidden, where
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in forbidden, where
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                assert node.func.id not in FORBIDDEN_CALLS, where
            if isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN_METHODS:
                # JSON is data on both sides.
                assert ast.unparse(node.func) == "json.loads", where
            assert "shell" not in {keyword.arg for keyword in node.keywords}, where
            assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}, where


def test_native_module_calls_no_pickle_and_no_eval() -> None:
    """What it imports from CPython and which names it looks up; nor does it hold test-only code."""
    (library,) = PACKAGE.glob("_core*.so")
    content = library.read_bytes()
    forbidden = [
        *(b"PyRun_", b"PyEval_EvalCode", b"Py_CompileString", b"PyMarshal_", b"PyImport_ExecCodeModule"),
        *(b"pickle\0", b"__builtins__", b"getaddrinfo", b"TRAINCAST_FAILPOINT"),
    ]
    assert [name for name in forbidden if name in content] == []


def test_reading_imports_nothing_that_unpickles(traincast_dir: Path) -> None:
    code = """
import sys, traincast
before = set(sys.modules)
writer = traincast.TrainingInfoWriter("a")
writer.publish({"approx_total_training_steps": 1, "s": "text", "d": {"n": [1.5, b"", (True, 2**80)]}})
traincast.TrainingInfoReader("a").read()
traincast._core.list_channels(), traincast._core.leftovers()
print(sorted({"pickle", "_pickle", "marshal", "ctypes", "socket", "numpy"} & set(sys.modules) - before))
"""
    code = f"import sys; sys.path[:] = {sys.path!r}\n{code}"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_wheel_hooks_into_nothing() -> None:
    """No .pth, no sitecustomize, no scripts, no files outside of the package, no links."""
    wheels = list((ROOT / "target/wheels").glob("*.whl"))
    assert len(wheels) == 1, "run `make wheel`"
    with zipfile.ZipFile(wheels[0]) as wheel:
        for entry in wheel.infolist():
            assert entry.filename.split("/")[0].startswith("traincast"), entry.filename
            assert not entry.filename.endswith((".pth", ".pyc", ".exe", ".sh")), entry.filename
            assert ".data/" not in entry.filename, entry.filename
            assert "sitecustomize" not in entry.filename
            assert entry.external_attr >> 28 in (0, 8), f"{entry.filename} is no regular file"


LICENCES = {
    "MIT",
    "MIT OR Apache-2.0",
    "Apache-2.0 OR MIT",
    "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
    "Apache-2.0 WITH LLVM-exception",
    "(MIT OR Apache-2.0) AND Unicode-3.0",
}
# What is in the native module, or generates code for it. A new name here is a new party to trust.
CRATES = {
    "cfg-if",
    "crc32fast",
    *(
        "bitflags",
        "ctor",
        "errno",
        "heck",
        "libc",
        "linux-raw-sys",
        "once_cell",
        "proc-macro2",
        "quote",
        "rustc-hash",
        "rustix",
        "smallvec",
        "syn",
    ),
    *("pyo3", "pyo3-build-config", "pyo3-ffi", "pyo3-macros", "pyo3-macros-backend", "target-lexicon"),
    *("thiserror", "thiserror-impl", "unicode-ident", "traincast-core", "traincast-python"),
}


def cargo(*arguments: str) -> str:
    return subprocess.run(
        ["cargo", *arguments, "--locked"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def test_crates_are_known_once_and_freely_licensed() -> None:
    shown = ["--prefix", "none", "--format", "{p}|{l}", "--no-dedupe"]
    tree = cargo("tree", "--package", "traincast-python", "--edges", "normal,build", *shown)
    crates = {tuple(line.rsplit("|", 1)) for line in tree.splitlines() if line}
    names = Counter(crate.split()[0] for crate, _ in crates)
    assert set(names) <= CRATES, "a new dependency: look at it, then add it"
    assert [name for name, count in names.items() if count > 1] == [], "two versions of one crate"
    assert {licence for _, licence in crates} <= LICENCES


def test_crates_come_from_the_registry_with_checksums() -> None:
    metadata = json.loads(cargo("metadata", "--format-version", "1"))
    for package in metadata["packages"]:
        ours = package["id"] in metadata["workspace_members"]
        assert package["source"] == (
            None if ours else "registry+https://github.com/rust-lang/crates.io-index"
        )
    lock = (ROOT / "Cargo.lock").read_text()
    assert lock.count("\nsource = ") == lock.count("\nchecksum = ")

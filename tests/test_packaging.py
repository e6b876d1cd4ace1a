"""The wheel: what is in it, that the sdist builds the same one, that every CPython of the machine runs it."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import lazy_loader
import pytest

import traincast

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command outside of the checkout; its output is shown when it fails."""
    assert not cwd.is_relative_to(ROOT)
    return subprocess.run(
        command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False, timeout=280
    )


def run_well(*command: str | Path, cwd: Path, **env: str) -> str:
    done = run(*command, cwd=cwd, **env)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pythons() -> dict[str, str]:
    """Minor version to interpreter, for each CPython >= 3.11 of this machine."""
    found = subprocess.run([ROOT / "scripts/pythons"], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in found.splitlines())


PYTHONS = pythons()


@pytest.fixture(scope="module")
def wheel() -> Path:
    wheels = list((ROOT / "target/wheels").glob("*.whl"))
    assert len(wheels) == 1, f"expected one wheel in target/wheels, found {wheels}: run `make wheel`"
    return wheels[0]


def bare_venv(directory: Path, python: str, wheel: Path) -> Path:
    """A new virtual environment with the wheel, lazy_loader and nothing else; returns its bin directory."""
    uv = [sys.executable, "-m", "uv"]
    run_well(*uv, "venv", "--quiet", "--python", python, directory, cwd=directory.parent)
    run_well(
        *uv,
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        directory,
        wheel,
        cwd=directory.parent,
    )
    # Copied, for the tests need no network: it is one pure Python package.
    (site_packages,) = directory.glob("lib/python*/site-packages")
    shutil.copytree(Path(lazy_loader.__file__).parent, site_packages / "lazy_loader")
    return directory / "bin"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    return bare_venv(tmp_path_factory.mktemp("bare") / "venv", sys.executable, wheel)


def test_these_tests_run_on_an_installed_wheel() -> None:
    assert not Path(traincast.__file__).is_relative_to(ROOT / "python")


def test_the_wheel_has_the_tags_of_the_stable_abi(wheel: Path) -> None:
    assert re.fullmatch(rf"traincast-{VERSION}-cp311-abi3-(manylinux\w+|linux)_\w+\.whl", wheel.name)


def test_the_wheel_contains_the_expected_files_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"traincast-{VERSION}.dist-info"
    package = {name for name in names if not name.startswith(f"{info}/")}
    sources = {
        str(path.relative_to(ROOT / "python"))
        for path in (ROOT / "python").rglob("*")
        if path.suffix in {".py", ".pyi", ".json", ".h"} or path.name == "py.typed"
    }
    assert package - sources == {"traincast/_core.abi3.so"}
    assert sources - package == set()
    assert f"{info}/licenses/LICENSE" in names


def test_the_native_module_has_no_symbols(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        module = archive.extract("traincast/_core.abi3.so", tmp_path)
    sections = subprocess.run(
        ["readelf", "--sections", "--wide", module], capture_output=True, check=True
    ).stdout
    assert b" .text" in sections
    assert b" .symtab" not in sections
    assert b" .debug_line" not in sections


def test_the_metadata_is_complete(wheel: Path) -> None:
    info = f"traincast-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Provides-Extra") is not None
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "gym",
        "pettingzoo",
        "torch",
        "ml-dtypes",
        "sample-factory",
        "stable-baselines3",
        "rllib",
        "torchrl",
        "tianshou",
        "rl-games",
        "skrl",
        "ray",
        "zenoh",
        "cli",
        "demo",
        "all",
    }
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert [re.match(r"[\w-]+", line)[0] for line in required] == ["numpy", "lazy-loader"]
    assert "traincast=traincast.cli:main" in entry_points.replace(" ", "")


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "maturin", "sdist", "--out", tmp_path],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        (flags,) = (member for member in archive.getnames() if member.endswith("/.cargo/config.toml"))
        assert archive.extractfile(flags).read() == (ROOT / ".cargo/config.toml").read_bytes()
    run_well(
        *(sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--python", sys.executable),
        *("--out-dir", tmp_path, sdist),
        cwd=tmp_path,
        CARGO_TARGET_DIR=str(ROOT / "target/sdist"),  # spares compiling the dependencies each time
        CARGO_PROFILE_RELEASE_OPT_LEVEL="0",  # it is not run
        CARGO_PROFILE_RELEASE_LTO="off",
    )
    (rebuilt,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(rebuilt) as theirs:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
        for name in ours.namelist():
            if name.endswith((".py", ".pyi", "METADATA", "entry_points.txt", "LICENSE")):
                assert ours.read(name) == theirs.read(name), name


SMOKE = """
import multiprocessing, sys
import traincast

def child(pipe):
    with traincast.TrainingInfoReader("smoke") as reader:
        pipe.send((reader.read(), reader.version))
        assert reader.wait(60)
        pipe.send((reader.read(), reader.version))

if __name__ == "__main__":
    first = {"approx_total_training_steps": 2**70, "nested": {"a": [1.5, (None, b"x")], 7: "\\u00e9"}}
    with traincast.TrainingInfoWriter("smoke") as writer:
        assert writer.publish(first) == 1
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=child, args=(there,))
        process.start()
        assert here.recv() == (first, 1)
        assert writer.update(approx_total_training_steps=3) == 2
        assert here.recv() == (first | {"approx_total_training_steps": 3}, 2)
        process.join()
        assert process.exitcode == 0
    print("%d.%d" % sys.version_info[:2], traincast.__file__)
"""


@pytest.mark.parametrize("minor", PYTHONS)
def test_one_wheel_for_every_cpython(minor: str, wheel: Path, tmp_path: Path) -> None:
    bin = bare_venv(tmp_path / "venv", PYTHONS[minor], wheel)
    script = tmp_path / "smoke.py"
    script.write_text(SMOKE)
    version, file = run_well(bin / "python", "-W", "error", script, cwd=tmp_path).split()
    assert version == minor
    assert Path(file).is_relative_to(tmp_path / "venv")


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("traincast.TrainingInfoWrapper", "pip install 'traincast[gym]'"),
        (
            "import traincast.integrations.sample_factory as sf; sf.run_rl",
            "pip install 'traincast[sample-factory]'",
        ),
        ("import traincast.cli; traincast.cli.main()", "pip install 'traincast[cli]'"),
    ],
    ids=["gym", "sample-factory", "cli"],
)
def test_a_missing_extra_is_named(bare: Path, tmp_path: Path, code: str, command: str) -> None:
    done = run(bare / "python", "-c", f"import traincast; {code}", cwd=tmp_path)
    assert done.returncode == 1
    assert command in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("arguments", [["ls"], ["demo"]], ids=" ".join)
def test_a_command_without_its_extra_names_it(bare: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = run(bare / "traincast", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"pip install 'traincast\[(cli|demo)\]'", done.stderr)
    assert "Traceback" not in done.stderr

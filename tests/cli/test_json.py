"""What --json prints is what the schemas in the package say."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from matplotlib.image import imread
from shell import Shell, Start

import traincast

SCHEMAS = files("traincast.cli") / "schemas"


def check(text: str, name: str) -> Any:
    """Parse strict JSON, and hold it against a schema."""
    document = json.loads(text, parse_constant=pytest.fail, parse_int=lambda digits: int(digits[:4000]))
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    return document


@pytest.fixture
def channels(learner: Start, traincast_dir: Path) -> Any:
    """A live channel with a reader, a dead one and a broken one."""
    writer = learner("live", 2)
    writer.publish(approx_total_training_steps=5, gain=0.5)
    dead = learner("dead")
    dead.publish(approx_total_training_steps=1)
    dead.kill()
    (traincast_dir / "broken@0").write_bytes(b"junk")
    (traincast_dir / "broken@0").chmod(0o600)
    with traincast.TrainingInfoReader("live", 2) as reader:
        reader.read()
        yield writer


def test_each_schema_is_one() -> None:
    names = sorted(path.name for path in SCHEMAS.iterdir())
    assert names == [
        f"{name}.schema.json"
        for name in ("clean", "demo", "error", "get", "ls", "relay", "scores", "top", "watch")
    ]
    for path in SCHEMAS.iterdir():
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


def test_a_schema_refuses_what_it_does_not_describe() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check('[{"name": "run"}]', "ls")


@pytest.mark.usefixtures("channels")
def test_ls(shell: Shell) -> None:
    broken, dead, live = check(shell("ls", "--json").stdout, "ls")
    assert (broken["status"], broken["version"], broken["age"]) == ("broken", None, None)
    assert dead["status"] == "dead"
    (reader,) = live["readers"]
    assert (reader["pid"], reader["behind"], reader["seconds_behind"]) == (os.getpid(), 0, 0)
    assert check(shell("ls", "--readers", "--json").stdout, "ls")[2]["name"] == "live"


@pytest.mark.usefixtures("channels")
def test_top_prints_a_line_for_each_snapshot(shell: Shell) -> None:
    lines = shell("top", "--json", "--count", "2", "--interval", "0.1").stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        broken, dead, live = check(line, "top")["channels"]
        assert (live["steps"], live["rate"]) == (5, 0)
        assert live["readers"][0]["command"]
        assert (broken["steps"], broken["steps_history"]) == (None, [])
        assert dead["steps"] == 1
    (line,) = shell("top", "--json", "--filter", "liv", "--interval", "0.1").stdout.splitlines()
    assert [channel["name"] for channel in check(line, "top")["channels"]] == ["live"]


def test_get(shell: Shell, channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(
            {
                "approx_total_training_steps": 10**30,
                "numbers": [math.nan, math.inf, -math.inf, np.complex128(1 + 2j)],
                "array": np.array([[1.5, np.nan]]),
                "when": np.datetime64("2025-03-01"),
                "raw": b"\x00\xff",
                1: (None, True),
                "huge": 10**5000,
            }
        )
        info = check(shell("get", channel_name, "--json").stdout, "get")
        assert info["approx_total_training_steps"] == 10**30
        assert info["numbers"] == ["NaN", "Infinity", "-Infinity", [1.0, 2.0]]
        assert info["array"] == [[1.5, "NaN"]]
        assert info["1"] == [None, True]
        for key, value in (("when", "2025-03-01"), ("numbers.0", "NaN"), ("raw", {"base64": "AP8="})):
            assert check(shell("get", channel_name, key, "--json").stdout, "get") == value
        assert "1000" in shell("get", channel_name, "huge").stdout


def test_watch_tells_of_each_update_and_of_the_writer(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)
    with subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "watch", "run", "--json", "--interval", "0.01"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = check(process.stdout.readline(), "watch")
        assert (first["version"], first["writer"]) == (1, "alive")
        writer.publish(approx_total_training_steps=2, gain=math.inf)
        second = check(process.stdout.readline(), "watch")
        assert second["changed"] == ["approx_total_training_steps", "gain"]
        assert second["training_info"]["gain"] == "Infinity"
        writer.close()
        last = check(process.stdout.readline(), "watch")
        assert (last["writer"], last["changed"], last["version"]) == ("closed", [], 2)
        assert process.stdout.readline() == ""


@pytest.mark.usefixtures("channels")
def test_clean_lists_without_yes_and_removes_with_it(shell: Shell, traincast_dir: Path) -> None:
    done = shell("clean", "--json")
    assert done.returncode == 1
    document = check(done.stdout, "clean")
    assert not any(file["removed"] for file in document["files"])
    assert "--yes" in check(done.stderr, "error")["hint"]
    done = shell("clean", "--json", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    removed = check(done.stdout, "clean")["files"]
    assert [file["path"] for file in removed] == [file["path"] for file in document["files"]]
    assert all(file["removed"] for file in removed)
    assert {path.name.partition("@")[0] for path in traincast_dir.iterdir()} == {"live"}
    assert check(shell("clean", "--json").stdout, "clean")["files"] == []


def test_demo(shell: Shell, tmp_path: Path) -> None:
    picture, dark = tmp_path / "demo.png", tmp_path / "dark.png"
    small = ("--seeds", "1", "--workers", "2", "--steps", "1000")
    done = shell("demo", "--json", *small, "-o", str(picture), "--dark", str(dark))
    assert done.returncode == 0, done.stderr
    summary = check(done.stdout, "demo")
    assert [arm["arm"] for arm in summary["arms"]] == ["curriculum", "baseline"]
    assert summary["picture"] == str(picture)
    # The corner: white, and none at all, so that a dark page shows through.
    assert [imread(file)[0, 0].tolist() for file in (picture, dark)] == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert "MountainCar" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "kind"),
    [
        (["get", "missing"], 1, "ChannelNotFoundError"),
        (["watch", "missing"], 1, "ChannelNotFoundError"),
        (["get", "live", "--policy", "2", "gian"], 1, "NoSuchKeyError"),
        (["get", "broken"], 1, "CorruptChannelError"),
        (["get", "a/b"], 1, "InvalidNameError"),
        (["demo", "--output", "/missing/x.png"], 1, "ShellError"),
        (["get"], 2, "UsageError"),
        (["get", "live", "--policy", "70000"], 2, "UsageError"),
        (["watch", "live", "--interval", "never"], 2, "UsageError"),
        (["lss"], 2, "UsageError"),
    ],
)
@pytest.mark.usefixtures("channels")
def test_errors_are_objects_on_stderr(shell: Shell, command: list[str], code: int, kind: str) -> None:
    done = shell(*command, "--json")
    assert (done.returncode, done.stdout) == (code, "")
    error = check(done.stderr, "error")
    assert (error["type"], error["exit_code"]) == (kind, code)
    assert error["error"]


def test_a_directory_that_cannot_be_trusted_is_such_an_error(shell: Shell, traincast_dir: Path) -> None:
    traincast_dir.chmod(0o755)
    for command in (["ls"], ["clean"], ["top"], ["get", "run"]):
        done = shell(*command, "--json")
        assert (done.returncode, done.stdout) == (1, "")
        assert check(done.stderr, "error")["type"] == "InsecureDirectoryError"

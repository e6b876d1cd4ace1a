"""Every command works on a terminal that knows ASCII or Latin-1 only, whatever the user's data are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from shell import Start
from terminal import on_terminal

import traincast

ENVIRONMENTS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}
INFO = {
    "approx_total_training_steps": 1,
    "long": "y" * 200,
    "Grüße": "日本語 ☃ \x1b[31mred",
    "weights": np.zeros(50),
    "café": {"naïve": 1.5, "∑": [1, 2]},
}
NAMES = ("ls", "top", "get", "watch", "clean", "demo")
COMMANDS = [
    ["ls"], ["ls", "--readers"], ["ls", "--json"], ["get", "run"], ["get", "run", "Grüße"],
    ["get", "run", "café.∑"], ["get", "run", "--json"], ["clean"], ["clean", "--json", "--yes"],
    ["top", "--json", "-i", "0.1"], ["top"], ["get", "nöpe"], ["get", "run", "nöpe"],
    ["get", "run", "nöpe", "--json"], ["watch", "ünder", "--json"], ["läs"], ["demo", "-o", "/nö/x.png"],
    [], ["--help"], ["-V"], *([name, "--help"] for name in NAMES),
]  # fmt: skip


@pytest.fixture
def run() -> None:
    with traincast.TrainingInfoWriter("run") as writer:
        writer.publish(INFO)
        yield


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_every_command_says_something_readable(environment: dict[str, str]) -> None:
    # All of them in the first one; what differs in the others is how text is written, which is one place.
    every = 1 if environment is ENVIRONMENTS["ascii"] else 4
    for command in COMMANDS[::every]:
        done = subprocess.run(
            [sys.executable, "-m", "traincast.cli", *command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        encoding = "latin-1" if environment.get("PYTHONIOENCODING") == "latin-1" else "ascii"
        out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
        assert "Traceback" not in err, (command, err)
        assert done.returncode in (0, 1, 2), command
        assert out + err, command
        assert "\x1b[31m" not in out or command == [
            "get",
            "run",
            "Grüße",
        ]  # a value alone goes to a pipe as it is
        if "--json" in command:
            for text in filter(None, (out, err)):
                json.loads(text)


@pytest.mark.usefixtures("run")
def test_what_cannot_be_shown_is_escaped_and_columns_stay_straight() -> None:
    code, text = on_terminal(["get", "run"], 100, PYTHONIOENCODING="ascii")
    assert code == 0
    assert r"Gr\xfc\xdfe" in text
    assert r"\u65e5\u672c\u8a9e \u2603 \x1b[31mred" in text
    ends = {line.index("  ") for line in text.splitlines() if line.startswith("approx")}
    starts = {len(line) - len(line.split("  ", 1)[1].lstrip()) for line in text.splitlines()}
    assert len(starts) == 1, text
    assert ends == {27}
    assert "y" * 57 + "..." in text


@pytest.mark.usefixtures("run")
def test_json_on_an_ascii_terminal_is_the_same_json() -> None:
    def get(**environment: str) -> object:
        done = subprocess.run(
            [sys.executable, "-m", "traincast.cli", "get", "run", "--json"],
            env={**os.environ, **environment},
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout.decode("utf-8"))

    assert get(PYTHONIOENCODING="ascii") == get(PYTHONIOENCODING="utf-8")


@pytest.mark.usefixtures("run")
def test_values_and_keys_cannot_control_the_terminal(learner: Start) -> None:
    learner("evil").publish(approx_total_training_steps=1, **{"\x1b]0;owned\x07": "\x1b[2J\x9b31m\u202e"})
    for command in (["get", "evil"], ["get", "evil", "\x1b]0;owned\x07"]):
        _, text = on_terminal(command, 100)
        assert "\x1b" not in text
        assert "\x9b" not in text
        assert "\\x1b[2J" in text


def test_watch_shows_long_and_foreign_text_on_an_ascii_terminal(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)
    with subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "watch", "run", "--interval", "0.01"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        writer.publish(approx_total_training_steps=2, note="z" * 200, place="Zürich")
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
    assert "note=zzz" in line
    assert "..." in line
    assert r"place=Z\xfcrich" in line

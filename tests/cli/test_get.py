from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shell import Shell, Start

import traincast
from traincast.cli._json import json_value
from traincast.cli._values import flatten, look_up, short_text

INFO = {
    "approx_total_training_steps": 4096,
    "shaping": {"goal": 1.5, "crash": -0.25},
    "names": ["a", "b"],
    "weights": np.arange(12, dtype=np.float32).reshape(3, 4),
    "rate": float("nan"),
    "note": "two words",
}


@pytest.fixture
def run(channel_name: str) -> str:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(INFO)
        yield channel_name


def test_everything_comes_one_line_a_value(shell: Shell, run: str) -> None:
    lines = dict(line.split(maxsplit=1) for line in shell("get", run).stdout.splitlines())
    assert lines == {
        "approx_total_training_steps": "4096",
        "shaping.goal": "1.5",
        "shaping.crash": "-0.25",
        "names": "['a', 'b']",
        "weights": "float32[3x4]  0 to 11, mean 5.5",
        "rate": "nan",
        "note": "two words",
    }


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("approx_total_training_steps", "4096"),
        ("shaping.crash", "-0.25"),
        ("shaping", "goal   1.5\ncrash  -0.25"),
        ("names.1", "b"),
        ("note", "two words"),
        ("weights", str(INFO["weights"])),
    ],
)
def test_a_key_gives_its_value_alone(shell: Shell, run: str, key: str, shown: str) -> None:
    assert shell("get", run, key).stdout == f"{shown}\n"


def test_json_output_is_valid_json(shell: Shell, run: str) -> None:
    info = json.loads(shell("get", run, "--json").stdout, parse_constant=pytest.fail)
    assert info["weights"] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert info["rate"] == "NaN"
    assert json.loads(shell("get", run, "shaping", "--json").stdout) == {"goal": 1.5, "crash": -0.25}


def test_a_missing_key_is_named_with_those_that_exist(shell: Shell, run: str) -> None:
    done = shell("get", run, "qqq")
    assert done.returncode == 1
    assert done.stderr == (
        "traincast: no key 'qqq'; there are: approx_total_training_steps, shaping.goal, "
        "shaping.crash, names, weights, rate, note\n"
    )


def test_the_policy_is_part_of_the_channel(shell: Shell, run: str) -> None:
    done = shell("get", run, "--policy", "1")
    assert done.returncode == 1
    assert "policy 1" in done.stderr


def test_a_missing_channel_a_bad_name_and_a_broken_file_get_a_sentence(
    shell: Shell, traincast_dir: Path
) -> None:
    broken = traincast_dir / "broken@0"
    broken.write_bytes(b"junk")
    broken.chmod(0o600)
    for name in ("missing", "a/b", "broken"):
        done = shell("get", name)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith("traincast: ")
        assert name in done.stderr


def test_the_last_snapshot_of_a_dead_writer_is_shown(shell: Shell, learner: Start, channel_name: str) -> None:
    writer = learner(channel_name)
    writer.publish(approx_total_training_steps=77)
    writer.kill()
    assert shell("get", channel_name, "approx_total_training_steps").stdout == "77\n"


def test_every_type_has_a_line_and_is_json() -> None:
    values = [
        None, True, 10**30, -0.0, math.inf, "x" * 500, b"\x00\xff", (), [], {}, {1: 2}, np.float64(1.5),
        np.array([]), np.array(3), np.array([True, False] * 9), np.array(["a"]), np.array([b"a"]),
        np.array(["2020-01-01"], "datetime64[D]"), np.datetime64("NaT"), np.array([1 + 2j]),
        np.full(20, np.nan),
    ]  # fmt: skip
    for value in values:
        assert "\n" not in short_text(value)
        assert len(short_text(value)) < 100
        json.dumps(json_value({"value": value}), allow_nan=False)
    assert short_text(np.float64(1.5)) == "1.5"
    assert json_value((1, b"\x00", {2: math.inf}, 1j)) == [
        1,
        {"base64": "AA=="},
        {"2": "Infinity"},
        [0.0, 1.0],
    ]


trees = st.recursive(
    st.integers(), lambda t: st.dictionaries(st.text(max_size=3) | st.integers(), t, max_size=3), max_leaves=9
)


@given(st.dictionaries(st.text(st.characters(categories=["L"]), min_size=1, max_size=3), trees, max_size=4))
def test_every_flattened_key_leads_to_a_value(info: dict[str, object]) -> None:
    for key, _ in flatten(info):
        look_up(info, key)

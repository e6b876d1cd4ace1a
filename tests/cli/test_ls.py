from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

import pytest
from shell import Shell, Start

import traincast
from traincast._core import RelayLock
from traincast.cli._text import age


def cells(table: str) -> list[list[str]]:
    """The cells of a table; no cell has two spaces in a row."""
    lines = [line.split("  ") for line in table.splitlines() if not line.startswith("`")]
    return [[cell.strip() for cell in line if cell.strip()] for line in lines]


def test_an_empty_machine_gets_a_sentence(shell: Shell, traincast_dir: Path) -> None:
    done = shell("ls")
    assert (done.returncode, done.stdout) == (0, f"No channels in {traincast_dir}.\n")
    assert json.loads(shell("ls", "--json").stdout) == []


def test_channels_are_listed_with_their_writers_and_readers(shell: Shell, learner: Start) -> None:
    living, dying = learner("alpha", 3), learner("beta")
    for steps in range(4):
        living.publish(approx_total_training_steps=steps)
    dying.publish(approx_total_training_steps=0)
    dying.kill()
    with traincast.TrainingInfoReader("alpha", 3) as reader:
        reader.read()
        living.publish(approx_total_training_steps=9)
        living.publish(approx_total_training_steps=10)
        done = shell("ls")
        rows = cells(done.stdout)
        assert rows[0] == [
            "NAME", "POLICY", "WRITER", "PID", "VERSION", "EPOCH", "AGE", "SIZE", "READERS", "BEHIND"
        ]  # fmt: skip
        assert rows[1][:3] == ["alpha", "3", "alive"]
        assert rows[1][4:6] == ["6", "1"]
        assert rows[1][7:9] == ["264.1 KiB", "1"]
        assert rows[2][:6] == ["beta", "0", "dead", "-", "1", "1"]
        assert rows[2][8:] == ["0", "-"]
        assert "traincast clean" in done.stdout

        titles, row = cells(shell("ls", "--readers").stdout)
        assert titles == ["NAME", "POLICY", "PID", "READER", "VERSION", "BEHIND", "COMMAND"]
        assert row[:5] == ["alpha", "3", str(os.getpid()), "alive", "4"]
        assert "python" in row[6]


def test_a_reader_is_behind_by_seconds(shell: Shell, learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)
    with traincast.TrainingInfoReader("run") as reader:
        (channel,) = json.loads(shell("ls", "--json").stdout)
        assert channel["readers"][0]["seconds_behind"] is None  # it has read nothing yet
        assert cells(shell("ls").stdout)[1][-1] == "-"
        reader.read()
        assert cells(shell("ls").stdout)[1][-1] == "0 s"
        time.sleep(1.2)
        assert cells(shell("ls").stdout)[1][-1] == "0 s"  # it has the newest
        writer.publish(approx_total_training_steps=2)
        (channel,) = json.loads(shell("ls", "--json").stdout)
        (its,) = channel["readers"]
        assert its["seconds_behind"] > 1.1
        assert (its["behind"], its["pid"], its["alive"]) == (1, os.getpid(), True)
        assert its["command"] == Path("/proc/self/cmdline").read_text().replace("\0", " ").strip()
        assert cells(shell("ls").stdout)[1][-1] == age(its["seconds_behind"])
        reader.read()
        assert cells(shell("ls").stdout)[1][-1] == "0 s"


def test_json_holds_what_the_table_shows(shell: Shell, learner: Start) -> None:
    learner("run").publish(approx_total_training_steps=1)
    (channel,) = json.loads(shell("ls", "--json").stdout)
    assert (channel["name"], channel["status"], channel["version"]) == ("run", "live", 1)
    assert channel["readers"] == []


def test_a_closed_channel_is_gone(shell: Shell, learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)
    writer.close()
    assert shell("ls").stdout.startswith("No channels")


@pytest.mark.parametrize("content", [b"", b"junk", bytes(8192)], ids=["empty", "foreign", "zeros"])
def test_a_broken_file_gets_a_sentence_beside_the_others(
    shell: Shell, learner: Start, traincast_dir: Path, content: bytes
) -> None:
    learner("good").publish(approx_total_training_steps=1)
    bad = traincast_dir / "bad@0"
    bad.write_bytes(content)
    bad.chmod(0o600)
    done = shell("ls")
    assert done.returncode == 0
    assert "bad, policy 0, is broken: " in done.stdout
    assert cells(done.stdout)[1][:2] == ["good", "0"]


def test_a_directory_that_others_may_enter_gets_a_sentence(shell: Shell, traincast_dir: Path) -> None:
    traincast_dir.chmod(0o755)
    for command in (["ls"], ["clean"], ["get", "run"], ["watch", "run"]):
        done = shell(*command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"traincast: {traincast_dir} ")
        assert done.stderr.count("\n") == 1


def test_relays_have_lines_of_their_own(shell: Shell, learner: Start, traincast_dir: Path) -> None:
    assert "No channels" in shell("ls", "--relays").stdout
    learner("run").publish(approx_total_training_steps=1)
    assert shell("ls", "--relays").stdout == "No relay serves a channel here.\n"
    far = traincast_dir.parent / f"{traincast_dir.name}-far"
    with traincast.TrainingInfoWriter("far", directory=far) as source:
        source.publish({"approx_total_training_steps": 1})
        message = source.read_wire()
    relay = RelayLock("far")
    sink = traincast.TrainingInfoWriter("far")
    assert message is not None
    sink.publish_wire(message)
    status = {
        "via": "an engine",
        "pid": os.getpid(),
        "role": "sink",
        "state": "live",
        "lag": 0.012,
        "lease": 1.25,
    }
    status |= {"coalesced": 12, "dropped": 3, "parent": ["there", "0f"]}
    relay.announce(json.dumps(status))
    titles, row = cells(shell("ls", "--relays").stdout)
    assert titles == [
        "NAME", "POLICY", "ROLE", "STATE", "VIA", "LEARNER", "PARENT", "CHILDREN",
        "LAG", "LEASE", "COALESCED", "DROPPED",
    ]  # fmt: skip
    who = f"{os.getpid()} on {platform.node()}"
    assert row == ["far", "0", "sink", "live", "an engine", who, "there", "0", "12 ms", "1.2 s", "12", "3"]
    far_channel, run = json.loads(shell("ls", "--json").stdout)
    assert far_channel["relay"]["lag"] == 0.012
    assert run["relay"] is None
    sink.leave("learner lost")
    assert cells(shell("ls").stdout)[1][2] == "learner lost"
    relay.announce("{ half a status")
    assert json.loads(shell("ls", "--json").stdout)[0]["relay"] is None
    relay.close()
    far.rmdir()

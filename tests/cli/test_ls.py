from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from shell import Shell, Start

import traincast


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
        lines = [line.split("  ") for line in done.stdout.splitlines()]
        rows = [[cell.strip() for cell in line if cell] for line in lines]
        assert rows[0] == ["NAME", "POLICY", "WRITER", "VERSION", "EPOCH", "AGE", "SIZE", "READERS", "BEHIND"]
        assert rows[1][:2] == ["alpha", "3"]
        assert rows[1][2].startswith("alive, pid ")
        assert rows[1][3:5] == ["6", "1"]
        assert rows[1][6:] == ["264 KiB", "1", "2"]
        assert rows[2][:5] == ["beta", "0", "dead", "1", "1"]
        assert "traincast clean" in done.stdout

        readers = shell("ls", "--readers").stdout.splitlines()
        assert readers[1].split() == ["alpha", "3", str(os.getpid()), "alive", "4", "2"]


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
    assert "good  0" in done.stdout


def test_a_directory_that_others_may_enter_gets_a_sentence(shell: Shell, traincast_dir: Path) -> None:
    traincast_dir.chmod(0o755)
    for command in (["ls"], ["clean"], ["get", "run"], ["watch", "run"]):
        done = shell(*command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"traincast: {traincast_dir} ")
        assert done.stderr.count("\n") == 1

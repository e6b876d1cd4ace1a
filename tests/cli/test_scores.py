"""`traincast scores` shows what envs have counted."""

from __future__ import annotations

import json
import os
from importlib.resources import files

import jsonschema
from shell import Shell

import traincast
from traincast.scores import Scoreboard, ScoreWriter


def test_a_line_for_each_task_that_was_played(shell: Shell, channel_name: str) -> None:
    with traincast.Run(channel_name, unique=False) as run, Scoreboard(run, 1000):
        writer = ScoreWriter(run)
        for won in (True, False, True, True):
            writer.record(7, success=won, episode_return=2.0 + won, length=10, score=0.25)
        writer.record(999, episode_return=-1.0, length=3)
        done = shell("scores", channel_name)
        lines = done.stdout.splitlines()
        assert lines[0] == "5 episodes of 2 of 1000 tasks; 1 process record."
        assert " ".join(lines[1].split()) == "TASK EPISODES SUCCESS RETURN DEVIATION LENGTH LAST SCORE"
        assert lines[2].split() == ["7", "4", "75.0%", "2.75", "0.433", "10.0", "0.25"]
        assert lines[3].split() == ["999", "1", "0.0%", "-1", "0", "3.0", "-1"]

        document = json.loads(shell("scores", channel_name, "--json").stdout)
        schema = json.loads((files("traincast.cli") / "schemas" / "scores.schema.json").read_text())
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
        assert document["scores"][0]["success_rate"] == 0.75
        assert document["processes"] == [{"pid": os.getpid(), "alive": True, "episodes": 5}]


def test_looking_ends_nothing(shell: Shell, channel_name: str) -> None:
    with Scoreboard(channel_name, 1) as board:
        shell("scores", channel_name)
        assert ScoreWriter(channel_name).record(0)
        assert board.collect()["episodes"].tolist() == [1]


def test_a_channel_without_a_scoreboard_is_an_error_with_a_sentence(shell: Shell, channel_name: str) -> None:
    with traincast.Run(channel_name, unique=False):
        done = shell("scores", channel_name)
        assert done.returncode == 1
        assert "has no scoreboard" in done.stderr

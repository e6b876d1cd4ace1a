from __future__ import annotations

import subprocess
import sys

from shell import Shell

import traincast


def test_help_names_the_commands(shell: Shell) -> None:
    done = shell("--help")
    assert done.returncode == 0
    for command in ("ls", "get", "watch", "clean", "demo"):
        assert f" {command} " in done.stdout


def test_a_wrong_command_is_wrong_usage(shell: Shell) -> None:
    done = shell("frobnicate")
    assert done.returncode == 2
    assert "frobnicate" in done.stderr


def test_a_closed_pipe_is_not_an_error(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({"approx_total_training_steps": 0, **{f"key{i}": i for i in range(20_000)}})
        with subprocess.Popen(
            [sys.executable, "-m", "traincast.cli", "get", channel_name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(100)
            process.stdout.close()
            assert process.stderr.read() == b""


def test_importing_the_entry_point_loads_neither_typer_nor_rich() -> None:
    # Worker processes of the demo import the console script once more.
    code = "import sys, traincast.cli; sys.exit(bool({'typer', 'rich', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

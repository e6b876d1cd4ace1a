"""The header for envs in C and C++: where it is found, and that it compiles there."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import traincast

HEADER = Path(traincast.get_include()) / "traincast.h"
ROOT = Path(__file__).parents[1]


def printed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_package_holds_the_header() -> None:
    for name in ("traincast.h", "traincast_scores.h"):
        assert (HEADER.parent / name).read_text() == (ROOT / "include" / name).read_text()


def test_the_shell_says_where_the_header_is() -> None:
    said = printed(sys.executable, "-m", "traincast", "--cflags")
    assert shlex.split(said) == [f"-I{traincast.get_include()}"]
    assert "--cflags" in printed(sys.executable, "-m", "traincast", "--help")


def test_a_build_needs_no_more_than_the_package() -> None:
    """Not even what the other commands need."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('typer', 'rich', 'humanize', 'numpy')))\n"
        "sys.argv[1:] = ['--cflags']\n"
        "from traincast.cli import main\n"
        "main()\n"
    )
    assert printed(sys.executable, "-c", code).startswith("-I")


def test_a_program_that_uses_the_header_reads_what_python_publishes(
    tmp_path: Path, channel_name: str
) -> None:
    source = tmp_path / "read.c"
    source.write_text(
        '#include "traincast.h"\n'
        "int main(int count, char **arguments) {\n"
        "    static tc_reader reader;\n"
        "    static tc_key goal;\n"
        "    if (count != 2 || tc_open(&reader, arguments[1], 0, sizeof reader)) return 1;\n"
        '    tc_key(&reader, "reward_shaping.goal", &goal);\n'
        '    printf("%g\\n", tc_f64(&reader, &goal, -1.0));\n'
        "    tc_close(&reader);\n"
        "}\n"
    )
    flags = shlex.split(printed(sys.executable, "-m", "traincast", "--cflags"))
    program = tmp_path / "read"
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    subprocess.run(["cc", "-std=c11", *strict, *flags, source, "-o", program], check=True, timeout=120)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({"approx_total_training_steps": 0, "reward_shaping": {"goal": 0.25}})
        assert printed(str(program), channel_name) == "0.25\n"

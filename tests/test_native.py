"""The header for envs in C and C++: where it is found, and that it compiles there."""

from __future__ import annotations

import errno
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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


STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror"]
LANGUAGES = {
    "C11": ["cc", "-std=c11", "-x", "c"],
    "C++17": ["c++", "-std=c++17", "-x", "c++"],
    "C++17 without exceptions": ["c++", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-x", "c++"],
}
RECORDING = """
#include "traincast_scores.h"
int FUNCTION(const char *directory, const char *name) {
    static tc_reader reader;
    static tc_scores scores;
    tc_scores_close(&scores); /* of zeros */
    if (tc_open_at(&reader, directory, name, 0, sizeof reader)) return -1;
    if (tc_scores_open_at(&scores, directory, name, 0, sizeof scores)) return -2;
    int recorded = tc_record(&scores, 1, 1, 2.5, 3);
    tc_close(&reader);
    tc_scores_close(&scores);
    return recorded;
}
"""


def built(tmp_path: Path, language: str, *optimised: str) -> Path:
    """A program of two files that include both headers; it prints what each of them has recorded."""
    (tmp_path / "one.c").write_text(RECORDING.replace("FUNCTION", "one"))
    (tmp_path / "other.c").write_text(
        RECORDING.replace("FUNCTION", "other") + "int one(const char *, const char *);\n"
        "int main(int count, char **arguments) {\n"
        "    (void)count;\n"
        '    printf("%d %d", one(arguments[1], arguments[2]), other(arguments[1], arguments[2]));\n'
        '    printf(" %s\\n", fcntl(0, F_GETFD) < 0 ? "closed" : "open");\n'
        "    return 0;\n"
        "}\n"
    )
    sources = [str(tmp_path / name) for name in ("one.c", "other.c")]
    program = tmp_path / "record"
    flags = [*STRICT, *optimised, f"-I{traincast.get_include()}"]
    subprocess.run([*LANGUAGES[language], *flags, *sources, "-o", program], check=True, timeout=120)
    return program


@pytest.mark.parametrize("optimised", [["-O0"], ["-O3", "-flto"]], ids=" ".join)
@pytest.mark.parametrize("language", LANGUAGES)
def test_two_files_of_one_program_include_both_headers_without_a_warning(
    tmp_path: Path, traincast_dir: Path, language: str, optimised: list[str]
) -> None:
    program = built(tmp_path, language, *optimised)
    with traincast.Run("two-files", unique=False) as run, traincast.scores.Scoreboard(run, 2) as board:
        said = subprocess.run(
            [program, traincast_dir, run.name],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert said.stdout == "1 1 open\n"  # what was closed is no descriptor of the program's
        assert board.collect()[1].tolist() == (2, 2, 5.0, 12.5, 6, 2.5)


def test_a_limit_of_file_sizes_is_an_error_and_ends_no_env(tmp_path: Path, traincast_dir: Path) -> None:
    program = built(tmp_path, "C11")
    with traincast.Run("limit", unique=False) as run, traincast.scores.Scoreboard(run, 50_000) as board:

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

        said = subprocess.run(
            [program, traincast_dir, run.name], capture_output=True, text=True, preexec_fn=limited, timeout=60
        )
        assert said.stdout.startswith(f"-{errno.EFBIG} ")
        assert board.collect()["episodes"].sum() == 0

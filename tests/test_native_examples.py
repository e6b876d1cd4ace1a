"""The example envs in C and C++ compile, run, and read what their learner publishes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import traincast

EXAMPLES = Path(__file__).parents[1] / "examples"
ADDED = re.compile(r"^.*// traincast\n", re.MULTILINE)


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "warning" not in done.stderr, done.stderr
    return done.stdout


def built(example: str, folder: Path) -> Path:
    made = folder / example
    shutil.copytree(EXAMPLES / example, made, ignore=shutil.ignore_patterns("build", "__pycache__"))
    run("make", f"PYTHON={sys.executable}", cwd=made)
    return made


def test_the_env_in_c_follows_the_learner(tmp_path: Path) -> None:
    said = run(sys.executable, "train.py", cwd=built("c_env", tmp_path))
    goals = [float(number) for number in re.findall(r"goals +([\d.]+);", said)]
    returns = [float(number) for number in re.findall(r"return +([\d.-]+),", said)]
    assert len(goals) == len(returns) == 10, said
    # Each goal pays 1, and the way there pays in proportion to the weight, which goes down to 0.
    assert returns[3] > goals[3] * 1.2
    assert returns[-1] < goals[-1] * 1.2


def test_at_most_ten_lines_of_the_env_in_c_are_ours() -> None:
    sources = [EXAMPLES / "c_env" / name for name in ("squares.h", "binding.c")]
    assert 5 < sum(len(ADDED.findall(source.read_text())) for source in sources) <= 10
    for source in sources:
        rest = ADDED.sub("", source.read_text())
        assert not re.search(r"\btc_|training", rest), "the env without these lines knows nothing of it"


MAIN = """
#include "squares.h"
enum { BOARDS = 64 };
__attribute__((noinline)) static void step_all(Squares *envs) {
    for (int i = 0; i < BOARDS; i++) c_step(&envs[i]);
}
int main(int count, char **arguments) {
    static Squares envs[BOARDS];
    static uint8_t boards[BOARDS][SQUARES], actions[BOARDS], terminals[BOARDS];
    static float rewards[BOARDS];
    if (count != 2 || tc_open(&training.reader, "squares", 0, sizeof training.reader)) return 1; // traincast
    tc_key(&training.reader, "reward_shaping.progress", &training.weight); // traincast
    for (int i = 0; i < BOARDS; i++) {
        envs[i].observations = boards[i], envs[i].actions = &actions[i];
        envs[i].rewards = &rewards[i], envs[i].terminals = &terminals[i];
        envs[i].random = (unsigned)i, actions[i] = (uint8_t)(i % 4);
        c_reset(&envs[i]);
    }
    for (int steps = atoi(arguments[1]); steps > 0; steps--) step_all(envs);
    (void)count;
}
"""


def test_reading_the_training_costs_the_env_in_c_less_than_one_percent(tmp_path: Path) -> None:
    """In instructions: `make bench-native` measures the time."""
    counts = {}
    with traincast.TrainingInfoWriter("squares") as writer:
        writer.publish({"approx_total_training_steps": 0, "reward_shaping": {"progress": 0.5}})
        for name, edit in (("with", str), ("without", lambda text: ADDED.sub("", text))):
            made = tmp_path / name
            made.mkdir()
            (made / "squares.h").write_text(edit((EXAMPLES / "c_env/squares.h").read_text()))
            (made / "main.c").write_text(edit(MAIN))
            run("cc", "-std=gnu11", "-O3", f"-I{traincast.get_include()}", "main.c", "-o", "main", cwd=made)
            totals = []
            for steps in ("300", "1500"):
                command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "./main", steps]
                done = subprocess.run(
                    command, cwd=made, env=os.environ.copy(), capture_output=True, text=True, check=True
                )
                collected = re.search(r"Collected : (\d+)", done.stderr)
                assert collected is not None, done.stderr
                totals.append(int(collected[1]))
            counts[name] = totals[1] - totals[0]
    assert counts["with"] <= 1.01 * counts["without"], counts


def test_the_env_in_cpp_follows_the_learner_in_each_thread(tmp_path: Path) -> None:
    said = run(sys.executable, "train.py", cwd=built("cpp_env", tmp_path))
    weights = re.findall(r"weights ([\d.]+) to ([\d.]+)", said)
    assert len(weights) == 10, said
    assert weights[-1] == ("0.1", "0.1"), "all envs have begun an episode since"

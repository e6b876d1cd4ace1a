"""Real trainings in every mode of Sample Factory, fed from shared memory."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import recording

from traincast._core import decode_wire

STEPS = "approx_total_training_steps"
SUPPORT = Path(__file__).parent / "support"
ROOT = Path(__file__).parents[3]
BENCHMARK = "benches.cases.sample_factory.staleness"

PARALLEL = "--serial_mode=False --async_rl=True --num_workers=2 --num_envs_per_worker=2 --worker_num_splits=2"


@pytest.fixture(scope="session")
def parallel(run_phases: Any) -> Any:
    """The user's two lines, with worker processes: a new run, then the same one resumed."""
    argv = ["--env=informed", "--experiment=parallel", *PARALLEL.split(), "--step_sleep=0.002"]
    return run_phases(
        "parallel",
        [
            {"do": "train", "how": "traincast", "plain": True, "extra": {"level": 3}, "argv": [*argv, steps]}
            for steps in ("--train_for_env_steps=3000", "--train_for_env_steps=5000")
        ],
    )


def by_env(events: list[dict[str, Any]]) -> dict[Any, list[int]]:
    told = defaultdict(list)
    for event in events:
        told[event["pid"], event["env"]].append(event["steps"])
    return told


@pytest.mark.parametrize("phase", [0, 1], ids=["new", "resumed"])
def test_workers_never_reset_without_the_key_or_with_an_older_value(parallel: Any, phase: int) -> None:
    resets = parallel.phase(phase, "reset")
    assert len(resets) > 100
    assert len({e["pid"] for e in resets}) == 2  # two worker processes
    assert all(STEPS in e["keys"] for e in resets)
    for told in by_env(resets).values():
        assert told == sorted(told)
        assert len(set(told)) > 5


def test_added_keys_reach_every_reset(parallel: Any) -> None:
    resets = parallel.phase(0, "reset") + parallel.phase(1, "reset")
    assert all(e["extra"] == {"level": 3} for e in resets)
    sent_by_the_runner = {"policy_id", STEPS, "reward_shaping"}
    assert all(sent_by_the_runner <= set(e["keys"]) for e in resets)


def test_a_resumed_run_goes_on_where_the_first_one_ended(parallel: Any) -> None:
    first = max(e["steps"] for e in parallel.phase(0, "reset"))
    resumed = min(e["steps"] for e in parallel.phase(1, "reset"))
    assert resumed >= first > 0


def test_the_last_information_is_saved_beside_the_checkpoints(parallel: Any) -> None:
    directory = parallel.train_dir / "parallel" / "checkpoint_p0"
    saved = decode_wire((directory / "training_info.wire").read_bytes())
    assert saved["training_info"]["extra"] == {"level": 3}
    trained = max(int(path.stem.split("_")[-1]) for path in directory.glob("checkpoint_*.pth"))
    assert saved["training_info"][STEPS] == trained
    # Numbers go on over the resumption, so that an observer of two runs can order their snapshots.
    assert saved["epoch"] == 2
    assert saved["version"] > len({e["steps"] for e in parallel.phase(1, "reset")})


def test_no_channel_is_left_behind(parallel: Any) -> None:
    assert [name for name in parallel.left_over if name.startswith("sf-")] == []


MODES = {
    "serial-sync": [],
    "serial-async": ["--async_rl=True"],
    "serial-async-splits": ["--async_rl=True", "--worker_num_splits=2"],
    "batched-sync": ["--batched_sampling=True"],
    "batched-async": ["--batched_sampling=True", "--async_rl=True"],
    "batched-one-env": ["--batched_sampling=True", "--num_envs_per_worker=1", "--batch_size=8"],
    "team": ["--env=team", "--num_envs_per_worker=1"],
    "team-batched": ["--env=team", "--num_envs_per_worker=1", "--batched_sampling=True"],
    "policies-sync": ["--num_policies=2"],
    "policies-batched": ["--num_policies=2", "--batched_sampling=True", "--num_workers=2", "--async_rl=True"],
}


@pytest.fixture(scope="session")
def modes(run_phases: Any) -> Any:
    return run_phases(
        "modes",
        [
            {
                "do": "train",
                "how": "traincast",
                "argv": ["--env=informed", f"--experiment={mode}", "--train_for_env_steps=200", *argv],
            }
            for mode, argv in MODES.items()
        ],
    )


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_sees_what_the_runner_knows(modes: Any, mode: str) -> None:
    resets = modes.phase(list(MODES).index(mode), "reset")
    assert len(resets) > 10
    # One process: what a reset sees is to the step what the runner knows, from the first reset on.
    assert [e["steps"] for e in resets] == [e["runner"] for e in resets]
    policies = {e["policy"] for e in resets}
    assert policies == ({0, 1} if mode.startswith("policies") else {0})


def test_envs_are_a_hundred_times_less_stale_than_with_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The benchmark's figures from a shorter run; the run ends before the queue's third delivery."""
    result = subprocess.run(
        [sys.executable, "-m", BENCHMARK, "--seconds", "12", "--json", str(tmp_path / "figures.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    queue, ours = figures["queue"], figures["traincast"]
    assert min(queue["resets"], ours["resets"]) > 50
    assert min(queue["reports"], ours["reports"]) > 3
    assert queue["without_key"] > 0
    assert ours["without_key"] == 0
    assert queue["seconds"]["mean"] > 0.1
    assert math.isclose(figures["ratio"], ours["seconds"]["mean"] / queue["seconds"]["mean"])
    assert figures["ratio"] <= 0.01
    assert ours["steps"]["mean"] <= 0.01 * queue["steps"]["mean"]


def test_an_interrupted_run_saves_and_leaves_no_channel(tmp_path: Path, traincast_dir: Path) -> None:
    argv = [
        "--env=informed",
        "--experiment=cut",
        f"--train_dir={tmp_path}",
        "--train_for_env_steps=1000000000",
    ]
    phases = [{"do": "train", "how": "traincast", "plain": True, "argv": argv}]
    (tmp_path / "events").mkdir()
    environment = os.environ | {"SF_RECORD": str(tmp_path / "events"), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SUPPORT / "sf_train.py"), json.dumps(phases)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not any(e["kind"] == "reset" and e["steps"] for e in recording.load(tmp_path / "events")):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
    events = recording.load(tmp_path / "events")
    assert [e["status"] for e in events if e["kind"] == "status"] == [2]  # ExperimentStatus.INTERRUPTED
    assert [path.name for path in traincast_dir.iterdir() if path.name.startswith("sf-")] == []
    saved = decode_wire((tmp_path / "cut" / "checkpoint_p0" / "training_info.wire").read_bytes())
    assert saved["training_info"][STEPS] >= max(e["steps"] for e in events if e["kind"] == "reset")

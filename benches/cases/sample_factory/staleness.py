"""How old the training information of an env is at its resets: Sample Factory's queue against traincast.

    python -m benches.cases.sample_factory.staleness [--seconds 40] [--workers 2] [--json FILE]

Two training runs of the same kind, one after the other, each with its own worker processes and Sample
Factory's defaults (5 s timer). The runner notes when its number of env steps changes, and each env notes at
its resets what it has; both read the machine's monotonic clock. At a reset with the value v at the time t:

- seconds: t minus the time at which the runner first held a value above v; 0 if it has not held one yet.
- steps: the runner's value at t minus v.

Needs the extra `sample-factory`.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from benches.harness import ROOT
from benches.harness.channels import own_directory
from benches.harness.tables import plain

KINDS = ("queue", "traincast")
STEPS = "approx_total_training_steps"


class Log:
    """One file for each process, a line for each event."""

    file: Any = None

    @classmethod
    def write(cls, kind: str, steps: int | None) -> None:
        now = time.monotonic()
        if cls.file is None:
            path = Path(os.environ["STALENESS_LOG"]) / f"{os.getpid()}.jsonl"
            cls.file = path.open("a", buffering=1)
        cls.file.write(json.dumps([now, kind, steps]) + "\n")


def make_env(full_env_name: str, cfg: Any = None, env_config: Any = None, render_mode: Any = None) -> Any:
    """An env with steps of a millisecond and episodes of 50 steps, with Sample Factory's own interface."""
    from sample_factory.envs.env_utils import TrainingInfoInterface

    class Env(gym.Env, TrainingInfoInterface):
        observation_space = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
        action_space = gym.spaces.Discrete(2)

        def __init__(self) -> None:
            TrainingInfoInterface.__init__(self)
            self.steps = 0

        def reset(self, **kwargs: Any) -> Any:
            Log.write("reset", self.training_info.get(STEPS))
            self.steps = 0
            return np.zeros(4, np.float32), {}

        def step(self, action: Any) -> Any:
            time.sleep(0.001)
            self.steps += 1
            return np.zeros(4, np.float32), float(action), self.steps >= 50, False, {}

    return Env()


def train(kind: str, directory: str, workers: int, seconds: int) -> int:
    """One run; the kinds differ exactly in the two lines that a user changes."""
    from sample_factory.algo.runners.runner import AlgoObserver
    from sample_factory.algo.utils.misc import LEARNER_ENV_STEPS, ExperimentStatus
    from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
    from sample_factory.envs.env_utils import register_env
    from sample_factory.train import make_runner

    from traincast.integrations.sample_factory import TrainingInfoObserver, wrap_env_func

    class RunnerLog(AlgoObserver):
        started: float | None = None

        def on_init(self, runner: Any) -> None:
            runner.policy_msg_handlers[LEARNER_ENV_STEPS].append(self.on_report)

        def on_report(self, runner: Any, _msg: Any, policy_id: int) -> None:
            Log.write("runner", runner.env_steps[policy_id])

        def on_training_step(self, runner: Any, training_iteration_since_resume: int) -> None:
            # Sample Factory 2.1 does not count the seconds for its own --train_for_seconds.
            if self.started is None:
                self.started = time.monotonic()
            elif time.monotonic() > self.started + seconds:
                runner.cfg.train_for_env_steps = 0

    argv = [
        *("--algo=APPO", "--env=staleness", f"--experiment={kind}", f"--train_dir={directory}"),
        *(f"--num_workers={workers}", "--device=cpu", "--use_rnn=False"),
    ]
    parser, _ = parse_sf_args(argv)
    register_env("staleness", wrap_env_func(make_env) if kind == "traincast" else make_env)
    _, runner = make_runner(parse_full_cfg(parser, argv))
    runner.register_observer(RunnerLog())  # before ours, so that it notes a value before that is published
    if kind == "traincast":
        runner.register_observer(TrainingInfoObserver())
    status: int = runner.init()
    return runner.run() if status == ExperimentStatus.SUCCESS else status


def measure(events: list[tuple[float, str, int | None]]) -> dict[str, Any]:
    """Return the figures of one run from its events."""
    held = sorted((at, steps) for at, kind, steps in events if kind == "runner" and steps is not None)
    times, values = [at for at, _ in held], [steps for _, steps in held]
    seconds, steps_behind, without = [], [], 0
    for at, kind, told in events:
        if kind != "reset":
            continue
        without += told is None
        newer = bisect.bisect_right(values, -1 if told is None else told)
        seconds.append(max(0.0, at - times[newer]) if newer < len(times) else 0.0)
        latest = bisect.bisect_right(times, at)
        # A worker can have read a value that the runner's log shows a few microseconds later.
        steps_behind.append(max(0, values[latest - 1] - (told or 0)) if latest else 0)
    return {
        "resets": len(seconds),
        "without_key": without,
        "reports": len(values),
        "seconds": summary(seconds),
        "steps": summary(steps_behind),
    }


def summary(values: list[float] | list[int]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "mean": statistics.fmean(ordered),
        "median": statistics.median(ordered),
        "p99": ordered[int(0.99 * (len(ordered) - 1))],
        "max": ordered[-1],
    }


def run(kind: str, workers: int, seconds: int) -> dict[str, Any]:
    """Run one kind in a process of its own and measure it."""
    with own_directory(), tempfile.TemporaryDirectory() as directory:
        logs = Path(directory) / "logs"
        logs.mkdir()
        environment = os.environ | {"STALENESS_LOG": str(logs), "TMPDIR": directory}
        command = [sys.executable, "-W", "ignore", "-m", "benches.cases.sample_factory.staleness"]
        command += ["--child", kind, "--directory", directory]
        command += ["--workers", str(workers), "--seconds", str(seconds)]
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise SystemExit(f"The {kind} run failed:\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}")
        lines = [line for path in logs.iterdir() for line in path.read_text().splitlines()]
    return measure(sorted(tuple(json.loads(line)) for line in lines))


def table(results: dict[str, dict[str, Any]]) -> str:
    rows = [["resets", *(str(results[kind]["resets"]) for kind in KINDS)]]
    rows.append(["resets without the key", *(str(results[kind]["without_key"]) for kind in KINDS)])
    for unit, form in (("seconds", "{:.6f}"), ("steps", "{:.1f}")):
        for figure in ("mean", "median", "p99", "max"):
            cells = (form.format(results[kind][unit][figure]) for kind in KINDS)
            rows.append([f"{unit} behind, {figure}", *cells])
    return plain(["at each reset", *KINDS], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=40, help="seconds of training in each run")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        raise SystemExit(train(arguments.child, arguments.directory, arguments.workers, arguments.seconds))
    results = {kind: run(kind, arguments.workers, arguments.seconds) for kind in KINDS}
    ours, queue = (results[kind]["seconds"]["mean"] for kind in ("traincast", "queue"))
    print(table(results))
    print(f"mean seconds behind: traincast / queue = {ours / queue:.6f}")
    if arguments.json:
        content = {"ratio": ours / queue, "workers": arguments.workers, **results}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

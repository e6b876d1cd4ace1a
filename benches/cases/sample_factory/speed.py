"""Frames per second of Sample Factory runs, with its own queue and with traincast.

    python -m benches.cases.sample_factory.speed [--pairs 10] [--seconds 10] [--json FILE]

It runs pairs, one run of each kind, in an order that alternates. The env does next to nothing and its
episodes are short, so that resets weigh as much as they ever can. Needs `sample-factory`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from benches.harness import ROOT
from benches.harness.channels import own_directory

KINDS = ("queue", "traincast")
EPISODE = 20  # steps
WORKERS = 2


def make_env(full_env_name: str, cfg: Any = None, env_config: Any = None, render_mode: Any = None) -> Any:
    from sample_factory.envs.env_utils import TrainingInfoInterface

    class Env(gym.Env, TrainingInfoInterface):
        observation_space = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
        action_space = gym.spaces.Discrete(2)

        def __init__(self) -> None:
            TrainingInfoInterface.__init__(self)
            self.steps = 0
            self.observation = np.zeros(4, np.float32)

        def reset(self, **kwargs: Any) -> Any:
            self.steps = 0
            return self.observation, {}

        def step(self, action: Any) -> Any:
            self.steps += 1
            return self.observation, 1.0, self.steps >= EPISODE, False, {}

    return Env()


def train(kind: str, directory: str, seconds: float) -> int:
    """One run. Writes the runner's clock and env steps to `directory/log`."""
    from sample_factory.algo.runners.runner import AlgoObserver
    from sample_factory.algo.utils.misc import LEARNER_ENV_STEPS, ExperimentStatus
    from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
    from sample_factory.envs.env_utils import register_env
    from sample_factory.train import make_runner

    from traincast.integrations.sample_factory import TrainingInfoObserver, wrap_env_func

    reports: list[tuple[float, int]] = []

    class Clock(AlgoObserver):
        def on_init(self, runner: Any) -> None:
            runner.policy_msg_handlers[LEARNER_ENV_STEPS].append(self.on_report)

        def on_report(self, runner: Any, _msg: Any, policy_id: int) -> None:
            reports.append((time.monotonic(), runner.env_steps[policy_id]))
            if reports[-1][0] > reports[0][0] + seconds:
                runner.cfg.train_for_env_steps = 0  # Sample Factory 2.1 does not count --train_for_seconds

    arguments = [
        *("--algo=APPO", "--env=speed", f"--experiment={kind}", f"--train_dir={directory}", "--device=cpu"),
        *(f"--num_workers={WORKERS}", "--use_rnn=False", "--encoder_mlp_layers", "16", "--num_epochs=1"),
        *("--num_envs_per_worker=8", "--rollout=32", "--batch_size=1024", "--log_to_file=False"),
        *("--normalize_input=False", "--decorrelate_experience_max_seconds=0", "--with_wandb=False"),
    ]
    parser, _ = parse_sf_args(arguments)
    register_env("speed", wrap_env_func(make_env) if kind == "traincast" else make_env)
    _, runner = make_runner(parse_full_cfg(parser, arguments))
    if kind == "traincast":
        runner.register_observer(TrainingInfoObserver())
    runner.register_observer(Clock())
    status: int = runner.init()
    status = runner.run() if status == ExperimentStatus.SUCCESS else status
    Path(directory, "log").write_text(json.dumps(reports))
    return status


def frames_per_second(reports: list[list[float]]) -> float:
    """Frames per second from the report after a quarter of the run to the last: the start is not steady."""
    start = reports[0][0] + (reports[-1][0] - reports[0][0]) / 4
    steady = [report for report in reports if report[0] >= start]
    (began, first), (ended, last) = steady[0], steady[-1]
    return (last - first) / (ended - began)


def run(kind: str, seconds: float) -> float:
    """Frames per second of one run, in a process of its own."""
    with own_directory(), tempfile.TemporaryDirectory(prefix="traincast-bench-") as directory:
        command = [sys.executable, "-W", "ignore", "-m", "benches.cases.sample_factory.speed"]
        command += ["--child", kind, "--directory", directory]
        command += ["--seconds", str(seconds)]
        environment = os.environ | {"TMPDIR": directory}
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise SystemExit(f"The {kind} run failed:\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}")
        return frames_per_second(json.loads(Path(directory, "log").read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pairs", type=int, default=10, help="pairs of runs; single ones scatter by some 3 %%"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of training in each run")
    parser.add_argument("--json", type=Path, help="write the samples here")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        raise SystemExit(train(arguments.child, arguments.directory, arguments.seconds))
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for pair in range(arguments.pairs):
        for kind in KINDS[:: 1 if pair % 2 else -1]:
            found[kind].append(run(kind, arguments.seconds))
        print(*(f"{kind}: {found[kind][-1]:.0f} fps" for kind in KINDS), file=sys.stderr, flush=True)
    if arguments.json:
        versions = {
            name: metadata.version(name) for name in ("sample-factory", "torch", "gymnasium", "numpy")
        }
        arguments.json.write_text(json.dumps({"workers": WORKERS, "versions": versions, "fps": found}))


if __name__ == "__main__":
    main()

"""Runs phases of training and evaluation with Sample Factory; started by the tests as a process of its own.

Usage: python sf_train.py '[{"do": "train", "how": "queue" | "traincast", "argv": [...], ...}, ...]'
"""

from __future__ import annotations

import json
import sys
from typing import Any

import sf_envs
from recording import record
from sample_factory.algo.runners.runner import AlgoObserver
from sample_factory.algo.utils.misc import LEARNER_ENV_STEPS, ExperimentStatus
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.enjoy import enjoy
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner

from traincast.curriculum import PooledCurriculum, TaskSampler
from traincast.integrations.sample_factory import TrainingInfoObserver, run_rl, wrap_env_func

SMALL = [  # all of Sample Factory, in about a second
    *("--algo=APPO", "--device=cpu", "--serial_mode=True", "--async_rl=False", "--num_workers=1"),
    *("--num_envs_per_worker=2", "--worker_num_splits=1", "--rollout=8", "--batch_size=16", "--num_epochs=1"),
    *("--train_for_env_steps=400", "--use_rnn=False", "--encoder_mlp_layers", "8", "--normalize_input=False"),
    *("--decorrelate_experience_max_seconds=0", "--use_env_info_cache=True", "--with_wandb=False"),
    *("--log_to_file=False", "--save_best_every_sec=1000"),
]


def configuration(argv: list[str], evaluation: bool = False) -> Any:
    argv = [*SMALL, *argv]
    parser, _ = parse_sf_args(argv, evaluation=evaluation)
    parser.add_argument("--episode_length", type=int, default=6)
    parser.add_argument("--step_sleep", type=float, default=0.0)
    return parse_full_cfg(parser, argv)


class RunnerLog(AlgoObserver):
    """Records when the runner's number of steps changes; can send the queue's copies at each of them."""

    def __init__(self, phase: dict[str, Any]) -> None:
        self.propagate_each_step = phase.get("propagate_each_step", False)
        self.timer = phase.get("timer")
        self.reshape_every = phase.get("reshape_every")
        self.reports = 0

    def on_init(self, runner: Any) -> None:
        if runner.cfg.serial_mode:
            sf_envs.RUNNER.append(runner)
            sf_envs.SHAPINGS.clear()
        if self.timer is not None:
            runner.update_training_info_every_sec = self.timer
        runner.policy_msg_handlers[LEARNER_ENV_STEPS].append(self.on_report)

    def on_report(self, runner: Any, _msg: Any, policy_id: int) -> None:
        record("runner", policy=policy_id, steps=runner.env_steps[policy_id])
        sf_envs.note_shapings()
        self.reports += 1
        if self.propagate_each_step:
            runner._propagate_training_info()
        if self.reshape_every and self.reports % self.reshape_every == 0:
            runner.update_reward_shaping(policy_id, {"goal": 1000.0 * (policy_id + 1) + self.reports})


CURRICULA = {
    "pooled": lambda: PooledCurriculum(levels=3, promote_at=1.0, window=8),
    "sampler": lambda: TaskSampler(tasks=3, staleness=0.5),
}


def train(phase: dict[str, Any], cfg: Any) -> int:
    if "curricula" in phase:
        curricula = [CURRICULA[kind]() for kind in phase["curricula"]]
        status = run_rl(cfg, training_info=curricula if len(curricula) > 1 else curricula[0])
        record("curricula", states=[curriculum.state_dict() for curriculum in curricula])
        return status
    extra = (lambda runner, policy_id: {"extra": phase["extra"]}) if "extra" in phase else None
    if phase.get("plain"):
        return run_rl(cfg, training_info=extra)
    cfg, runner = make_runner(cfg)
    runner.register_observer(RunnerLog(phase))
    if phase["how"] == "traincast":
        runner.register_observer(TrainingInfoObserver(extra))
    status = runner.init()
    return runner.run() if status == ExperimentStatus.SUCCESS else status


def main() -> None:
    for number, phase in enumerate(json.loads(sys.argv[1])):
        for name in sf_envs.NAMES:
            options = phase.get("options", {})
            make = (
                wrap_env_func(sf_envs.make_env, **options)
                if phase["how"] == "traincast"
                else sf_envs.make_env
            )
            register_env(name, make)
        record("phase", number=number)
        if phase["do"] == "train":
            status = train(phase, configuration(phase["argv"]))
        else:
            status, _ = enjoy(configuration(phase["argv"], evaluation=True))
        record("status", number=number, status=status)
        sf_envs.RUNNER.clear()


if __name__ == "__main__":
    main()

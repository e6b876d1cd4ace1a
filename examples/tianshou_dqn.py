# info = TrainingInfoFn(start=start, logger=logger)
# envs = SubprocVectorEnv([info.wrap_env_fn(make_env) for _ in range(4)])
# params = OffPolicyTrainerParams(..., training_collector=Collector(..., envs), training_fn=info)
"""DQN balances a pole while gravity grows. To resume: --resume runs/tianshou-... --steps 16000."""

import argparse
import time
from pathlib import Path

import gymnasium as gym
import torch
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv, SubprocVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils import TensorboardLogger
from tianshou.utils.net.common import Net
from torch.utils.tensorboard import SummaryWriter

from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.tianshou import CurriculumCollectStats, TrainingInfoFn

EARTH = {"approx_total_training_steps": 8_000}  # what the evaluation envs see


def make_env():
    return ProgressCurriculum(gym.make("CartPole-v1"), {"unwrapped.gravity": Linear(2.0, 9.8, 8_000)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=8_000)
    parser.add_argument("--resume", type=Path)
    args = parser.parse_args()

    folder = args.resume or Path("runs", f"tianshou-{time.strftime('%y%m%d-%H%M%S')}")
    logger = TensorboardLogger(SummaryWriter(str(folder)), training_interval=100, save_interval=1)
    start = logger.restore_data()[1] if args.resume else 0
    info = TrainingInfoFn(lambda epoch, env_step: {"epoch": epoch}, start=start, logger=logger)
    envs = SubprocVectorEnv([info.wrap_env_fn(make_env) for _ in range(4)])
    test_envs = DummyVectorEnv([lambda: info.wrap_eval_env(make_env(), EARTH) for _ in range(2)])

    env = make_env()
    net = Net(state_shape=env.observation_space.shape, action_shape=env.action_space.n, hidden_sizes=[64, 64])
    policy = DiscreteQLearningPolicy(model=net, action_space=env.action_space, eps_training=0.1)
    optim = AdamOptimizerFactory(1e-3)
    algorithm = DQN(policy=policy, optim=optim, n_step_return_horizon=3, target_update_freq=200)
    if args.resume:
        algorithm.load_state_dict(torch.load(folder / "checkpoint.pt"))
    stats = {"collect_stats_class": CurriculumCollectStats}
    result = algorithm.run_training(OffPolicyTrainerParams(
        training_collector=Collector(policy, envs, VectorReplayBuffer(20_000, len(envs)), **stats),
        test_collector=Collector(policy, test_envs, **stats), test_step_num_episodes=4,
        max_epochs=args.steps // 1_000, epoch_num_steps=1_000, collection_step_num_env_steps=40,
        update_step_num_gradient_steps_per_sample=0.4, training_fn=info, logger=logger,
        save_checkpoint_fn=lambda *_: torch.save(algorithm.state_dict(), folder / "checkpoint.pt"),
        resume_from_log=args.resume is not None, show_progress=False))  # fmt: skip
    print(f"{folder}: steps {start} to {info.run.steps}, best return on Earth {result.best_reward:.0f}")

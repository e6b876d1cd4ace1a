# config.callbacks(TrainingInfoCallback)          # the envs of env runners get the training steps
# config.environment("my_env")                    # the envs need no line, not even for a curriculum
# Algorithm.from_checkpoint(path)                 # continues with the steps of the checkpoint
"""CartPole whose gravity grows with the training steps, in two env runners of two envs each."""

import argparse
from functools import partial
from pathlib import Path

import gymnasium
import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.rllib import TrainingInfoCallback

EARTH = {"approx_total_training_steps": 12_000}  # the evaluation always sees the end of the curriculum


def make_env(env_context):
    env = gymnasium.make("CartPole-v1", max_episode_steps=200)
    return ProgressCurriculum(env, {"gravity": Linear(2.0, 9.8, 12_000)})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--resume", help="a checkpoint")
    args = parser.parse_args()

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000)
    register_env("rising_gravity", make_env)
    config = (
        PPOConfig()
        .environment("rising_gravity")
        .callbacks(partial(TrainingInfoCallback, evaluation_info=EARTH))
        .env_runners(num_env_runners=2, num_envs_per_env_runner=2)
        .training(train_batch_size=1_200, minibatch_size=300, num_epochs=4, lr=0.002)
        .evaluation(evaluation_interval=5, evaluation_duration=5)
    )
    algo = Algorithm.from_checkpoint(args.resume) if args.resume else config.build_algo()
    steps = 0
    while steps < args.steps:
        result = algo.train()
        steps = result["traincast"]["approx_total_training_steps"]
        played = result["env_runners"]
        gravity = played["curriculum"]["gravity"]
        print(f"{steps:>8,.0f} steps   gravity {gravity:.2f}   return {played['episode_return_mean']:.0f}")
        if algo.iteration % 5 == 0:
            on_earth = result["evaluation"]["env_runners"]["episode_return_mean"]
            print(f"{'':8} evaluated on earth: return {on_earth:.0f}")
        algo.save_to_path(Path("rllib-checkpoints", f"{steps:.0f}").absolute())
    algo.stop()


if __name__ == "__main__":
    main()

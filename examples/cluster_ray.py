# config.callbacks(TrainingInfoCallback)          # starts a relay on each node of the cluster by itself
# config.environment("my_env")                    # the envs need no line, on whichever node they run
"""CartPole whose gravity grows with the training steps, in env runners on all nodes of a Ray cluster.

ray start --head --port 6379                  # on the first node
ray start --address FIRST_NODE:6379           # on every other node
python cluster_ray.py                         # on any node
"""

import argparse

import gymnasium
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.rllib import TrainingInfoCallback


def make_env(env_context):
    env = gymnasium.make("CartPole-v1", max_episode_steps=200)
    return ProgressCurriculum(env, {"gravity": Linear(2.0, 9.8, 12_000)})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12_000)
    args = parser.parse_args()

    ray.init("auto")
    register_env("rising_gravity", make_env)
    config = (
        PPOConfig()
        .environment("rising_gravity")
        .callbacks(TrainingInfoCallback)
        .env_runners(num_env_runners=int(ray.cluster_resources()["CPU"]), num_envs_per_env_runner=2)
        .training(train_batch_size=1_200, minibatch_size=300, num_epochs=4, lr=0.002)
    )
    algo = config.build_algo()
    nodes = algo.env_runner_group.foreach_env_runner(
        lambda runner: ray.util.get_node_ip_address(), local_env_runner=False
    )
    print(f"{len(nodes)} env runners on {len(set(nodes))} nodes")
    steps = 0
    while steps < args.steps:
        result = algo.train()
        steps = result["traincast"]["approx_total_training_steps"]
        played = result["env_runners"]
        gravity = played["curriculum"]["gravity"]
        print(f"{steps:>8,.0f} steps   gravity {gravity:.2f}   return {played['episode_return_mean']:.0f}")
    algo.stop()


if __name__ == "__main__":
    main()

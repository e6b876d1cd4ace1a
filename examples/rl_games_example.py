"""rl_games: PPO with its envs in Ray workers, then a player with its checkpoint's training information."""
# The three lines that matter:
#     vecenv.register("TC", publishing(RayVecEnv))
#     env_configurations.register("poles", {"vecenv_type": "TC", "env_creator": wrap_env_creator(make_env)})
#     Runner().run({"train": True})

import argparse
from pathlib import Path

import gymnasium
from rl_games.common import env_configurations, vecenv
from rl_games.common.gym_compat import wrap_gymnasium_env
from rl_games.common.vecenv import RayVecEnv
from rl_games.torch_runner import Runner

from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.rl_games import publishing, wrap_env_creator

HORIZON, ACTORS, DIR = 32, 2, Path("runs/poles/nn")


def make_env(**kwargs):
    env = gymnasium.make("CartPole-v1")  # poles grow, and gravity with them
    env = ProgressCurriculum(env, {"length": Linear(0.5, 1.0, 2_000), "gravity": Linear(9.8, 20.0, 2_000)})
    return wrap_gymnasium_env(env)  # rl_games' envs have the old API: the curriculum goes inside the shim


def settings(steps):
    network = {"name": "actor_critic", "separate": False, "space": {"discrete": {}}}
    network["mlp"] = {"units": [32, 32], "activation": "relu", "initializer": {"name": "default"}}
    ray = {"num_cpus": ACTORS, "include_dashboard": False, "object_store_memory": 100_000_000}
    config = {
        "name": "poles", "full_experiment_name": "poles", "env_name": "poles",
        "env_config": {"ray_config": ray}, "num_actors": ACTORS, "horizon_length": HORIZON,
        "minibatch_size": HORIZON * ACTORS, "mini_epochs": 4, "max_epochs": steps // (HORIZON * ACTORS),
        "save_frequency": 2, "learning_rate": 1e-3, "gamma": 0.99, "tau": 0.95, "e_clip": 0.2,
        "clip_value": True, "critic_coef": 1, "entropy_coef": 0.01, "grad_norm": 1,
        "truncate_grads": True, "normalize_advantage": True, "normalize_input": False, "lr_schedule": None,
        "reward_shaper": {"scale_value": 0.1}, "device": "cpu", "device_name": "cpu", "torch_compile": False,
        "player": {"games_num": 3, "print_stats": False},
    }  # fmt: skip
    algo, model = {"name": "a2c_discrete"}, {"name": "discrete_a2c"}
    params = {"seed": 1, "algo": algo, "model": model, "network": network, "config": config}
    return {"params": params | {"torch_threads": 1}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2_048)
    parser.add_argument("--resume", help="a checkpoint to resume from")
    args = parser.parse_args()

    vecenv.register("TC", publishing(RayVecEnv))
    env_configurations.register("poles", {"vecenv_type": "TC", "env_creator": wrap_env_creator(make_env)})
    runner = Runner()
    runner.load(settings(args.steps))
    runner.run({"train": True, "checkpoint": args.resume})

    newest = max(DIR.glob("last_*.pth"), key=lambda file: file.stat().st_mtime)
    runner.run({"train": False, "play": True, "checkpoint": str(newest)})

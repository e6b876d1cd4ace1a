"""rsl_rl: PPO on a vec env with worker processes. rsl_rl has no hook, so the vec env publishes."""
# The three lines that matter:
#     run = traincast.Run("pendulum", start=start)
#     self.envs = AsyncVectorEnv([run.wrap_env_fn(make_env)] * ENVS)
#     self.run.publish(self.run.steps + ENVS)

import sys

import gymnasium
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

import traincast
from traincast.curriculum import Linear, ProgressCurriculum

ENVS, LENGTH, MLP = 4, 50, {"class_name": "MLPModel", "hidden_dims": [32, 32]}
CONFIG = {"num_steps_per_env": LENGTH, "save_interval": 5, "critic": MLP, "algorithm": {"class_name": "PPO"},
          "actor": {**MLP, "distribution_cfg": {"class_name": "GaussianDistribution"}},
          "obs_groups": {"actor": ["policy"], "critic": ["policy"]}}  # fmt: skip


def make_env():
    env = gymnasium.make("Pendulum-v1", max_episode_steps=LENGTH)
    return ProgressCurriculum(env, {"g": Linear(2.0, 10.0, 8_000)})  # gravity rises


class GymVecEnv(VecEnv):
    def __init__(self, run):
        self.run, self.device, self.cfg, self.num_envs, self.num_actions = run, "cpu", {}, ENVS, 1
        self.envs = AsyncVectorEnv([run.wrap_env_fn(make_env)] * ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
        self.obs, _ = self.envs.reset(seed=0)

    def get_observations(self):
        return TensorDict({"policy": torch.as_tensor(self.obs)}, [ENVS])

    def step(self, actions):
        self.obs, rewards, _, truncated, infos = self.envs.step(actions.numpy())
        self.run.publish(self.run.steps + ENVS)
        log = {"curriculum/g": infos["curriculum"]["g"].mean()} if "curriculum" in infos else {}
        rewards, over = torch.as_tensor(rewards).float(), torch.as_tensor(truncated).long()
        return self.get_observations(), rewards, over, {"time_outs": over, "log": log}


if __name__ == "__main__":
    resume = sys.argv[1] if len(sys.argv) > 1 else None  # a checkpoint to resume from
    start = (torch.load(resume)["iter"] + 1) * ENVS * LENGTH if resume else 0
    run = traincast.Run("pendulum", start=start)  # before the envs: their first reset sees it
    runner = OnPolicyRunner(GymVecEnv(run), CONFIG, log_dir="runs/pendulum")
    if resume:
        runner.load(resume)
    torch.set_num_threads(1)  # small networks
    runner.learn(40)
    policy, env = runner.get_inference_policy(), run.wrap_eval_env(make_env())
    (obs, info), rewards = env.reset(seed=1), torch.zeros(LENGTH)
    for step in range(LENGTH):
        obs, rewards[step], *_ = env.step(policy({"policy": torch.as_tensor(obs)[None]})[0].detach().numpy())
    print(f"return {rewards.sum():.0f} at {run.steps} steps, with gravity {info['curriculum']['g']:.1f}")

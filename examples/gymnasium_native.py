# run = traincast.Run("gymnasium_native")
# envs = run.wrap_env(GravityCurriculum(gym.make_vec("CartPole-v1", 64)))
# run.publish(steps)                                                # after each envs.step()
import argparse
import json
from pathlib import Path

import gymnasium as gym
import numpy as np

import traincast
from traincast.curriculum import Linear


class GravityCurriculum(gym.vector.VectorWrapper):
    """For a vector env that is a single object and resets episodes inside `step`."""

    gravity = Linear(2.0, 9.8, 100_000)

    def set_training_info(self, training_info):  # before each reset and each step, if there is something new
        self.env.unwrapped.gravity = self.gravity(training_info["approx_total_training_steps"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--resume", type=Path, help="a checkpoint to resume from: gymnasium_native.json")
    args = parser.parse_args()
    checkpoint = json.loads(args.resume.read_text()) if args.resume else {}
    run = traincast.Run("gymnasium_native", state=checkpoint.get("run"))
    envs = run.wrap_env(GravityCurriculum(gym.make_vec("CartPole-v1", 64)))
    # The cross-entropy method: each env tries its own weights, and the best are averaged.
    weights, spread, tried = np.array(checkpoint.get("weights", [0.0] * 4)), 1.0, []
    steps, scores, tries = run.steps, np.zeros(64), weights + spread * np.random.normal(size=(64, 4))
    observations, infos = envs.reset()
    while steps < args.steps:
        actions = ((observations * tries).sum(axis=1) > 0).astype(int)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        run.publish(steps := steps + envs.num_envs)
        scores += rewards
        for i in np.flatnonzero(terminated | truncated):
            tried.append((scores[i], tries[i].copy()))
            scores[i], tries[i] = 0, weights + spread * np.random.normal(size=4)
        if len(tried) >= 200:
            best = [one for _, one in sorted(tried, key=lambda try_: -try_[0])[:20]]
            weights, spread, tried = np.mean(best, axis=0), np.std(best, axis=0) + 0.1, []
            state = {"weights": list(weights), "run": run.state_dict()}
            Path("gymnasium_native.json").write_text(json.dumps(state))
    envs = run.wrap_eval_env(GravityCurriculum(gym.make_vec("CartPole-v1", 16)))
    (observations, infos), score, over = envs.reset(), 0, np.zeros(16, bool)
    while not over.all():
        observations, rewards, terminated, truncated, infos = envs.step(
            (observations @ weights > 0).astype(int)
        )
        score, over = score + (rewards * ~over).mean(), over | terminated | truncated
    print(f"{run.steps} steps: return {score}, gravity {envs.unwrapped.gravity}")

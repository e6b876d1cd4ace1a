# run = traincast.Run("gymnasium_vector")
# envs = gym.vector.AsyncVectorEnv([run.wrap_env_fn(make_env) for _ in range(8)])
# run.publish(steps)                                                # after each envs.step()
import argparse
import json
from pathlib import Path

import gymnasium as gym
import numpy as np

import traincast
from traincast.curriculum import Linear, ProgressCurriculum


def make_env():
    env = gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))
    return ProgressCurriculum(env, {"gravity": Linear(2.0, 9.8, 20_000)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--autoreset", default="NextStep", choices=["NextStep", "SameStep", "Disabled"])
    parser.add_argument("--resume", type=Path, help="a checkpoint to resume from: gymnasium_vector.json")
    args = parser.parse_args()
    checkpoint = json.loads(args.resume.read_text()) if args.resume else {}
    run = traincast.Run("gymnasium_vector", state=checkpoint.get("run"))
    env_fns = [run.wrap_env_fn(make_env) for _ in range(8)]
    envs = gym.vector.AsyncVectorEnv(env_fns, autoreset_mode=args.autoreset)
    # The cross-entropy method: each env tries its own weights, and the best are averaged.
    weights, spread, tried = np.array(checkpoint.get("weights", [0.0] * 4)), 1.0, []
    steps, scores, tries = run.steps, np.zeros(8), weights + spread * np.random.normal(size=(8, 4))
    observations, infos = envs.reset()
    while steps < args.steps:
        actions = ((observations * tries).sum(axis=1) > 0).astype(int)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        run.publish(steps := steps + envs.num_envs)
        scores, over = scores + rewards, terminated | truncated
        if args.autoreset == "Disabled" and over.any():
            observations, infos = envs.reset(options={"reset_mask": over})
        for i in np.flatnonzero(over):
            tried.append((scores[i], tries[i].copy()))
            scores[i], tries[i] = 0, weights + spread * np.random.normal(size=4)
        if len(tried) >= 40:
            best = [one for _, one in sorted(tried, key=lambda try_: -try_[0])[:8]]
            weights, spread, tried = np.mean(best, axis=0), np.std(best, axis=0) + 0.1, []
            state = {"weights": list(weights), "run": run.state_dict()}
            Path("gymnasium_vector.json").write_text(json.dumps(state))
    envs.close()
    env = run.wrap_eval_env(make_env())
    observation, info = env.reset()
    while "episode" not in info:
        observation, *_, info = env.step(int(observation @ weights > 0))
    print(f"{run.steps} steps: return {info['episode']['r']}, gravity {info['curriculum']['gravity']}")

# curriculum = PooledCurriculum(run, levels=8, promote_at=0.9, window=64)      # the learner
# env = run.wrap_env(TaskCurriculum(Corridor(), {"length": range(2, 18, 2)}))  # each env, in any process
# curriculum.update()                                                         # after each step of the envs
"""Q-learning in a corridor that grows, in all envs at once, when together they have mastered it."""

import argparse
import json
from pathlib import Path

import gymnasium as gym
import numpy as np

import traincast
from traincast.curriculum import PooledCurriculum, TaskCurriculum

LENGTHS = range(2, 18, 2)


class Corridor(gym.Env):
    observation_space, action_space = gym.spaces.Discrete(max(LENGTHS) + 1), gym.spaces.Discrete(2)
    length = LENGTHS[0]  # left or right, one cell at a time, and time runs out soon

    def reset(self, *, seed=None, options=None):
        self.left, self.time = self.length, 3 * self.length
        return self.left, {}

    def step(self, action):
        self.left, self.time = min(self.left + (-1 if action else 1), self.length), self.time - 1
        success = self.left == 0
        return self.left, float(success), success, self.time == 0, {"success": success}


def make_env():
    return TaskCurriculum(Corridor(), {"length": LENGTHS})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--resume", help="a checkpoint: pooled_curriculum.json")
    args = parser.parse_args()
    checkpoint = json.loads(Path(args.resume).read_text()) if args.resume else {}
    run = traincast.Run("pooled_curriculum", state=checkpoint.get("run"))
    curriculum = PooledCurriculum(run, levels=len(LENGTHS), promote_at=0.9, window=64)
    envs = gym.vector.AsyncVectorEnv([run.wrap_env_fn(make_env)] * 8, autoreset_mode="SameStep")
    values, steps = np.array(checkpoint.get("values", np.zeros((max(LENGTHS) + 1, 2)))), run.steps
    places, infos = envs.reset()
    while steps < args.steps:
        guess = (np.random.random(8) < 0.1) | (values[places, 0] == values[places, 1])
        actions = np.where(guess, np.random.randint(2, size=8), values[places].argmax(axis=1))
        after, rewards, terminated, truncated, _ = envs.step(actions)
        errors = rewards + 0.9 * values[after].max(axis=1) * ~terminated - values[places, actions]
        values[places, actions] += 0.2 * errors
        places = after
        run.publish(steps := steps + 8)
        if curriculum.update():
            print(f"{steps} steps: level {curriculum.level}, corridors of {LENGTHS[curriculum.level]} cells")
            state = {"values": values.tolist(), "run": run.state_dict()}
            Path("pooled_curriculum.json").write_text(json.dumps(state))
    envs.close()

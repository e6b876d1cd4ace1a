"""An env in C reads a coefficient from the training at each reset: two lines in `c_reset`, six around it.

    make PYTHON=python && python train.py

The learner is a stand-in: its policy moves towards the goal more and more often, and it lowers the weight
accordingly.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import traincast

sys.path.insert(0, str(Path(__file__).parent / "build"))

import squares

ENVS, STEPS, UPDATES, SIZE = 64, 600, 10, 11


def towards_goal(boards: np.ndarray) -> np.ndarray:
    """The action that a good policy takes on each board."""
    down, right = (
        np.argmax(boards == 2, axis=1) // SIZE - np.argmax(boards == 1, axis=1) // SIZE,
        np.argmax(boards == 2, axis=1) % SIZE - np.argmax(boards == 1, axis=1) % SIZE,
    )
    return np.where(down != 0, (down > 0).astype(np.uint8), 2 + (right > 0).astype(np.uint8))


def main() -> None:
    random = np.random.default_rng(0)
    observations, rewards = np.zeros((ENVS, SIZE * SIZE), np.uint8), np.zeros(ENVS, np.float32)
    actions, terminals = np.zeros(ENVS, np.uint8), np.zeros(ENVS, np.uint8)
    with traincast.Run("squares") as run:
        run.publish(0, reward_shaping={"progress": 1.0})
        envs = squares.Boards(observations, actions, rewards, terminals, run.name)
        envs.reset()
        for update in range(UPDATES):
            skill, earned, won = update / UPDATES, 0.0, 0
            for _ in range(STEPS):
                good = random.random(ENVS) < skill
                actions[:] = np.where(good, towards_goal(observations), random.integers(0, 4, ENVS))
                envs.step()
                earned += float(rewards.sum())
                won += int((rewards >= 0.9).sum())
            weight = 1.0 - skill
            run.publish((update + 1) * STEPS * ENVS, reward_shaping={"progress": weight})
            said = f"return {earned / ENVS:6.2f}, goals {won / ENVS:6.2f}; next weight {weight:.1f}"
            print(f"update {update}: {said}")


if __name__ == "__main__":
    main()

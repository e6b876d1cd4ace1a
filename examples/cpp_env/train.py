"""Envs in C++, stepped by threads, read a coefficient from the training at each reset.

`make PYTHON=python && python train.py` builds and runs it. The learner is a stand-in.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import traincast

sys.path.insert(0, str(Path(__file__).parent / "build"))

import corridors

ENVS, THREADS, STEPS, TOTAL = 64, 4, 400, 10


def main() -> None:
    random = np.random.default_rng(0)
    with traincast.Run("corridors") as run:
        run.publish(0, reward_shaping={"progress": 1.0})
        envs = corridors.Corridors(count=ENVS, threads=THREADS, run=run.name)
        envs.reset()
        for update in range(TOTAL):
            returns = envs.step(random.random(ENVS) < 0.5 + update / TOTAL / 2, steps=STEPS)
            weights = envs.weights()
            said = f"return {returns.mean():6.2f}, weights {min(weights):.1f} to {max(weights):.1f}"
            print(f"update {update}: {said}")
            run.publish((update + 1) * STEPS * ENVS, reward_shaping={"progress": 1.0 - (update + 1) / TOTAL})


if __name__ == "__main__":
    main()

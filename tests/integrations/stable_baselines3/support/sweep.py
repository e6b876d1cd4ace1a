"""A sweep in one process: two trainings that take turns, then one for each start method.

Each has a channel directory of its own, which the fork server is not told.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "support"))

from sb3_trainings import make_model, make_venv
from stable_baselines3.common.vec_env import SubprocVecEnv

from traincast.integrations.stable_baselines3 import TrainingInfoCallback


def begin(place: Path, number: int, method: str) -> tuple:
    os.environ["TRAINCAST_DIR"] = str(place / f"trial-{number}")
    info = TrainingInfoCallback(name=f"trial-{number}", start=1000 * number)
    venv = make_venv(info, cls=SubprocVecEnv, start_method=method)
    return info, venv, make_model(venv)


def main() -> None:
    multiprocessing.set_forkserver_preload(["sb3_trainings"])
    place = Path(os.environ["TRAINCAST_DIR"])
    (place / "before").mkdir(mode=0o700)
    os.environ["TRAINCAST_DIR"] = str(place / "before")
    trials = [begin(place, number, "forkserver") for number in (1, 2)]
    for anew in (True, True, False):
        for info, _, model in trials:
            model.learn(40, callback=info, reset_num_timesteps=anew)
    trials += [begin(place, number, method) for number, method in ((3, "spawn"), (4, "fork"))]
    for info, _, model in trials[2:]:
        model.learn(40, callback=info)
    for info, venv, _ in trials:
        venv.close()
        print(info.run.name, info.run.steps)
        info.run.close()
    print("files left:", sum(file.is_file() for file in place.rglob("*")))


if __name__ == "__main__":
    main()

"""rl_games: a vec env that publishes, and envs that see the newest training information at each reset.

    vecenv.register("TC", publishing(RayVecEnv))
    env_configurations.register("walker", {"vecenv_type": "TC", "env_creator": wrap_env_creator(make_env)})
    Runner().run({"train": True})

The first line is enough for a training. The second one is for `play`: rl_games passes the state in a
checkpoint to the player's env, which must accept it, and then sees the training information at the
checkpoint.
"""

from __future__ import annotations

from traincast._optional import require

require("rl_games", "rl-games", __name__)

from traincast.integrations.rl_games.configurations import wrap_env_creator  # noqa: E402 - after `require`
from traincast.integrations.rl_games.env import TrainingInfoEnv  # noqa: E402
from traincast.integrations.rl_games.observer import TrainInfoObserver  # noqa: E402
from traincast.integrations.rl_games.vec_env import PublishingVecEnv, publishing  # noqa: E402

__all__ = ["PublishingVecEnv", "TrainInfoObserver", "TrainingInfoEnv", "publishing", "wrap_env_creator"]

"""RLlib's new API stack: `TrainingInfoCallback`.

    from traincast.integrations.rllib import TrainingInfoCallback

    config.callbacks(TrainingInfoCallback)                             # the env needs no change

With `gym_env_vectorize_mode="async"` envs live in processes of their own, which no callback reaches:

    register_env("my_env", wrap_env_creator(make_env))                 # was: register_env("my_env", make_env)

How the envs find the run: the callback in the algorithm's process makes a run with a unique name, and sends
it to each env runner by `foreach_env_runner` before anything is sampled. There, `on_environment_created` has
put a wrapper around each env, which follows the run from then on.
"""

from __future__ import annotations

from traincast._optional import require

require("ray", "rllib", __name__)

from traincast.integrations.rllib.callback import TrainingInfoCallback  # noqa: E402 - it needs ray
from traincast.integrations.rllib.envs import wrap_env_creator  # noqa: E402 - it needs ray

__all__ = ["TrainingInfoCallback", "wrap_env_creator"]

"""RLlib's new API stack: `TrainingInfoCallback`.

    from traincast.integrations.rllib import TrainingInfoCallback

    config.callbacks(TrainingInfoCallback)                             # nothing on the env's side

With `gym_env_vectorize_mode="async"` envs live in processes of their own, where no callback reaches them:

    register_env("my_env", wrap_env_creator(make_env))                 # was: register_env("my_env", make_env)

How the two sides meet: the callback in the algorithm's process makes a run with a unique name and carries it
to each env runner by `foreach_env_runner`, before anything is sampled. There `on_environment_created` has put
a wrapper around each env, which follows the run from then on.
"""

from __future__ import annotations

from traincast._optional import require

require("ray", "rllib", __name__)

from traincast.integrations.rllib.callback import TrainingInfoCallback  # noqa: E402 - it needs ray
from traincast.integrations.rllib.envs import wrap_env_creator  # noqa: E402 - as said above

__all__ = ["TrainingInfoCallback", "wrap_env_creator"]

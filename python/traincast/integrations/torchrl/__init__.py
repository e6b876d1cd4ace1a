"""TorchRL: `TrainingInfoHook` for the trainer, `TrainingInfoTransform` for the envs.

    hook = TrainingInfoHook()                        # before the envs are made
    env = TransformedEnv(env, hook.transform())      # or GymWrapper(hook.wrap_env(gymnasium_env))
    hook.register(trainer)                           # publishes after each batch, saved with the trainer

A training loop of your own has no trainer: publish with a `traincast.Run`, and give the envs
`TrainingInfoTransform(run)`. `CurriculumInfoReader` puts the numbers that curricula show into the batch and
the log.
"""

from traincast._optional import require

require("torchrl", "torchrl", __name__)

from traincast.integrations.torchrl.curriculum import CurriculumInfoReader  # noqa: E402 - after `require`
from traincast.integrations.torchrl.hook import TrainingInfoHook  # noqa: E402
from traincast.integrations.torchrl.transform import TrainingInfoTransform  # noqa: E402

__all__ = ["CurriculumInfoReader", "TrainingInfoHook", "TrainingInfoTransform"]

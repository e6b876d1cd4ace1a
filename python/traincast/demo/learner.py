"""A learner: learns from the episodes of one run and publishes what its envs need."""

from __future__ import annotations

import time
from contextlib import ExitStack

import traincast
from traincast.demo.record import Record
from traincast.demo.settings import Run, Settings
from traincast.demo.values import ActionValues
from traincast.demo.worker import Episode

__all__ = ["Learner"]


class Learner:
    """Owns a channel from its construction to `close`."""

    def __init__(self, run: Run, settings: Settings, cleanup: ExitStack) -> None:
        self.run = run
        self.steps = 0
        self.values = ActionValues()
        self.record = Record()
        self._settings = settings
        self._writer = traincast.TrainingInfoWriter(run.channel, run.policy_id, leftover="refuse")
        cleanup.callback(self._writer.close)
        self.publish()  # no env ever resets without training information

    @property
    def done(self) -> bool:
        """Whether it has learned from all of its steps."""
        return self.steps >= self._settings.steps

    def learn(self, episode: Episode) -> None:
        """Learn from an episode, or note the result if it is an evaluation."""
        if self.done:
            return  # the worker sent it before it knew
        if not episode.evaluation:
            step_size = self._settings.step_size(self.steps)
            self.values.learn(episode.tiles.tolist(), episode.actions.tolist(), episode.reached, step_size)
            self.steps += len(episode.actions)
        self.record.add(self.steps, episode)

    def publish(self) -> None:
        """Broadcast the progress, a coefficient and the policy."""
        self._writer.publish(
            {
                "approx_total_training_steps": self.steps,
                "exploration": self._settings.exploration(self.steps),
                "weights": self.values.weights(),
                "published_at": time.monotonic(),
            }
        )

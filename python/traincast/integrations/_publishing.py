"""What the integrations share: a run, the publishing of steps and other entries, and a look for readers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from traincast._beginning import whole_steps
from traincast._companions import Companion
from traincast._core import list_channels
from traincast._warnings import warn_once
from traincast.run import EnvFn, Run
from traincast.sinks import numbers_of

__all__ = ["Publishing", "ReaderWatch", "TrainingInfo", "has_readers"]

TrainingInfo = Mapping[str, Any] | Callable[..., Mapping[str, Any] | None]


class Publishing:
    """Holds a run, and publishes to it from the hooks of a framework.

    Args:
        training_info: entries beside `approx_total_training_steps`. A mapping: constant ones. A function: it
            is called before each publish, with the arguments that the integration documents, and returns the
            entries that have changed, or None. A `PooledCurriculum` or `TaskSampler` is such a function, and
            is attached to the run.
        start: the training steps so far, from which the count goes on.
        first_info: the function's entries until its first call.
        run: a run that the caller has made; None: one of its own, with a unique name.
        options: arguments of `Run`.

    Raises: TypeError if `training_info` is neither a mapping nor a function; and as `Run`.
    """

    run: Run
    """The run: its name, and `publish` for what cannot wait for a hook."""

    def __init__(
        self,
        training_info: TrainingInfo | None = None,
        *,
        start: int = 0,
        first_info: Mapping[str, Any] | None = None,
        run: Run | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        constant: Mapping[str, Any] = {}
        self._more: Callable[..., Mapping[str, Any] | None] | None = None
        if isinstance(training_info, Mapping):
            constant = training_info
        elif callable(training_info):
            self._more = training_info
        elif training_info is not None:
            raise TypeError(
                f"training_info must be a mapping, or a function that returns one, not {training_info!r}"
            )
        first = {**constant, **(first_info or {})}
        curriculum = training_info if isinstance(training_info, Companion) else None
        if run is None:
            run = Run(start=start, training_info=first, curriculum=curriculum, **options)
        elif options:
            raise TypeError(f"pass {', '.join(options)} to the Run itself, which run= gives")
        else:
            if curriculum is not None:
                run.attach(curriculum)
            if first or start:
                run.publish(start or run.steps, **first)
        self.run = run
        self._steps = _Steps(run.steps)

    # Bound to the run, so that nothing but a reference to it is pickled to the envs' processes.

    @property
    def wrap_env(self) -> Callable[..., Any]:
        """`Run.wrap_env`: wraps an env of the training."""
        return self.run.wrap_env

    @property
    def wrap_env_fn(self) -> Callable[..., EnvFn[Any]]:
        """`Run.wrap_env_fn`: turns a function that makes an env into one that makes a wrapped env."""
        return self.run.wrap_env_fn

    @property
    def wrap_eval_env(self) -> Callable[..., Any]:
        """`Run.wrap_eval_env`: wraps an env of an evaluation, which sees fixed training information."""
        return self.run.wrap_eval_env

    def _begin(self, counted: Any) -> int:
        """Return the training steps at the start of a training, where the framework's count is `counted`.

        If the framework counts from 0 again, as at a second `learn()`, the training steps go on.
        """
        return self._steps.begin(whole_steps(counted))

    def _resume(self, state: Mapping[str, Any]) -> None:
        """Publish the state of a checkpoint, and go on from it, wherever the framework's count begins."""
        self.run.load_state_dict(state)
        self._steps = _Steps(self.run.steps)

    def _publish(self, counted: Any, *hand: Any) -> int:
        """Publish the total steps at `counted` of the framework's steps, and return them.

        `hand`: the arguments for the function `training_info`.
        """
        steps = self._steps.at(whole_steps(counted))
        self._publish_at(steps, *hand)
        return steps

    def _publish_at(self, steps: int, *hand: Any) -> None:
        """Publish these training steps, for a framework that restores its count from a checkpoint."""
        more = {} if self._more is None else self._more(*hand) or {}
        self.run.publish(steps, **more)

    def _numbers(self) -> dict[str, float]:
        """Return the numbers that were published last, by dotted name, for the framework's own log."""
        return numbers_of(self.run.state_dict()["training_info"])


class ReaderWatch:
    """Warns once if a training is well under way and no env reads its run, because none was wrapped."""

    PUBLISHES = 100
    SECONDS = 5.0

    def __init__(self, run: Run, remedy: str) -> None:
        self._run = run
        self._remedy = remedy
        self._publishes = 0
        self._since = 0.0
        self._looked = not run.publishes

    def published(self) -> None:
        """Count a publish; the envs of the training have been reset by then."""
        if self._looked:
            return
        self._publishes += 1
        now = time.monotonic()
        if self._publishes == 1:
            self._since = now
        elif self._publishes >= self.PUBLISHES or now - self._since >= self.SECONDS:
            self._looked = True
            self._look()

    def _look(self) -> None:
        if not has_readers(self._run):
            warn_once(
                ("nobody reads", self._run.channel),
                f"no env reads run {self._run.name!r}. Wrap each env: {self._remedy}",
            )


def has_readers(run: Run) -> bool:
    """Tell if anything on this machine reads the run."""
    here = run.name, run.policy_id
    return any(
        reader["alive"]
        for channel in list_channels(directory=run.channel.directory)
        if (channel["name"], channel["policy_id"]) == here
        for reader in channel["readers"]
    )


class _Steps:
    """The total steps of a run, which go on where the framework's count starts again."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._before = 0
        self._counted: int | None = None

    def begin(self, counted: int, total: int | None = None) -> int:
        """Go on from `total` (None: the total so far), where the framework's count is `counted`."""
        self._total = self._total if total is None else total
        self._counted = None
        return self.at(counted)

    def at(self, counted: int) -> int:
        """Return the total at `counted` of the framework's steps."""
        if self._counted is None or counted < self._counted:
            self._before = max(0, self._total - counted)
        self._counted = counted
        self._total = self._before + counted
        return self._total

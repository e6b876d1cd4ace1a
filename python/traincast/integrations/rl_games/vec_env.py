"""`publishing`: makes a vec env that publishes the frames that rl_games tells it."""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from rl_games.common import env_configurations
from rl_games.common.ivecenv import IVecEnv

from traincast._core import list_channels
from traincast._infos import numbers_in
from traincast._warnings import warn_once
from traincast.integrations._publishing import Publishing, TrainingInfo
from traincast.integrations.rl_games.configurations import configuration_for, is_wrapped
from traincast.integrations.rl_games.env import TrainingInfoEnv
from traincast.integrations.rl_games.state import parts_of, state_of
from traincast.run import Run
from traincast.sinks import tensorboard
from traincast.unwrapping import walk

__all__ = ["PublishingVecEnv", "publishing"]


def publishing(
    vec_env: Callable[..., Any],
    training_info: TrainingInfo | None = None,
    *,
    start: int = 0,
    first_info: Mapping[str, Any] | None = None,
    run: Run | None = None,
    **options: Any,
) -> Callable[..., PublishingVecEnv]:
    """Return a function that makes a `PublishingVecEnv` around the vec env that `vec_env` makes.

    Args:
        vec_env: a class such as `RayVecEnv`, or a function; it is called with the name of a configuration,
            the number of actors, and the `env_config`.
        training_info: entries beside `approx_total_training_steps`. A mapping: constant ones. A function: it
            is called before each publish with the arguments of `set_train_info`, `(env_frames, algo)`, and
            returns the entries that have changed, or None.
        start: the frames so far, if no checkpoint has them.
        first_info: the function's entries until its first call, which envs see at their first reset.
        run: a `Run` that you have made; None: each vec env has one of its own, with a unique name.
        options: arguments of `Run`.

    Raises: TypeError if `vec_env` is not callable.

    Example:
        >>> vecenv.register("TC", publishing(RayVecEnv))  # doctest: +SKIP
    """
    if not callable(vec_env):
        raise TypeError(
            f"publishing takes the class of a vec env, or a function that makes one, not {vec_env!r}"
        )

    def create(config_name: str, num_actors: int, **env_config: Any) -> PublishingVecEnv:
        named = {"name": config_name} if run is None else {}
        return PublishingVecEnv(
            lambda name: vec_env(name, num_actors, **env_config),
            config_name,
            training_info,
            start=start,
            first_info=first_info,
            run=run,
            **named | options,
        )

    return create


class PublishingVecEnv(Publishing, IVecEnv):
    """A vec env that publishes the frames which rl_games passes to `set_train_info`; its envs read them.

    It has all attributes of the vec env inside, which is made with the name of a configuration whose envs are
    each in a `TrainingInfoEnv`. The pickled name contains this configuration, so that it also exists in Ray
    workers, where a program's own registrations are missing.

    A checkpoint has the state of the run in its `env_state`, beside that of the vec env inside. After a
    restore the run goes on from there, before envs are reset.

    The log of the algorithm gets the numbers that were published as `traincast/...`, and those that curricula
    show in `info["curriculum"]` as `curriculum/...`: means over the episodes that ended since the last log.

    Attributes:
        run: the `traincast.Run`.
        env: the vec env inside.
    """

    def __init__(
        self,
        make: Callable[[str], Any],
        config_name: str,
        training_info: TrainingInfo | None = None,
        *,
        run: Run | None = None,
        **options: Any,
    ) -> None:
        super().__init__(training_info, run=run, **options)
        self._own_run = run is None
        self._was_told = self._was_read = self._was_reset = self._lacks_state = False
        self._shown: dict[str, list[float]] = defaultdict(list)
        name = configuration_for(config_name, self.run)
        self._forget = weakref.finalize(self, env_configurations.configurations.pop, str(name), None)
        self._config_name = config_name
        try:
            self.env = make(name)
        except BaseException:
            self._end()  # a traceback may keep this object alive
            raise

    def set_train_info(self, env_frames: Any, *args: Any, **kwargs: Any) -> None:
        """Publish the frames so far, and log what was published; rl_games calls it before each epoch."""
        self._was_told = True
        self._publish(env_frames, env_frames, *args)
        if self._was_reset and not self._was_read:
            self._was_read = True
            self._look_for_readers()
        algo = args[0] if args else None
        writer = getattr(algo, "writer", None)
        if writer is not None and self.run.publishes:
            frame = env_frames // getattr(algo, "num_agents", 1)  # as in the algorithm's own curves
            tensorboard(writer)(frame, self._numbers())
            tensorboard(writer, "curriculum/")(frame, {key: fmean(of) for key, of in self._shown.items()})
        self._shown.clear()
        self.env.set_train_info(env_frames, *args, **kwargs)

    def get_env_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint: of the run, and of the vec env inside."""
        if not is_wrapped(self._config_name) and not self._envs_take_states():
            warn_once(
                ("plain player", self._config_name),
                f"rl_games' player passes the env_state of this checkpoint to its env, but the envs of "
                f"{self._config_name!r} do not accept one: `play` would end with an AttributeError. Register "
                'wrap_env_creator(env_creator) as the "env_creator", or set player: {use_vecenv: True}.',
            )
        return state_of(self.run, self.env.get_env_state())

    def set_env_state(self, env_state: Any) -> None:
        """Go on from the state in a checkpoint."""
        state, inner = parts_of(env_state)
        self._lacks_state = state is None
        if state is not None:
            self._was_told = True
            self._resume(state)
        self.env.set_env_state(inner)

    def reset(self) -> Any:
        """Reset the vec env."""
        if self._lacks_state and not self.run.steps and self.run.publishes:
            warn_once(
                ("no env_state", self.run.channel),
                "the checkpoint has no training information: the envs' first episodes see 0 training steps. "
                "If it was made without traincast, pass publishing(..., start=...)",
            )
        self._was_reset = True
        return self.env.reset()

    def step(self, actions: Any) -> Any:
        """Step the vec env, and collect the numbers that curricula show."""
        if not self._was_told:
            self._warn_of_silence()
        result = self.env.step(actions)
        infos = result[3]
        for info in infos if isinstance(infos, list | tuple) else (infos,):
            shown = info.get("curriculum") if isinstance(info, dict) else None
            if isinstance(shown, Mapping):
                for name, number in numbers_in(shown).items():
                    if math.isfinite(number):  # the average of no episodes is nan
                        self._shown[name].append(number)
        return result

    def close(self) -> None:
        """Close the vec env, and end the run unless the caller made it."""
        try:
            if hasattr(self.env, "close"):
                self.env.close()
        finally:
            self._end()

    def has_action_masks(self) -> Any:
        """Return that of the vec env inside."""
        return self.env.has_action_masks()

    def get_number_of_agents(self) -> Any:
        """Return that of the vec env inside."""
        return self.env.get_number_of_agents()

    def get_env_info(self) -> Any:
        """Return that of the vec env inside."""
        return self.env.get_env_info()

    @property
    def seed(self) -> Any:
        """The attribute of the vec env inside: a method, or in a `RayVecEnv` the seed."""
        return self.env.seed

    def __getattr__(self, name: str) -> Any:
        if name == "env":  # while a copy is being made, it has no env yet
            raise AttributeError(name)
        return getattr(self.env, name)

    def _end(self) -> None:
        self._forget()
        if self._own_run:
            self.run.close()

    def _envs_take_states(self) -> bool:
        """Whether an env of this process has a `set_env_state` of its own, because it is a vec env."""
        wrapped = walk(self.env, lambda inner: type(inner) is TrainingInfoEnv)
        return any(hasattr(found.env, "set_env_state") for found in wrapped)  # type: ignore[attr-defined]

    def _warn_of_silence(self) -> None:
        self._was_told = True
        warn_once(
            ("never told", self.run.channel),
            f"nothing calls set_train_info, so envs stay at {self.run.steps} training steps. rl_games' SAC "
            "does not call it: pass Runner(TrainInfoObserver()), from traincast.integrations.rl_games. In a "
            "player with a vec env: restore a checkpoint.",
        )

    def _look_for_readers(self) -> None:
        """Warn if the envs were reset and nobody reads the run."""
        if not self.run.publishes:
            return
        here = self.run.name, self.run.policy_id
        for channel in list_channels(directory=self.run.channel.directory):
            if (channel["name"], channel["policy_id"]) == here and not any(
                reader["alive"] for reader in channel["readers"]
            ):
                warn_once(
                    ("nobody reads", self.run.channel),
                    f"no env reads run {self.run.name!r}: the vec env does not make its envs with the "
                    f"env_creator of configuration {self._config_name!r}. Wrap them where they are made: "
                    "publishing(..., run=run), and run.wrap_env(env).",
                )

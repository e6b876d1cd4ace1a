"""The same question with function approximation: Stable-Baselines3's PPO, in its own worker processes.

Results come back and levels go out through traincast, or through what SB3 itself has: the infos of each step,
and `env_method` between rollouts. All envs step together, so the clock in env steps is the steps of one env
times the number of envs.
"""

from __future__ import annotations

import random
import time
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import SubprocVecEnv

import traincast
from benches.harness.channels import own_directory
from benches.study.arms import parts
from benches.study.arms.arm import ENVS
from benches.study.arms.gated import PROMOTE_AT
from benches.study.ppo_envs import LEVELS, Late, LockEnv
from benches.study.training import Outcome, Progress
from traincast.curriculum import PerformanceCurriculum, PerformanceLevel, PooledCurriculum, TaskCurriculum
from traincast.integrations.stable_baselines3 import TrainingInfoCallback

__all__ = ["train_ppo"]

BUDGET = 300_000
ROLLOUT = 128  # steps of each env in a rollout
_CHECK_EVERY = 2_048
_REPORT_EVERY = 0.25  # seconds


class _Watch(BaseCallback):  # type: ignore[misc] # SB3's own types are not read
    """Counts, checks whether the task is solved, and reports; it knows the level that the learner holds."""

    def __init__(self, seed: int, budget: int, progress: Progress) -> None:
        super().__init__()
        self.promotions: list[int] = []
        self.stale_steps = self.resets = self.stale_resets = 0
        self.solved = False
        self._env = LockEnv(seed, LEVELS - 1)
        self._budget, self._progress = budget, progress
        self._next_check = self._next_report = 0.0
        self._held: list[int | None] = [0] * ENVS

    @property
    def level(self) -> int:
        """The level that the learner holds; meaningless if each env has a level of its own."""
        return 0

    def learn_of(self, infos: list[dict[str, Any]], dones: Any) -> None:
        """Act on what the envs have done."""

    def _on_step(self) -> bool:
        infos, dones = self.locals["infos"], self.locals["dones"]
        before = self.level
        for env, info in enumerate(infos):
            self.stale_steps += info["playing"] < before
            if (held := self._held[env]) is not None:
                self.resets += 1
                self.stale_resets += info["playing"] < held
            # SB3 resets an env in the step in which its episode ends.
            self._held[env] = before if dones[env] else None
        self.learn_of(infos, dones)
        self.promotions += [self.num_timesteps] * (self.level - before)
        if time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + _REPORT_EVERY
            self._progress(self.num_timesteps, self.level)
        if self.num_timesteps >= self._next_check:
            self._next_check = self.num_timesteps + _CHECK_EVERY
            self.solved = self._solves()
        return not self.solved and self.num_timesteps < self._budget

    def _solves(self) -> bool:
        observation, _ = self._env.reset()
        while True:
            action, _ = self.model.predict(observation, deterministic=True)
            observation, _, ended, _, info = self._env.step(action)
            if ended:
                return bool(info["success"])


class _Pooled(_Watch):
    """A `PooledCurriculum`, which acts after each step of the envs."""

    def __init__(self, run: traincast.Run, gate: int, *watch: Any) -> None:
        super().__init__(*watch)
        self._run = run
        self.curriculum = PooledCurriculum(run, levels=LEVELS, promote_at=PROMOTE_AT, window=gate)
        self._history: tuple[list[int], list[int]] = [0], [0]
        run.publish(0, history=self._history)

    @property
    def level(self) -> int:
        return self.curriculum.level

    def learn_of(self, infos: list[dict[str, Any]], dones: Any) -> None:
        before = self.level
        self.curriculum.update()
        if self.level != before:
            self._history[0].append(self.num_timesteps)
            self._history[1].append(self.level)
            self._run.publish(self.num_timesteps, history=self._history)


class _EnvMethod(_Watch):
    """SB3's own way: results come with infos, and levels go out by `env_method` between rollouts."""

    def __init__(self, gate: int, *watch: Any) -> None:
        super().__init__(*watch)
        self._rule = PerformanceLevel(promote_at=PROMOTE_AT, window=gate, max_level=LEVELS - 1)

    @property
    def level(self) -> int:
        return self._rule.level

    def learn_of(self, infos: list[dict[str, Any]], dones: Any) -> None:
        for info, done in zip(infos, dones, strict=True):
            if done and info["playing"] == self._rule.level:
                self._rule.record(float(info["success"]))

    def _on_rollout_end(self) -> None:
        self.training_env.env_method("set_level", self._rule.level)


def train_ppo(arm: str, seed: int, *, gate: int, progress: Progress, budget: int | None = None) -> Outcome:
    """Train until the deterministic policy solves the task, or the budget of env steps is spent."""
    torch.set_num_threads(1)
    random.seed(seed)
    kind, numbers = parts(arm)
    watch = seed, budget or BUDGET, progress
    with own_directory():
        run = traincast.Run("study") if kind in ("traincast", "delay") else None
        callback: _Watch
        feeding: list[BaseCallback] = []

        def make() -> Any:
            match kind:
                case "none":
                    return LockEnv(seed, LEVELS - 1)
                case "windows":
                    levels = {"level": range(LEVELS)}
                    window = numbers[0]
                    return PerformanceCurriculum(
                        LockEnv(seed), levels, promote_at=PROMOTE_AT, statistic="success", window=window
                    )
                case "envmethod":
                    return LockEnv(seed)
            assert run is not None
            env: Any = TaskCurriculum(LockEnv(seed), "level")
            return run.wrap_env(Late(env, numbers[0]) if kind == "delay" else env)

        if run is not None:
            callback = _Pooled(run, gate, *watch)
            feeding = [TrainingInfoCallback(run=run)]
        else:
            callback = _EnvMethod(gate, *watch) if kind == "envmethod" else _Watch(*watch)
        venv = SubprocVecEnv([make] * ENVS, start_method="fork")
        try:
            model = PPO(
                "MlpPolicy",
                venv,
                n_steps=ROLLOUT,
                batch_size=256,
                n_epochs=10,
                learning_rate=3e-3,
                gamma=0.99,
                ent_coef=0.0,
                policy_kwargs={"net_arch": [32]},
                seed=seed,
                device="cpu",
            )
            began = time.monotonic()
            model.learn(10**9, callback=CallbackList([callback, *feeding]))
            seconds = time.monotonic() - began
        finally:
            venv.close()
            if run is not None:
                run.close()
    return Outcome(
        callback.solved,
        callback.num_timesteps,
        seconds,
        callback.promotions,
        callback.stale_steps,
        callback.resets,
        callback.stale_resets,
    )

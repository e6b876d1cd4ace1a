"""`wrap_env_func`: wraps the function that is passed to `register_env`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sample_factory.algo.utils.gymnasium_utils import patch_non_gymnasium_env
from sample_factory.algo.utils.make_env import get_multiagent_info

from traincast import MissingKeyError
from traincast.integrations.sample_factory.feeds import Feeds, OnMissing
from traincast.integrations.sample_factory.policies import fixed_policy
from traincast.integrations.sample_factory.wrapper import SampleFactoryWrapper

__all__ = ["WrappedEnvFunc", "wrap_env_func"]


def wrap_env_func(
    make_env: Callable[..., Any],
    *,
    eval_info: Mapping[str, Any] | None = None,
    on_missing: OnMissing = "warn",
    deliver: str = "auto",
    attach_timeout: float = 10.0,
) -> WrappedEnvFunc:
    """Return a function for `register_env` that makes the envs of `make_env`, fed from shared memory.

    Args:
        make_env: called as `make_env(full_env_name, cfg, env_config, render_mode)`, like every function that
            Sample Factory registers. It must be picklable if Sample Factory's workers are processes.
        eval_info: what envs receive where no learner runs (`enjoy`); None: what the last run of the
            experiment has saved.
        on_missing: what to do at a reset when there is no information: `"warn"` with a `TraincastWarning`,
            once per process, after 5 seconds or 100 resets, or when the env is closed; `"raise"`
            `ChannelNotFoundError`; `"ignore"`.
        deliver: `"reset"`: before each reset. `"both"`: before each reset and each step. `"auto"`: `"both"`
            for envs that reset themselves inside `step`, as Sample Factory expects of envs with several
            agents and of vectorised ones; otherwise `"reset"`.
        attach_timeout: seconds that a worker's first reset waits for the learner's first report, which has
            usually come by then.

    Raises:
        MissingKeyError: `eval_info` lacks `approx_total_training_steps`.
        ValueError: `on_missing` or `deliver` is none of these.
    """
    if on_missing not in ("warn", "raise", "ignore"):
        raise ValueError(f"on_missing must be 'warn', 'raise' or 'ignore', not {on_missing!r}")
    if deliver not in ("auto", "reset", "both"):
        raise ValueError(f"deliver must be 'auto', 'reset' or 'both', not {deliver!r}")
    if eval_info is not None and "approx_total_training_steps" not in eval_info:
        raise MissingKeyError("eval_info needs the key 'approx_total_training_steps', which envs rely on")
    return WrappedEnvFunc(make_env, eval_info, on_missing, deliver, attach_timeout)


@dataclass(frozen=True)
class WrappedEnvFunc:
    """A picklable function that makes an env and wraps it: what `wrap_env_func` returns."""

    make_env: Callable[..., Any]
    eval_info: Mapping[str, Any] | None
    on_missing: OnMissing
    deliver: str
    attach_timeout: float

    def __call__(self, *args: Any, **kwargs: Any) -> SampleFactoryWrapper:
        """Make the env and wrap it; the arguments are those of `make_env`."""
        env = patch_non_gymnasium_env(self.make_env(*args, **kwargs))
        cfg = args[1] if len(args) > 1 else kwargs.get("cfg")
        # None for the env that Sample Factory makes before a run only to look at its spaces.
        env_config = args[2] if len(args) > 2 else kwargs.get("env_config")
        is_multiagent, num_agents = get_multiagent_info(env)
        return SampleFactoryWrapper(
            env,
            Feeds(
                cfg,
                eval_info=self.eval_info,
                on_missing=self.on_missing,
                attach_timeout=self.attach_timeout,
            ),
            num_agents=num_agents,
            is_multiagent=is_multiagent,
            policy_id=fixed_policy(cfg, env_config),
            num_policies=getattr(cfg, "num_policies", 1),
            at_step=self.deliver == "both" or (self.deliver == "auto" and is_multiagent),
            one_slice=_one_slice(cfg),
        )


def _one_slice(cfg: Any) -> bool:
    """Tell how a worker names the agents: a slice where it holds one batched env, indices everywhere else."""
    if not getattr(cfg, "batched_sampling", False):
        return False
    return int(cfg.num_envs_per_worker // cfg.worker_num_splits) == 1

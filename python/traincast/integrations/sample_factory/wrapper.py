"""The env's side: the outermost wrapper, whose interfaces Sample Factory finds before those of the env."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from sample_factory.envs.env_utils import RewardShapingInterface, TrainingInfoInterface
from sample_factory.utils.utils import set_attr_if_exists

import traincast
from traincast._infos import numbers_in, shown_in
from traincast._warnings import warn_once
from traincast.integrations.sample_factory.feeds import Feeds
from traincast.integrations.sample_factory.policies import AgentPolicies, FollowedPolicies
from traincast.unwrapping import find_reward_shaping_interface, own_copy

__all__ = ["SampleFactoryWrapper"]

_Wrapper = gymnasium.Wrapper[Any, Any, Any, Any]
_ABSENT: Any = object()
_SHOWN = "curriculum"  # the usual `info_key` of traincast's curricula
_LOGGED = "episode_extra_stats"  # what Sample Factory averages and logs from the last info of an episode


class SampleFactoryWrapper(_Wrapper, TrainingInfoInterface, RewardShapingInterface):
    """Delivers the newest training information before the env resets, and drops the queue's late copies.

    `wrap_env_func` makes it. It inherits from Sample Factory's interfaces, so the workers call it instead of
    the env inside. Such a call says which policy it is about, and the wrapper then delivers the newest
    snapshot of that policy from shared memory.

    With one agent `training_info` is what the env received last. With several agents and several policies it
    is that of the first agent's policy, and its key `agents` holds a list with one dictionary for each agent.

    Args:
        env: the user's env.
        feeds: has the newest information on each policy.
        num_agents: how many agents the env has.
        is_multiagent: whether Sample Factory treats it as an env of several agents.
        policy_id: the policy of all agents; None: find out which ones the worker chooses.
        num_policies: how many policies the run trains.
        at_step: whether to deliver before each step, too, because the env resets itself inside `step`.
        one_slice: whether the workers name the agents of this env by a slice, not one by one.
    """

    def __init__(
        self,
        env: Any,
        feeds: Feeds,
        *,
        num_agents: int,
        is_multiagent: bool,
        policy_id: int | None,
        num_policies: int,
        at_step: bool,
        one_slice: bool,
    ) -> None:
        gymnasium.Wrapper.__init__(self, env)
        TrainingInfoInterface.__init__(self)
        # On the wrapper itself: Gymnasium 0.29 warns when an attribute is read through a wrapper.
        self.num_agents = num_agents
        self.is_multiagent = is_multiagent
        self._stands_in = _misleads_lookup(self, env)
        self._env_at_work = False
        self._agents = (
            FollowedPolicies(num_agents) if policy_id is None else AgentPolicies(num_agents, policy_id)
        )
        self._feeds = feeds
        self._fed_by_queue = False
        self._delivered_for: list[int] = []
        self._per_agent = num_agents > 1 and num_policies > 1
        self._at_step = at_step
        self._one_slice = one_slice
        self._shaping_target = find_reward_shaping_interface(env)
        # Asked once: an env may return what it uses now, and Sample Factory stops if that changes.
        target = self._shaping_target
        self._default_shaping = None if target is None else target.get_default_reward_shaping()

    # --- the env

    def reset(self, **kwargs: Any) -> Any:
        """Deliver what is new, then reset the env."""
        self._deliver(reset=True)
        self._env_at_work = True
        try:
            return self.env.reset(**kwargs)
        finally:
            self._env_at_work = False

    def step(self, action: Any) -> Any:
        """Deliver what is new if the env resets itself or has another policy now, then step it."""
        agents = self._agents
        if self._at_step or (agents.follows and agents.current != self._delivered_for):
            self._deliver()
        self._env_at_work = True
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        finally:
            self._env_at_work = False
        if agents.follows:
            agents.after_step(_finished(terminated, truncated))
        return observation, reward, terminated, truncated, _logged(info)

    def close(self) -> None:
        """Detach from the channels, then close the env."""
        if not self.training_info:
            self._feeds.give_up()
        self._feeds.close()
        self.env.close()

    # --- what the worker looks at: the module `policies` says why

    @property
    def unwrapped(self) -> Any:
        """The innermost env; this wrapper where Sample Factory would miss it, or would fail at that env."""
        choosing = self._agents.follows and not self._env_at_work
        return self if choosing or self._stands_in else self.env.unwrapped

    @property
    def curr_policy_idx(self) -> int:
        """The policy of the first agent; the worker sets it for the agent that it is dealing with."""
        return self._agents.current[0]

    @curr_policy_idx.setter
    def curr_policy_idx(self, policy_id: int) -> None:
        self._agents.chosen(int(policy_id))
        set_attr_if_exists(self.env.unwrapped, "curr_policy_idx", policy_id)

    # --- the workers' calls

    def set_training_info(self, training_info: Mapping[str, Any]) -> None:
        """Deliver the newest snapshot in place of this copy, which waited in a queue."""
        policy_id = training_info.get("policy_id")
        if policy_id is not None:
            self._agents.told(policy_id)
        if self._feeds.online and self._deliver():
            return
        if not self._feeds.online:
            self._fed_by_queue = True
            self._feeds.note_arrival()
            warn_once(
                ("sample_factory", "no run"),
                "wrap_env_func is used without traincast's run_rl or TrainingInfoObserver, so envs receive "
                "Sample Factory's own, late copies: use traincast.integrations.sample_factory.run_rl",
            )
        self.training_info = own_copy(training_info)
        traincast.set_training_info(self.env, training_info)

    def get_default_reward_shaping(self) -> dict[str, Any] | None:
        """Return what the env inside returned when it was wrapped; None if it has no reward shaping."""
        return None if self._default_shaping is None else own_copy(self._default_shaping)

    def set_reward_shaping(
        self, reward_shaping: Mapping[str, Any], agent_idx: Any = _ABSENT, *, agent_indices: Any = _ABSENT
    ) -> None:
        """Deliver the newest reward shaping in place of this copy.

        The second argument, an index or a slice, may have either of the names that Sample Factory uses.
        """
        indices = agent_indices if agent_idx is _ABSENT else agent_idx
        if indices is _ABSENT:
            raise TypeError("set_reward_shaping() needs agent_indices: the index of an agent, or a slice")
        target = self._shaping_target
        if target is not None and not (self._feeds.online and self._deliver()):
            target.set_reward_shaping(own_copy(reward_shaping), indices)

    # --- delivery

    def _deliver(self, *, reset: bool = False) -> bool:
        """Deliver what is new to the env; return whether there is any information at all."""
        if self._fed_by_queue:
            return False
        agents, newest = self._agents.current, self._feeds.newest
        acting = {*agents} if self._per_agent else {agents[0]}
        changed = [self._feeds.poll(policy_id, reset=reset) for policy_id in acting]
        if agents[0] not in newest:
            return False
        if any(changed) or agents != self._delivered_for:
            # Copied, because the newest dictionary is delivered again after a change of policies.
            info = own_copy(newest[agents[0]])
            if self._per_agent:
                info["agents"] = [own_copy(newest.get(policy_id, {})) for policy_id in agents]
            self._delivered_for = []  # if the env raises, it is told again
            self._shape_rewards()
            self._feeds[agents[0]].deliver(self.env, info)
            self.training_info = info
            self._delivered_for = list(agents)
        return True

    def _shape_rewards(self) -> None:
        target, agents = self._shaping_target, self._agents.current
        if target is None:
            return
        whose = [(slice(0, len(agents)), agents[0])] if self._one_slice else enumerate(agents)
        for which, policy_id in whose:
            shaping = self._feeds.newest.get(policy_id, {}).get("reward_shaping")
            if shaping is not None:
                # By position: envs name the second argument agent_idx or agent_indices.
                target.set_reward_shaping(own_copy(shaping), which)


def _logged(info: Any) -> Any:
    """Return the info of a step, with a curriculum's numbers added where Sample Factory logs them."""
    if isinstance(info, list | tuple):  # one for each agent
        return type(info)([_logged(one) for one in info])
    numbers = info.get(_SHOWN) if isinstance(info, dict) else None
    if not isinstance(numbers, Mapping):
        return info
    return shown_in(info, _LOGGED, {f"{_SHOWN}/{name}": one for name, one in numbers_in(numbers).items()})


def _finished(terminated: Any, truncated: Any) -> list[int]:
    """Return the agents whose episode has ended in this step; with one agent, the flags are booleans."""
    done = np.atleast_1d(np.logical_or(terminated, truncated))
    return [int(agent) for agent in np.flatnonzero(done)]


def _misleads_lookup(wrapper: Any, env: Any) -> bool:
    """Tell whether `env.unwrapped` would make Sample Factory's `find_wrapper_interface` fail.

    It compares each env of the chain with that one by `==`, which an env may have overridden.
    """
    try:
        return bool(wrapper == env.unwrapped)
    except Exception:  # whatever it raises, Sample Factory would not catch it
        return True

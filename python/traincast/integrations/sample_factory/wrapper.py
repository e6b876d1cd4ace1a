"""The env's side: the outermost wrapper, which Sample Factory takes for the env's own interfaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from sample_factory.envs.env_utils import RewardShapingInterface, TrainingInfoInterface

from traincast._warnings import warn_once
from traincast.integrations.sample_factory.policies import AgentPolicies, FollowedPolicies
from traincast.integrations.sample_factory.sources import Source
from traincast.integrations.sample_factory.stats import log_curriculum
from traincast.unwrapping import find_all, find_reward_shaping_interface, own_copy

__all__ = ["SampleFactoryWrapper"]

_Wrapper = gymnasium.Wrapper[Any, Any, Any, Any]
_ABSENT: Any = object()


class SampleFactoryWrapper(_Wrapper, TrainingInfoInterface, RewardShapingInterface):
    """Delivers the newest training information before the env resets, and swallows the queue's late copies.

    `wrap_env_func` makes it. It inherits from Sample Factory's interfaces, so the workers call it in place of
    the env inside; such a call says which policy it is about, and is answered with the newest snapshot of
    that policy from shared memory.

    With one agent `training_info` is what the env received last. With several agents and several policies it
    is that of the first agent's policy, and its key `agents` holds a list with one dictionary for each agent.

    Args:
        env: the user's env.
        make_source: returns the source of information on a policy.
        num_agents: how many agents the env has.
        policy_id: the policy of all agents; None: find out what the worker chooses.
        num_policies: how many policies the run trains.
        at_step: deliver before each step, too: the env resets itself inside `step`.
        online: a learner publishes. If not, the workers' calls are passed on.
        one_slice: the workers name the agents of this env by a slice, not one by one.
    """

    def __init__(
        self,
        env: Any,
        make_source: Callable[[int], Source],
        *,
        num_agents: int,
        is_multiagent: bool,
        policy_id: int | None,
        num_policies: int,
        at_step: bool,
        online: bool,
        one_slice: bool,
    ) -> None:
        gymnasium.Wrapper.__init__(self, env)
        TrainingInfoInterface.__init__(self)
        # On the wrapper itself: Gymnasium 0.29 warns when an attribute is read through a wrapper.
        self.num_agents = num_agents
        self.is_multiagent = is_multiagent
        self._stands_in = _misleads_lookup(self, env)
        self._agents: AgentPolicies
        if policy_id is None:
            self._agents = FollowedPolicies(num_agents, self if self._stands_in else env.unwrapped)
        else:
            self._agents = AgentPolicies(num_agents, policy_id)
        self._make_source = make_source
        self._sources: dict[int, Source] = {}
        self._delivered_for: list[int] = []
        self._per_agent = num_agents > 1 and num_policies > 1
        self._at_step = at_step
        self._watches_steps = at_step or self._agents.follows
        self._online = online
        self._one_slice = one_slice
        self._info_targets = find_all(env, TrainingInfoInterface)
        self._shaping_target = find_reward_shaping_interface(env)
        # Asked once: an env may answer with what it uses now, and Sample Factory stops if the answer changes.
        target = self._shaping_target
        self._default_shaping = None if target is None else target.get_default_reward_shaping()

    # --- the env

    def reset(self, **kwargs: Any) -> Any:
        """Deliver what is new, then reset the env."""
        if self._agents.follows:
            self._agents.look()
        self._deliver()
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        """Step the env; before, deliver what is new if the env resets itself or has got another policy."""
        if not self._watches_steps:
            result = self.env.step(action)
            log_curriculum(result[4])
            return result
        agents = self._agents
        agents.before_step()
        if self._at_step or agents.current != self._delivered_for:
            self._deliver()
        result = self.env.step(action)
        if agents.follows:
            agents.after_step(_finished(result[2], result[3]))
        log_curriculum(result[4])
        return result

    def close(self) -> None:
        """Let go of the channels, then close the env."""
        for source in self._sources.values():
            if not self.training_info:
                source.patience.warn()
            source.close()
        self.env.close()

    @property
    def unwrapped(self) -> Any:
        """The innermost env; this wrapper if Sample Factory's look-up would stumble over that one."""
        self._agents.look()
        return self if self._stands_in else self.env.unwrapped

    # --- the workers' calls

    def set_training_info(self, training_info: Mapping[str, Any]) -> None:
        """Deliver the newest snapshot in place of this copy, which waited in a queue."""
        policy_id = training_info.get("policy_id")
        if policy_id is not None:
            self._agents.told(policy_id)
        if self._online and self._deliver():
            return
        if not self._online:
            warn_once(
                ("sample_factory", "no run"),
                "wrap_env_func is used without traincast's run_rl or TrainingInfoObserver: "
                "envs receive Sample Factory's own copies",
            )
        self._hand_over(own_copy(training_info))

    def get_default_reward_shaping(self) -> dict[str, Any] | None:
        """Return what the env inside said when it was made, or None if it has no reward shaping."""
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
        if target is not None and not (self._online and self._deliver()):
            target.set_reward_shaping(own_copy(reward_shaping), indices)

    # --- delivery

    def _deliver(self) -> bool:
        """Give the env what is new to it; return whether it has anything at all from the source."""
        agents = self._agents.current
        source = self._source(agents[0])
        changed = source.poll()
        if self._per_agent:
            for policy_id in {*agents} - {agents[0]}:
                changed |= self._source(policy_id).poll()
        if source.info is None:
            return False
        if changed or agents != self._delivered_for:
            self._delivered_for = list(agents)
            self._shape_rewards()
            # Copied: a source keeps its dictionary, to give it again after a change of policies.
            info = own_copy(source.info)
            if self._per_agent:
                info["agents"] = [own_copy(self._source(policy_id).info or {}) for policy_id in agents]
            self._hand_over(info)
        return True

    def _source(self, policy_id: int) -> Source:
        source = self._sources.get(policy_id)
        if source is None:
            source = self._sources[policy_id] = self._make_source(policy_id)
        return source

    def _hand_over(self, info: dict[str, Any]) -> None:
        self.training_info = info
        for target in self._info_targets[1:]:
            target.set_training_info(own_copy(info))
        for target in self._info_targets[:1]:
            target.set_training_info(info)

    def _shape_rewards(self) -> None:
        target = self._shaping_target
        if target is None:
            return
        agents = self._agents.current
        if self._one_slice:
            self._shape(target, agents[0], slice(0, len(agents)))
            return
        for agent, policy_id in enumerate(agents):
            self._shape(target, policy_id, agent)

    def _shape(self, target: Any, policy_id: int, agents: int | slice) -> None:
        info = self._source(policy_id).info
        shaping = None if info is None else info.get("reward_shaping")
        if shaping is not None:
            # By position: envs name the second argument agent_idx or agent_indices.
            target.set_reward_shaping(own_copy(shaping), agents)


def _finished(terminated: Any, truncated: Any) -> list[int]:
    """Return the agents whose episode the step has ended; one agent's flags are two booleans."""
    done = np.atleast_1d(np.logical_or(terminated, truncated))
    return [int(agent) for agent in np.flatnonzero(done)]


def _misleads_lookup(wrapper: Any, env: Any) -> bool:
    """Tell whether `env.unwrapped` would make Sample Factory's `find_wrapper_interface` fail.

    It compares each env of the chain with that one by `==`, which an env may have defined for itself.
    """
    try:
        return bool(wrapper == env.unwrapped)
    except Exception:  # whatever it raises, Sample Factory would not catch it
        return True

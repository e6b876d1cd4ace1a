"""Which policy acts for each agent of an env.

With one policy, with batched sampling and in synchronous mode the mapping is fixed. Otherwise Sample
Factory's workers draw a policy for each agent at the end of its episode, after the env has reset itself.
Nothing that a worker passes to an env says which one it has drawn: the training information at the end of an
episode is that of the previous policy. There is one trace, meant for envs that keep something for each
policy: whenever the worker chooses a policy, it sets `env.unwrapped.curr_policy_idx`, if `env.unwrapped` has
that attribute.

So `SampleFactoryWrapper` has a property of that name, and returns itself as `unwrapped` while the worker's
code runs. The setter notes the number, and passes it on to an env that has the attribute as well. While the
env's code runs, `unwrapped` is the innermost env, as always. Where the mapping is fixed, it always is.

What we tried instead:

- An attribute of our own in the user's env, in an earlier version: we must not change the user's objects, and
  with several agents a write of the same number goes unnoticed unless the attribute is a special object.
- The worker's own records (`env_runners`, `actor_states`, `curr_policy_id`) have the exact numbers. But a
  worker fills them after the first reset of the envs, and to reach them one of our objects would have to be
  sent to each worker process inside of Sample Factory's own objects.
- A subclass of `AgentPolicyMapping`, which its docstring suggests: the worker makes the mapping itself, and
  neither the configuration nor the runner can name another class ("TODO: would be nice to have a mechanism").

One line in Sample Factory would make this easy: a mapping class that can be named, or `set_attr_if_exists`
on the outermost env that has the attribute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

__all__ = ["AgentPolicies", "FollowedPolicies", "fixed_policy"]


def fixed_policy(cfg: Any, env_config: Any) -> int | None:
    """Return the policy of all agents of this env, or None if the worker draws one for each episode."""
    if cfg is None:
        return 0
    if env_config is None or getattr(cfg, "num_policies", 1) == 1:
        return int(getattr(cfg, "policy_index", 0))  # the argument of an evaluation
    if cfg.batched_sampling:
        return int(env_config.worker_index % cfg.num_policies)
    if not cfg.async_rl:
        return int(env_config.env_id % cfg.num_policies)
    return None


class AgentPolicies:
    """A mapping of agents to policies that stays as it is.

    Attributes:
        current: the policy of each agent.
    """

    follows = False

    def __init__(self, num_agents: int, policy_id: int) -> None:
        self.current = [policy_id] * num_agents

    def told(self, policy_id: int) -> None:
        """The worker's late copy of the training information names this policy: use it."""
        if policy_id != self.current[0]:
            self.current = [policy_id] * len(self.current)

    def chosen(self, policy_id: int) -> None:
        """The worker has chosen a policy for the agent that it is dealing with."""

    def after_step(self, finished: Sequence[int]) -> None:
        """The episodes of the `finished` agents have ended."""


class FollowedPolicies(AgentPolicies):
    """A mapping that changes from episode to episode.

    The order of the worker's calls tells for which agent it has chosen a policy:

    1. It makes the agents one after the other and chooses a policy for each, before the first reset.
    2. After a step it goes through the agents. For each that has finished its episode it calls
       `set_training_info` with the information of that agent's policy (`told`). Then it sets the policy that
       it has chosen (`chosen`), if that is another one.
    """

    follows = True

    def __init__(self, num_agents: int) -> None:
        super().__init__(num_agents, 0)
        self._agent = 0
        self._new = deque(range(1, num_agents))
        self._finished: deque[int] = deque()

    def told(self, policy_id: int) -> None:
        """The worker has come to the next finished agent, whose policy was `policy_id` until now."""
        if self._finished:
            self._agent = self._finished.popleft()
            self.current[self._agent] = policy_id

    def chosen(self, policy_id: int) -> None:
        """The worker has chosen a policy for the agent that it is dealing with."""
        self.current[self._agent] = policy_id
        if self._new:
            self._agent = self._new.popleft()

    def after_step(self, finished: Sequence[int]) -> None:
        """The worker will go through these agents, in this order."""
        self._finished = deque(finished)
        if finished:
            self._agent = finished[0]

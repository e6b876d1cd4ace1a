"""Which policy acts for each agent of an env.

With one policy, with batched sampling and in synchronous mode the mapping is fixed. Otherwise Sample
Factory's workers draw a policy for each agent at the end of its episode, after the env has reset itself. The
one official trace of that is `env.unwrapped.curr_policy_idx`, which the worker sets (if the env has such an
attribute) whenever an agent's policy is chosen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

__all__ = ["AgentPolicies", "FollowedPolicies", "fixed_policy"]

_ATTRIBUTE = "curr_policy_idx"


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
    """A mapping that stays as it is.

    Attributes:
        current: the policy of each agent.
    """

    follows = False

    def __init__(self, num_agents: int, policy_id: int) -> None:
        self.current = [policy_id] * num_agents

    def told(self, policy_id: int) -> None:
        """The worker's late copy of the training information names the policy: believe it."""
        if policy_id != self.current[0]:
            self.current = [policy_id] * len(self.current)

    def look(self) -> None:
        """See whether the worker has chosen a policy since the last look."""

    def before_step(self) -> None:
        """The worker is done with the last step's results."""

    def after_step(self, finished: Sequence[int]) -> None:
        """The episodes of the `finished` agents have ended."""


class _Unchanged(int):
    """Stands in the attribute until the worker writes a policy there, even if it is the same number."""


class FollowedPolicies(AgentPolicies):
    """A mapping that changes from episode to episode.

    The order in which the worker does its work says whose policy it writes:

    1. It makes the agents one after the other and writes a policy for each, before the first reset.
    2. After a step it goes through the agents; for each that has finished its episode it calls
       `set_training_info` with the information of that agent's policy (`told`), and then writes a policy if
       it has drawn another one.

    Before each of these writes the worker asks the env for `unwrapped`, and we `look`.
    """

    follows = True

    def __init__(self, num_agents: int, holder: Any) -> None:
        super().__init__(num_agents, 0)
        self._holder = holder  # env.unwrapped, as the worker sees it
        self._agent = 0
        self._running = False
        self._finished: deque[int] = deque()
        self._arm(0)

    def told(self, policy_id: int) -> None:
        """The worker has come to the next finished agent, which so far had `policy_id`."""
        self.look()
        if self._finished:
            self._agent = self._finished.popleft()
            self.current[self._agent] = policy_id

    def look(self) -> None:
        """Note the policy that the worker has written for the agent that it is at."""
        written = getattr(self._holder, _ATTRIBUTE, None)
        if written is None or written is self._mark:
            return
        self.current[self._agent] = int(written)
        if not self._running:
            self._agent = min(self._agent + 1, len(self.current) - 1)
        self._arm(int(written))

    def before_step(self) -> None:
        """Take the last write in; from now on agents come in the order in which they finish."""
        self.look()
        self._running = True

    def after_step(self, finished: Sequence[int]) -> None:
        """The worker will go through these agents, in this order."""
        self._finished = deque(finished)
        if finished:
            self._agent = finished[0]

    def _arm(self, policy_id: int) -> None:
        self._mark = _Unchanged(policy_id)
        setattr(self._holder, _ATTRIBUTE, self._mark)

"""Which policy acts in an env, as far as it shows without a run; `test_gaps_in_runs.py` has the runs."""

from __future__ import annotations

from typing import Any

import pytest
from sample_factory.utils.attr_dict import AttrDict

from traincast.integrations.sample_factory.policies import AgentPolicies, FollowedPolicies, fixed_policy

WORKER = AttrDict(worker_index=0, vector_index=0, env_id=0)


@pytest.mark.parametrize(
    ("argv", "env_config", "policy_id"),
    [
        ([], WORKER, 0),
        (["--num_policies=2"], None, 0),
        (["--num_policies=2", "--batched_sampling=True"], AttrDict(worker_index=3, env_id=6), 1),
        (["--num_policies=4", "--async_rl=False"], AttrDict(worker_index=0, env_id=6), 2),
        (["--num_policies=2", "--async_rl=True"], AttrDict(worker_index=0, env_id=6), None),
    ],
)
def test_which_policy_acts_in_an_env(
    configuration: Any, argv: list[str], env_config: Any, policy_id: int | None
) -> None:
    assert fixed_policy(configuration("--env=informed", *argv), env_config) == policy_id


def test_a_fixed_policy_believes_the_worker() -> None:
    policies = AgentPolicies(2, 0)
    policies.told(1)
    assert policies.current == [1, 1]


def test_policies_are_followed_in_the_order_of_the_workers_calls() -> None:
    policies = FollowedPolicies(3)
    for policy_id in (2, 0, 2):  # the worker makes three agents
        policies.chosen(policy_id)
    assert policies.current == [2, 0, 2]
    policies.after_step([0, 2])
    policies.told(2)  # agent 0 has finished, and draws the same number as the last one chosen
    policies.chosen(1)
    policies.told(2)  # agent 2 has finished, and keeps its policy
    assert policies.current == [1, 0, 2]
    policies.after_step([1])
    policies.told(0)
    policies.chosen(1)  # the number that was chosen last
    assert policies.current == [1, 1, 2]

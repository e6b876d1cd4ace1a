"""A small Tianshou training in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from seen_envs import SeenEnv
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.trainer import OffPolicyTrainer, OffPolicyTrainerParams
from tianshou.utils.net.common import Net


@pytest.fixture
def trainer_of() -> Callable[..., OffPolicyTrainer]:
    """Make a trainer of 2 epochs, 40 steps each, 10 steps collected at once."""

    def make(envs: Any, info: Any, **params: Any) -> OffPolicyTrainer:
        net = Net(state_shape=(1,), action_shape=2, hidden_sizes=[8])
        policy = DiscreteQLearningPolicy(model=net, action_space=SeenEnv.action_space, eps_training=0.5)
        algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(1e-3))
        stats = {name: params.pop(name) for name in ("collect_stats_class",) if name in params}
        test_envs = params.pop("test_envs", None)
        if test_envs is not None:
            params["test_collector"] = Collector(policy, test_envs, **stats)
        return OffPolicyTrainer(
            algorithm,
            OffPolicyTrainerParams(
                training_collector=Collector(policy, envs, VectorReplayBuffer(1_000, len(envs)), **stats),
                training_fn=info,
                **{
                    "max_epochs": 2,
                    "epoch_num_steps": 40,
                    "collection_step_num_env_steps": 10,
                    "update_step_num_gradient_steps_per_sample": 0.1,
                    "verbose": False,
                    "show_progress": False,
                }
                | params,
            ),
        )

    return make

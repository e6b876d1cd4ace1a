"""SuperSuit's vector envs of PettingZoo envs: every env of theirs is told, here and in other processes."""

from __future__ import annotations

import numpy as np
import pytest
import supersuit
from zoo_envs import Pennies

import traincast

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.mark.parametrize("processes", [0, 2])
def test_every_reset_sees_the_newest(processes):
    with traincast.Run("zoo", start=10) as run:
        vector = supersuit.pettingzoo_env_to_vec_env_v1(run.wrap_env(Pennies()))
        envs = supersuit.concat_vec_envs_v1(vector, 3, num_cpus=processes, base_class="gymnasium")
        try:
            assert np.asarray(envs.reset(seed=0)[0])[:, 1].tolist() == [10] * 6
            run.publish(20)
            for _ in range(2):  # resets by itself
                observations = envs.step(np.zeros(6, int))[0]
            assert np.asarray(observations)[:, 1].tolist() == [20] * 6
        finally:
            envs.close()

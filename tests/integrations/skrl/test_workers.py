"""Every kind of env that skrl trains on from Gymnasium, and what becomes of a killed worker."""

from __future__ import annotations

import os
import signal
from functools import partial

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from places import clean
from seen_envs import make_seen, rising
from skrl.envs.wrappers.torch import wrap_env

import traincast
from traincast.integrations.skrl import broadcast

NEXT, SAME = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP
KINDS = {
    "sync, next step": partial(SyncVectorEnv, autoreset_mode=NEXT),
    "sync, same step": partial(SyncVectorEnv, autoreset_mode=SAME),
    "fork, next step": partial(AsyncVectorEnv, context="fork", autoreset_mode=NEXT),
    "fork, same step": partial(AsyncVectorEnv, context="fork", autoreset_mode=SAME),
    "spawn": partial(AsyncVectorEnv, context="spawn", autoreset_mode=SAME),
    "forkserver": partial(AsyncVectorEnv, context="forkserver", autoreset_mode=SAME),
}


def check_newest(observed, began=0):
    """An env with something new at timestep t was reset in the one before it, when t - 1 were done."""
    for seen in observed.T:
        assert rising(seen)
        assert seen[0] == began
        new = 1 + np.flatnonzero(np.diff(seen))
        assert len(new) >= len(seen) // 5  # an episode has 3 timesteps, or 4 with its reset
        assert list(seen[new]) == list(began + new - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_each_reset_sees_the_newest_value(kind, agent_of, train):
    with traincast.Run("kinds") as run:
        env = wrap_env(KINDS[kind]([run.wrap_env_fn(make_seen) for _ in range(2)]))
        agent = agent_of(env)
        broadcast(agent, run)
        observed = train(env, agent, 40)
        env.close()
        assert run.steps == 40
    check_newest(observed)


def test_a_single_env_that_the_trainer_resets_sees_the_newest_value(agent_of, train):
    with traincast.Run("single") as run:
        env = wrap_env(run.wrap_env(make_seen()))
        agent = agent_of(env)
        broadcast(agent, run)
        (seen,) = train(env, agent, 40).T
        assert list(seen) == [timestep // 3 * 3 for timestep in range(40)]  # reset when the timestep is done


def test_envs_that_take_the_place_of_killed_workers_are_served_again(agent_of, train, traincast_dir):
    with traincast.Run("killed") as run:
        fns = [run.wrap_env_fn(make_seen) for _ in range(2)]
        envs = AsyncVectorEnv(fns, autoreset_mode=SAME)
        env = wrap_env(envs)
        agent = agent_of(env)
        broadcast(agent, run)
        train(env, agent, 10)
        os.kill(envs.processes[0].pid, signal.SIGKILL)
        envs.processes[0].join()
        with pytest.raises((EOFError, ConnectionError)):  # neither skrl nor Gymnasium restarts anything
            train(env, agent, 10)
        envs.close(terminate=True)
        done = run.steps
        again = wrap_env(AsyncVectorEnv(fns, autoreset_mode=SAME))
        check_newest(train(again, agent, 20), began=done)
        again.close()
        assert clean(traincast_dir) == 0  # the killed worker left nothing

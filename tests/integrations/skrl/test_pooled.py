"""`broadcast(agent, run, curriculum)`: all envs move one level, and the checkpoints have the curriculum."""

from __future__ import annotations

from climbing import check_climbed, check_resumed, check_sampled, climbing, make_level_env, sampling
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from skrl.envs.wrappers.torch import wrap_env

import traincast
from traincast.integrations.skrl import broadcast


def trained(agent_of, train, curriculum, checkpoint=None):
    with traincast.Run("skrl") as run:
        fns = [run.wrap_env_fn(make_level_env) for _ in range(2)]
        env = wrap_env(AsyncVectorEnv(fns, autoreset_mode=AutoresetMode.SAME_STEP, context="forkserver"))
        agent = agent_of(env, checkpoint_interval=30)
        broadcast(agent, run, curriculum)
        if checkpoint is not None:
            agent.load(str(checkpoint))
        train(env, agent, 31)
        env.close()
        return run.state_dict()["curricula"]["curriculum"]


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them(agent_of, train, tmp_path):
    saved = trained(agent_of, train, climbing())
    check_climbed(saved)
    (checkpoint,) = tmp_path.glob("**/checkpoints/agent_30.pt")
    check_resumed(trained(agent_of, train, climbing(), checkpoint), saved)


def test_tasks_are_drawn_from_the_array_that_a_sampler_publishes(agent_of, train):
    check_sampled(trained(agent_of, train, sampling()))

# run = traincast.Run("skrl")
# env = wrap_env(AsyncVectorEnv([run.wrap_env_fn(make_env) for _ in range(4)]))
# broadcast(agent, run)  # before agent.load, which restores the count, and before the trainer
"""PPO balances a pole while gravity grows. To resume: --resume runs/.../checkpoints/agent_1500.pt."""

import argparse

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.trainers.torch import SequentialTrainer
from skrl.utils.model_instantiators.torch import categorical_model, deterministic_model

import traincast
from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.skrl import broadcast

EARTH = {"approx_total_training_steps": 1_500}  # what the evaluation envs see


def make_env():
    return ProgressCurriculum(gym.make("CartPole-v1"), {"unwrapped.gravity": Linear(2.0, 9.8, 1_500)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--resume")
    args = parser.parse_args()

    run = traincast.Run("skrl")
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    env = wrap_env(AsyncVectorEnv([run.wrap_env_fn(make_env) for _ in range(4)], **same_step))
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    network = [{"name": "net", "input": "OBSERVATIONS", "layers": [64, 64], "activations": "tanh"}]
    models = {
        "policy": categorical_model(**spaces, device=env.device, network=network, output="ACTIONS"),
        "value": deterministic_model(**spaces, device=env.device, network=network, output="ONE"),
    }
    memory = RandomMemory(memory_size=64, num_envs=env.num_envs, device=env.device)
    experiment = {"write_interval": 100, "checkpoint_interval": 500}
    cfg = PPO_CFG(rollouts=64, learning_epochs=4, mini_batches=4, learning_rate=1e-3, experiment=experiment)
    agent = PPO(models=models, memory=memory, cfg=cfg, device=env.device, **spaces)
    broadcast(agent, run, lambda timestep, timesteps: {"updates": timestep // 64})
    if args.resume:
        agent.load(args.resume)
    start, trainer = run.steps, {"disable_progressbar": True, "headless": True}
    SequentialTrainer(env=env, agents=agent, cfg={"timesteps": args.steps - start, **trainer}).train()

    envs = SyncVectorEnv([lambda: run.wrap_eval_env(make_env(), EARTH) for _ in range(4)], **same_step)
    results = RecordEpisodeStatistics(envs)
    SequentialTrainer(env=wrap_env(results), agents=agent, cfg={"timesteps": 400, **trainer}).eval()
    mean = sum(results.return_queue) / max(len(results.return_queue), 1)
    print(f"{agent.experiment_dir}: timesteps {start} to {run.steps}, mean return on Earth {mean:.0f}")

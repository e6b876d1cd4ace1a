# run = traincast.Run("cleanrl_ppo", state=args.checkpoint.get("run"))   # before the envs
# return run.wrap_env(env)                                               # in the thunk of make_env
# run.publish(global_step)                                               # after global_step += args.num_envs
import argparse

import gymnasium as gym
import torch
from torch.distributions import Categorical
from torch.utils.tensorboard import SummaryWriter

import traincast
from traincast.curriculum import Linear, ProgressCurriculum


def make_env(env_id, wrap_env):
    def thunk():
        env = gym.wrappers.RecordEpisodeStatistics(gym.make(env_id))
        return wrap_env(ProgressCurriculum(env, {"gravity": Linear(2.0, 9.8, 20_000)}))

    return thunk


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--total-timesteps", type=int, default=40_000)
    parser.add_argument("--resume", dest="checkpoint", type=torch.load, default={}, help="cleanrl_ppo.pt")
    args = parser.parse_args()
    run = traincast.Run("cleanrl_ppo", state=args.checkpoint.get("run"))
    run.log_to(traincast.sinks.tensorboard(writer := SummaryWriter(f"runs/{run.name}")), every=1.0)
    envs = gym.vector.AsyncVectorEnv([make_env("CartPole-v1", run.wrap_env)] * 4, autoreset_mode="SameStep")
    agent = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
    agent.load_state_dict(args.checkpoint.get("agent", agent.state_dict()))
    optimizer = torch.optim.Adam(agent.parameters(), lr=0.01)
    global_step, next_obs = run.steps, envs.reset()[0]
    while global_step < args.total_timesteps:
        rollout = []
        for _ in range(128):
            global_step += envs.num_envs
            run.publish(global_step)
            action = (probs := Categorical(logits=agent(obs := torch.as_tensor(next_obs)))).sample()
            next_obs, reward, terminated, truncated, infos = envs.step(action.numpy())
            done = torch.as_tensor(terminated | truncated)
            rollout.append((obs, action, probs.log_prob(action).detach(), torch.as_tensor(reward), done))
            if final := infos.get("final_info"):
                writer.add_scalar("charts/gravity", final["curriculum"]["gravity"].max(), global_step)
        obs, actions, logprobs, rewards, dones = map(torch.stack, zip(*rollout, strict=True))
        for t in reversed(range(len(rewards) - 1)):
            rewards[t] += 0.99 * ~dones[t] * rewards[t + 1]
        advantages = (rewards - rewards.mean()) / rewards.std()
        for _ in range(4):
            ratio = (Categorical(logits=agent(obs)).log_prob(actions) - logprobs).exp()
            optimizer.zero_grad()
            (-torch.min(advantages * ratio, advantages * ratio.clamp(0.8, 1.2)).mean()).backward()
            optimizer.step()
        torch.save({"agent": agent.state_dict(), "run": run.state_dict()}, "cleanrl_ppo.pt")
    envs.close()
    obs, info = (env := make_env("CartPole-v1", run.wrap_eval_env)()).reset()
    while "episode" not in info:
        obs, *_, info = env.step(int(agent(torch.as_tensor(obs)).argmax()))
    print(f"{run.steps} steps: return {info['episode']['r']}, gravity {info['curriculum']['gravity']}")

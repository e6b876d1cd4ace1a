# run = traincast.Run("pufferlib_example")
# env = run.wrap_env(ProgressCurriculum(gymnasium.make("CartPole-v1"), {...}))   # in the env creator
# run.publish(steps)                                                             # after each envs.step()
import argparse
from contextlib import closing

import gymnasium
import pufferlib.emulation
import pufferlib.vector
import torch
from pufferlib.pufferlib import EpisodeStats
from torch.distributions import Categorical

import traincast
from traincast.curriculum import Linear, ProgressCurriculum


def make_env(wrap_env, buf=None, seed=0):
    env = wrap_env(ProgressCurriculum(gymnasium.make("CartPole-v1"), {"gravity": Linear(2.0, 9.8, 100_000)}))
    return pufferlib.emulation.GymnasiumPufferEnv(EpisodeStats(env), buf=buf)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--resume", help="a checkpoint to resume from: pufferlib_example.pt")
    args = parser.parse_args()
    checkpoint = torch.load(args.resume) if args.resume else {}
    run = traincast.Run("pufferlib_example", state=checkpoint.get("run"))
    policy = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
    policy.load_state_dict(checkpoint.get("policy", policy.state_dict()))
    optimizer, steps = torch.optim.Adam(policy.parameters(), lr=0.01), run.steps
    vec = {"backend": pufferlib.vector.Multiprocessing, "num_envs": 64, "num_workers": 2, "overwork": True}
    with closing(pufferlib.vector.make(make_env, env_kwargs={"wrap_env": run.wrap_env}, **vec)) as envs:
        (observations, infos), stats = envs.reset(), []
        while steps < args.steps:
            rollout = []
            for _ in range(32):
                probs = Categorical(logits=policy(torch.tensor(observations)))
                actions = probs.sample()
                observations, rewards, terminals, truncations, infos = envs.step(actions.numpy())
                run.publish(steps := steps + len(observations))
                over = torch.tensor(terminals | truncations)
                rollout.append((probs.log_prob(actions), torch.tensor(rewards), over))
                stats = [info for info in infos if "episode_return" in info] or stats
            logprobs, returns, over = map(torch.stack, zip(*rollout, strict=True))
            for t in reversed(range(len(returns) - 1)):
                returns[t] += 0.99 * ~over[t] * returns[t + 1]
            optimizer.zero_grad()
            (-(logprobs * (returns - returns.mean()) / returns.std()).mean()).backward()
            optimizer.step()
            torch.save({"policy": policy.state_dict(), "run": run.state_dict()}, "pufferlib_example.pt")
    print(f"stats: {stats[-1]}")
    env = make_env(run.wrap_eval_env)
    env.reset()
    while not env.done:
        *_, info = env.step(policy(torch.tensor(env.observations)).argmax(1).numpy())
    print(
        f"{steps} steps: return {info['episode_return']}, gravity {info['curriculum/gravity']} in evaluation"
    )

# run = traincast.Run("cluster")                  # all ranks share it; rank 0 publishes
# traincast.relay.join(run)                       # in every rank: one relay on each node
# env = run.wrap_env(make_env())                  # on whichever node it runs
"""CartPole whose gravity grows with the steps of all ranks: policy gradients, averaged over nodes.

export TRAINCAST_KEY=...                      # the same secret on all nodes
torchrun --nnodes 2 --nproc-per-node 1 --node-rank 0 --master-addr NODE0 cluster_torchrun.py  # on NODE0
torchrun --nnodes 2 --nproc-per-node 1 --node-rank 1 --master-addr NODE0 cluster_torchrun.py  # on the other
"""

import argparse

import gymnasium
import torch
import torch.distributed as dist
from torch import nn

import traincast
from traincast.curriculum import Linear, ProgressCurriculum

EPISODES = 4  # of each rank, for one update


def make_env(steps):
    env = gymnasium.make("CartPole-v1", max_episode_steps=200)
    return ProgressCurriculum(env, {"gravity": Linear(2.0, 9.8, steps)})


def play(env, policy):
    """Return the loss of an episode, its length, and the gravity in it."""
    observation, info = env.reset()
    log_probabilities, ended = [], False
    while not ended:
        choice = torch.distributions.Categorical(logits=policy(torch.as_tensor(observation)))
        action = choice.sample()
        log_probabilities.append(choice.log_prob(action))
        observation, _, terminated, truncated, info = env.step(action.item())
        ended = terminated or truncated
    length = len(log_probabilities)
    to_go = torch.arange(length, 0, -1, dtype=torch.float32)  # CartPole's reward is 1 at each step
    advantage = (to_go - to_go.mean()) / (to_go.std(unbiased=False) + 1)
    return -(torch.stack(log_probabilities) * advantage).mean(), length, info["curriculum"]["gravity"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20_000)
    args = parser.parse_args()

    dist.init_process_group("gloo")
    run = traincast.Run("cluster")
    traincast.relay.join(run)
    env = run.wrap_env(make_env(args.steps))

    torch.manual_seed(0)  # the same policy on all ranks
    policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    torch.manual_seed(dist.get_rank())  # but different episodes
    steps = 0
    while steps < args.steps:
        losses, lengths, gravities = zip(*(play(env, policy) for _ in range(EPISODES)), strict=True)
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        for parameter in policy.parameters():
            dist.all_reduce(parameter.grad)  # to Adam, a sum and a mean are the same
        optimizer.step()
        played = torch.tensor(sum(lengths))
        dist.all_reduce(played)
        steps += played.item()
        run.publish(steps)
        print(
            f"rank {dist.get_rank()}: {steps:>7,} steps   gravity {gravities[-1]:.2f}   "
            f"return {sum(lengths) / EPISODES:.0f}",
            flush=True,
        )
    dist.destroy_process_group()
    run.close()


if __name__ == "__main__":
    main()

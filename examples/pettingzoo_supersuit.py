# run = traincast.Run("pettingzoo_supersuit", training_info={"n_catch": 1})
# vector = supersuit.pettingzoo_env_to_vec_env_v1(run.wrap_env(env))      # before SuperSuit's converters
# run.publish(model.num_timesteps, n_catch=...)                           # in a callback of SB3
import argparse
from contextlib import closing

import pettingzoo
import supersuit
from pettingzoo.utils.wrappers import BaseParallelWrapper
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

import traincast
from traincast.curriculum import Milestones


class Pursuit(BaseParallelWrapper):
    """Pursuers catch evaders; the learner says how many pursuers it takes to catch one."""

    def __init__(self):
        small = {"max_cycles": 40, "x_size": 8, "y_size": 8, "n_pursuers": 4, "n_evaders": 6}
        super().__init__(pettingzoo.make("parallel", "sisl/pursuit-v5", **small))

    def set_training_info(self, training_info):
        self.unwrapped.env.n_catch = training_info["n_catch"]


def make_vec_env(env, copies, processes):
    vector = supersuit.pettingzoo_env_to_vec_env_v1(env)
    return supersuit.concat_vec_envs_v1(vector, copies, num_cpus=processes, base_class="stable_baselines3")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--total-timesteps", type=int, default=20_000)
    parser.add_argument("--resume", help="a model to resume from: pettingzoo_supersuit.zip")
    args = parser.parse_args()
    n_catch = Milestones(1, ((4_000, 2),))
    start = PPO.load(args.resume).num_timesteps if args.resume else 0
    run = traincast.Run("pettingzoo_supersuit", start=start, training_info={"n_catch": n_catch(start)})

    def publish(locals_, globals_):
        run.publish(model.num_timesteps, n_catch=n_catch(model.num_timesteps))
        model.logger.record("curriculum/n_catch", n_catch(model.num_timesteps))
        return True

    with closing(
        make_vec_env(run.wrap_env(Pursuit()), 4, 2)
    ) as envs:  # otherwise its processes would survive an exception
        if args.resume:
            model = PPO.load(args.resume, envs)
        else:
            model = PPO("MlpPolicy", envs, n_steps=64, tensorboard_log="runs")
        while model.num_timesteps < args.total_timesteps:
            model.learn(2_048, callback=publish, reset_num_timesteps=False)
            model.save("pettingzoo_supersuit")
    eval_envs = make_vec_env(run.wrap_eval_env(Pursuit()), 1, 0)
    mean, _ = evaluate_policy(model, eval_envs, n_eval_episodes=8, warn=False)
    print(f"{run.steps} steps: return {mean} in evaluation, n_catch {n_catch(run.steps)}")

# PPO learns to balance a pole while gravity grows. Three lines do it:
#
#     info = TrainingInfoCallback(start=...)
#     venv = make_vec_env(make_env, 4, wrapper_class=info.wrap_env, vec_env_cls=SubprocVecEnv)
#     model.learn(steps, callback=info)
#
# To resume from a checkpoint: --resume checkpoints/rl_model_4096_steps.zip
import argparse
import multiprocessing

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import SubprocVecEnv

from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.stable_baselines3 import TrainingInfoCallback

EARTH = 10_000  # training steps until gravity is the earth's


def make_env() -> gymnasium.Env:
    return ProgressCurriculum(gymnasium.make("CartPole-v1"), {"gravity": Linear(2.0, 9.8, EARTH)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=10_240)
    parser.add_argument("--resume", help="the checkpoint to resume from")
    args = parser.parse_args()

    multiprocessing.set_forkserver_preload(["stable_baselines3"])  # or each worker takes seconds to import it
    model = PPO.load(args.resume) if args.resume else None
    info = TrainingInfoCallback(start=model.num_timesteps if model else 0)
    venv = make_vec_env(make_env, 4, wrapper_class=info.wrap_env, vec_env_cls=SubprocVecEnv)
    on_earth = {"training_info": {"approx_total_training_steps": EARTH}}
    eval_env = make_vec_env(
        make_env, 1, wrapper_class=info.wrap_eval_env, wrapper_kwargs=on_earth, vec_env_cls=SubprocVecEnv
    )
    if model:
        model.set_env(venv)
    else:
        model = PPO("MlpPolicy", venv, n_steps=256, batch_size=256, tensorboard_log="logs", device="cpu")

    callbacks = [info, CheckpointCallback(512, "checkpoints"), EvalCallback(eval_env, eval_freq=1024)]
    model.learn(args.steps, callback=callbacks, reset_num_timesteps=False)

    mean, deviation = evaluate_policy(model, eval_env)
    gravity = venv.get_attr("values")[0]["gravity"]
    print(
        f"{info.run.steps} steps, gravity up to {gravity:.1f}; return on earth: {mean:.0f} ± {deviation:.0f}"
    )
    venv.close()
    eval_env.close()


if __name__ == "__main__":
    main()

# Sample Factory, fed from shared memory. The lines that matter:
#     register_env("cartpole", wrap_env_func(make_env))  # was: register_env("cartpole", make_env)
#     run_rl(cfg)                                        # was: sample_factory.train.run_rl(cfg)
#     enjoy(cfg)                                         # sees what the training saved last
"""CartPole whose gravity grows with the training; Sample Factory's own arguments go on the command line."""

import sys

import gymnasium
from sample_factory.algo.utils.misc import ExperimentStatus
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.enjoy import enjoy
from sample_factory.envs.env_utils import register_env

from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.sample_factory import load_training_info, run_rl, wrap_env_func

ARGUMENTS = [
    *("--env=cartpole", "--experiment=gravity", "--device=cpu", "--train_for_env_steps=40000"),
    *("--num_workers=2", "--num_envs_per_worker=4", "--rollout=32", "--batch_size=512", "--use_rnn=False"),
    *("--learning_rate=0.001", "--encoder_mlp_layers", "64", "64", "--experiment_summaries_interval=2"),
    *("--with_vtrace=False", "--decorrelate_experience_max_seconds=0", "--use_env_info_cache=False"),
]


def make_env(full_env_name, cfg, env_config=None, render_mode=None):
    env = gymnasium.make("CartPole-v1", render_mode=render_mode)
    return ProgressCurriculum(env, {"gravity": Linear(2.0, 9.8, cfg.full_gravity_after)})


def configuration(arguments, evaluation=False):
    parser, _ = parse_sf_args(arguments, evaluation=evaluation)
    parser.add_argument("--full_gravity_after", type=int, default=30_000, help="training steps")
    return parse_full_cfg(parser, arguments)


def main():
    register_env("cartpole", wrap_env_func(make_env))
    arguments = [*ARGUMENTS, *sys.argv[1:]]
    status = run_rl(configuration(arguments))
    if status != ExperimentStatus.SUCCESS:
        return status
    cfg = configuration([*arguments, "--no_render", "--max_num_episodes=10"], evaluation=True)
    _, average_return = enjoy(cfg)
    steps = load_training_info(cfg)["approx_total_training_steps"]
    gravity = Linear(2.0, 9.8, cfg.full_gravity_after)(steps)
    print(f"{steps} training steps; average return {average_return:.0f} at a gravity of {gravity:.1f}")
    return status


if __name__ == "__main__":
    sys.exit(main())

"""The study: what late curriculum information costs, in env steps until a task is solved.

- `tasks`: what is learned: a lock, MiniGrid's MultiRoom, MountainCar, each with levels of a reverse
  curriculum.
- `arms`: how the level gets from the learner to the envs, and results back: traincast, others' channels,
  delays of a stated number of env steps, controls.
- `learners`: tabular Q-learning. `shared`: what all processes see: the clock in env steps, the level, the
  values.
- `worker`, `training`: the processes. `ppo`, `ppo_envs`: the same question with Stable-Baselines3's
  PPO.
- `job`: one training, in a process and an environment of its own. `plan`: which trainings there are.
- `results`: JSON lines, to which trainings append. `figures`: what is computed from them.
- `live`, `table`, `picture`, `page`: what is shown of it.

`make study` and `make study-full` run `python -m benches.study`.
"""

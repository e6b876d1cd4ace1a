"""The study: what late curriculum information costs, in env steps until a task is solved.

- `tasks`: the tasks to learn: a lock, MiniGrid's MultiRoom, MountainCar, each with levels of a reverse
  curriculum.
- `arms`: ways in which the level gets from the learner to the envs, and results back: traincast, other
  channels, delays of a stated number of env steps, controls.
- `learners`: tabular Q-learning. `shared`: what all processes share: the clock in env steps, the level, the
  values.
- `worker`, `training`: the processes. `ppo`, `ppo_envs`: the same question with Stable-Baselines3's PPO.
- `job`: one training, in a process and an environment of its own. `plan`: the list of trainings.
- `results`: JSON lines, to which trainings append. `figures`: the statistics of them.
- `live`, `table`, `picture`, `page`: how progress and results are shown.

`make study` and `make study-full` run `python -m benches.study`.
"""

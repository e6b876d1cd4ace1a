"""The demo: an agent learns MountainCar with a curriculum driven by broadcast progress, but not without it.

- `settings`: the numbers of the experiment
- `envs`: MountainCar with a sparse reward and a head start, wrapped as any user would wrap it
- `values`: the learning algorithm, Q-learning with tile coding
- `worker`: a worker process: plays episodes and sends them to the learner
- `learner`: one learner: learns from episodes and publishes
- `record`, `summary`: what happened in a run, and in an arm, for the display and the report
- `training`: starts the workers, runs all learners, and cleans up
- `display`: progress on a terminal, or as plain lines
- `report`, `picture`: the table, or JSON, and the PNG at the end

`traincast demo` runs it. Nothing is imported here, so that a worker process loads only what it needs.
"""

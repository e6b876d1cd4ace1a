"""What telling the envs costs in each framework: the learner's blocked time, and what is added to a reset.

One module per framework: `costs()` measures our way beside the ways that the framework's users have today,
with worker processes, in one run. `python -m benches.frameworks` measures them all and writes the table of
the documentation. It runs in `.venv-frameworks`.
"""

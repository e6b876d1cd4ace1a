"""What telling the envs costs in each framework: how long the learner is blocked, and a reset delayed.

There is one module per framework, whose `costs()` measures our way beside the ways that users of the
framework have today, with worker processes, in one run. `python -m benches.frameworks` measures all of them
and writes the table of the documentation. It runs in `.venv-frameworks`.
"""

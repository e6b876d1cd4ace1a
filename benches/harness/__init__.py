"""How to measure: nothing in here knows what is measured."""

from pathlib import Path

ROOT = Path(__file__).parents[2]  # the folder in which to start `python -m benches…`

"""How it is measured. Nothing in here knows what."""

from pathlib import Path

ROOT = Path(__file__).parents[2]  # where `python -m benches…` has to be started

"""A long run under a load that keeps changing: memory, descriptors, mappings and files stay flat.

`python -m tests.soak --seconds 1800` runs it from the checkout's root, in an environment with the wheel.
"""

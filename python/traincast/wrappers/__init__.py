"""Wrappers that deliver the newest training information to envs: one module for each kind of env."""

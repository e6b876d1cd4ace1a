"""Wrappers that give envs the newest training information: one module for each kind of env."""

"""Curricula: what an env is like follows the training progress, or the performance of its agent."""

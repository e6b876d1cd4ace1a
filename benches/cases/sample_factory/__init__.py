"""Runs of Sample Factory, with its own queue and with traincast. They need its environment, `.venv-sf`."""

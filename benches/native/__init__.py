"""What reading costs envs in C: the header beside a Python reader's key, the example with and without."""

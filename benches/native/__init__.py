"""What envs in C pay: the header beside the key of a Python reader, and the example with it and without."""

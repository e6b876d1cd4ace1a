"""Drop-ins for RL frameworks: the framework's own extension points on both sides, nothing patched."""

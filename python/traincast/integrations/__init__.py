"""Integrations with RL frameworks, by the frameworks' own extension points; nothing is patched."""

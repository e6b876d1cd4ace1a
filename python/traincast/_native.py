"""Where the header for envs in C and C++ is."""

from __future__ import annotations

from pathlib import Path

__all__ = ["cflags", "get_include"]


def get_include() -> str:
    """Return the directory that holds `traincast.h`, for the compiler's `-I`.

    Example: `Extension("env", ["env.c"], include_dirs=[traincast.get_include()])` in a `setup.py`. In a
    Makefile use `$(shell python -m traincast --cflags)`.
    """
    return str(Path(__file__).parent / "include")


def cflags() -> str:
    """Return the compiler's arguments, quoted for a shell."""
    import shlex

    return shlex.quote(f"-I{get_include()}")

"""What to say when an optional package is missing."""

from __future__ import annotations

__all__ = ["missing"]


def missing(error: ModuleNotFoundError, package: str, extra: str, what: str) -> ModuleNotFoundError:
    """Return the error that names the install command; `error` itself if another package is missing."""
    if error.name != package:
        return error
    return ModuleNotFoundError(f"{what} needs {package}: pip install 'traincast[{extra}]'", name=package)

"""Errors for optional packages that are missing."""

from __future__ import annotations

from importlib import import_module

__all__ = ["missing", "require"]


def missing(error: ModuleNotFoundError, package: str, extra: str, what: str) -> ModuleNotFoundError:
    """Return the error that names the install command; `error` itself if another package is missing."""
    if error.name != package:
        return error
    return ModuleNotFoundError(f"{what} needs {package}: pip install 'traincast[{extra}]'", name=package)


def require(package: str, extra: str, what: str) -> None:
    """Import `package`, or raise the error that names the install command."""
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        raise missing(error, package, extra, what) from None

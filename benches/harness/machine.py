"""The machine and the versions with which something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not there"
    return done.stdout.strip().splitlines()[0]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def describe() -> dict[str, Any]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cpuinfo = Path("/proc/cpuinfo").read_text()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "virtual machine": " hypervisor" in cpuinfo,
        "memory GiB": round(pages / 2**30),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "C library": " ".join(platform.libc_ver()),
        "Python": f"{platform.python_version()}, {platform.python_compiler()}",
        "rustc": _said("rustc", "--version"),
    }


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the versions of what is installed; for a peer that failed to install, the reason."""
    failed = Path(sys.prefix) / "failed-peers.txt"
    found = {name: _version(name) for name in distributions}
    if failed.exists():
        for line in failed.read_text().splitlines():
            requirement, _, reason = line.partition("\t")
            found[requirement.partition("==")[0]] = f"not installed: {reason}"
    return found


def load() -> float:
    """Runnable processes, averaged over a minute: beyond the number of cores they wait for each other."""
    return round(os.getloadavg()[0], 2)

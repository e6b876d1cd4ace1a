"""Names of runs: unique ones, legal ones, and the one that all ranks of a launcher agree on."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import time
import unicodedata
from collections import Counter
from pathlib import Path

__all__ = ["base_of", "is_unique", "legal_name", "rank", "start_of", "unique_name"]

_MAX = 128  # characters of a channel name
_UNIQUE = re.compile(r".*-(\d{8}-\d{6}-[0-9a-f]{6}|job-[0-9a-f]{12})")
_TOLD = ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")
_made: Counter[str] = Counter()


def legal_name(name: str) -> str:
    """Return `name` as a legal channel name: `"ALE/Pong"` gives `"ALE-Pong"`.

    Raises:
        TypeError: `name` is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a run is a string, not {name!r}")
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip(".-").rstrip("-")[:_MAX] or "run"


def unique_name(name: str | None, *, per_rank: bool = False) -> str:
    """Return a name that no other living run has: `name` (None: the program's), the time and a random number.

    Under a launcher with several ranks (`RANK` and `WORLD_SIZE`, as torchrun sets them) all ranks get the
    same name, unless `per_rank` is set. It is then derived from what the launcher told them, and from how
    many runs of that name each rank has made.
    """
    base = legal_name(_program() if name is None else name)
    launch = None if per_rank else _launch()
    if launch is None:
        mark = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    else:
        _made[base] += 1
        mark = f"job-{hashlib.sha256(f'{launch}/{_made[base]}'.encode()).hexdigest()[:12]}"
    return f"{base[: _MAX - len(mark) - 1]}-{mark}"


def is_unique(name: str) -> bool:
    """Tell if `unique_name` made it."""
    return _UNIQUE.fullmatch(name) is not None


def base_of(name: str) -> str:
    """Return the base of a name that `unique_name` made; any other name as it is."""
    found = _UNIQUE.fullmatch(name)
    return name[: found.start(1) - 1] if found else name


def rank() -> int:
    """Return the rank of this process under torchrun or alike, else 0."""
    try:
        return int(os.environ["RANK"]) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else 0
    except (KeyError, ValueError):
        return 0


def _program() -> str:
    path = Path(sys.argv[0] if sys.argv else "")
    if path.stem == "__main__":  # python -m package
        return path.parent.name
    if path.stem == "ipykernel_launcher":
        return "notebook"
    return "run" if path.name in ("", "-c", "-m") else path.stem


def _launch() -> str | None:
    """Return what all ranks of one launch share, and no other running launch; None without a launcher.

    A later launch on the same port gets the same names. Then rank 0 starts the channels anew, and the other
    ranks do not attach to what the earlier launch left.
    """
    try:
        world = int(os.environ["WORLD_SIZE"])
        int(os.environ["RANK"])
    except (KeyError, ValueError):
        return None
    if world <= 1:
        return None
    told = [os.environ.get(name, "") for name in _TOLD]
    if not os.environ.get("MASTER_PORT"):  # then take the ranks for children of one process
        told.append(f"{os.getppid()}-{start_of(os.getppid())}")
    return "/".join(told)


def start_of(pid: int) -> str:
    """Return the start time of a process in clock ticks, because pids are reused; "" if it has ended.

    A zombie, which its parent has not waited for yet, has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""

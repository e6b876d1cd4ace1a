"""What a process, and the channel directory, hold at one moment."""

from __future__ import annotations

from pathlib import Path

import psutil

KIB = 1024


def of_process(pid: int, directory: Path) -> dict[str, int]:
    """Memory in KiB, from the page tables themselves: the kernel's running counts are rounded per core."""
    process = psutil.Process(pid)
    mappings = process.memory_maps(grouped=False)
    channels = [mapping for mapping in mappings if mapping.path.startswith(f"{directory}/")]
    return {
        "memory": sum(mapping.rss for mapping in mappings) // KIB,
        "own memory": sum(mapping.anonymous for mapping in mappings) // KIB,
        "memory of channels": sum(mapping.rss for mapping in channels) // KIB,
        "descriptors": process.num_fds(),
        "mappings": len(mappings),
        "mappings of channels": len(channels),
        "threads": process.num_threads(),
    }


def of_directory(directory: Path) -> dict[str, int]:
    stats = [path.stat() for path in directory.iterdir()]
    return {"files": len(stats), "KiB": sum(stat.st_blocks for stat in stats) * 512 // KIB}

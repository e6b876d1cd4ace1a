"""Examples that write checkpoints: several at once in one channel directory, killed and resumed."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from recordings import Program, Recording

from traincast._core import leftovers, remove_leftover


class Checkpointed(Program):
    """An example in a folder of its own, with its channels in a directory that others may share."""

    def __init__(self, example: str, folder: Path, channels: Path, checkpoints: str) -> None:
        folder.mkdir()
        super().__init__(example, folder)
        self.channels = channels
        self._pattern = checkpoints

    def start(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        return super().start(*args, TRAINCAST_DIR=str(self.channels), **environ)

    @property
    def checkpoints(self) -> list[Path]:
        """From the oldest to the newest."""
        return sorted(self.directory.glob(self._pattern), key=lambda file: file.stat().st_mtime_ns)

    def wait_for_checkpoints(self, count: int, process: subprocess.Popen[str]) -> None:
        while len(self.checkpoints) < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)


def clean(directory: Path) -> None:
    """Remove what `traincast clean` removes; its command line is not installed beside the frameworks."""
    for file in leftovers(directory=directory):
        remove_leftover(file["path"], directory=directory)  # one may take others of its channel along


def only(recording: Recording, runs: set[str]) -> Recording:
    """What belongs to some of several runs of a program."""
    return Recording(
        recording.output,
        [event for event in recording.publishes if event["run"] in runs],
        [event for event in recording.resets if event["run"] in runs],
    )

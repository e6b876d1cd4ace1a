"""A third process writes into a live segment and its roster, while a writer publishes and readers read.

Readers get an exception that says so, or a whole snapshot; no process crashes, hangs or uses memory beyond a
limit; and afterwards all of them go on. Bytes of values carry no checksum: where those are hit too, the test
uses what a reader gets, and does not compare it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from segment_file import (
    BLOB_WORDS,
    FIRST_SLOT,
    FUTEX,
    HEAD,
    MASK,
    PAYLOAD,
    SHAPE_LEN,
    SLOTS,
    VALUES_LEN,
    SegmentFile,
)

import traincast

SECONDS = float(os.environ.get("TRAINCAST_FUZZ_SECONDS", "5"))
READERS = 2
PEAK_MIB = 200  # a reader has about 45

WRITER = """
import select, sys, time
import numpy as np
import traincast
with traincast.TrainingInfoWriter("flipped", capacity=8192) as writer:
    steps = 0
    def publish(**more):
        global steps
        steps += 1
        writer.publish({
            "approx_total_training_steps": steps,
            "text": str(steps) * (steps % 7),
            "list": [steps, (float(steps), str(steps)), None],
            "array": np.full(16, steps),
            **more,
        })
    publish()
    print("ready", flush=True)
    def renew():
        # A slot that holds a shape already is not given its bytes again: spoiled ones would stay so.
        for _ in range(4):
            writer.publish({"approx_total_training_steps": steps})
        for _ in range(4):
            publish()
    while not select.select([sys.stdin], [], [], 0)[0]:
        publish()
        if steps % 64 == 0:
            renew()
        time.sleep(0.0002)
    # A key that was spoiled when a reader met it stays with its structure's number: the last one is new.
    publish(mended=True)
    print(steps, flush=True)
    sys.stdin.readline()
    sys.stdin.readline()
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert answer(process) == "ready"
    return process


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, f"a process has died: status {process.wait()}"
    return line


def tell(process: subprocess.Popen[str], closing: bool = False) -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()
    if closing:
        process.stdin.close()


def flip(file: SegmentFile, roster: SegmentFile, chance: random.Random, payload: bool) -> None:
    """Spoils one word, or mends the words that no writer ever writes again."""

    def spoiled(word: int) -> int:
        return chance.choice(
            [
                word ^ 1 << chance.randrange(64),
                (word + chance.randrange(-9, 10)) & MASK,
                chance.randrange(10),
                MASK - chance.randrange(10),
                chance.getrandbits(64),
            ]
        )

    slot = FIRST_SLOT + chance.randrange(SLOTS) * file.stride
    if chance.random() < 0.5:
        slot = file.slot(file.newest())
    where = chance.randrange(7)
    if where == 0:
        words, at = file.words, chance.randrange(HEAD)
        sound = words[at]
        words[at] = spoiled(sound)
        time.sleep(0.002)
        words[at] = sound
        return
    if where == 1:
        words, at = file.words, chance.choice([HEAD, HEAD, 80, 81, 82])
    elif where == 2:
        words, at = roster.words, chance.choice([0, 1, 8, chance.randrange(len(roster.words))])
    elif where < 6 or not payload:
        # Epoch and shape id identify a shape: a reader would take the shape that it knows under a changed
        # one. The lengths are checked.
        words, at = file.words, slot + chance.choice([0, 1, 2, SHAPE_LEN, VALUES_LEN, BLOB_WORDS])
    else:
        words, at = file.words, slot + chance.randrange(3, PAYLOAD + 60)
    assert at != FUTEX or words is not file.words
    words[at] = spoiled(words[at])


@pytest.mark.parametrize("payload", [False, True], ids=["around the values", "values too"])
def test_flips_in_a_live_segment_harm_no_process(traincast_dir: Path, payload: bool) -> None:
    seed = int(os.environ.get("TRAINCAST_FUZZ_SEED", "20"))
    chance = random.Random(seed)
    writer = start("-c", WRITER)
    script = str(Path(__file__).with_name("victim.py"))
    readers = [start(script, "flipped", "run", *([] if payload else ["whole"])) for _ in range(READERS)]
    flips = 0
    with (
        SegmentFile(traincast_dir / "flipped@0") as file,
        SegmentFile(traincast_dir / "flipped@0.roster") as roster,
    ):
        end = time.monotonic() + SECONDS
        sound, rows = list(file.words[:HEAD]), list(roster.words[:2])
        while time.monotonic() < end:
            for _ in range(chance.randrange(1, 20)):
                flip(file, roster, chance, payload)
                flips += 1
            time.sleep(chance.choice([0, 0.0003, 0.003]))
        for at, word in enumerate(sound):
            file.words[at] = word
        for at, word in enumerate(rows):
            roster.words[at] = word
    tell(writer)
    last = int(answer(writer))
    for reader in readers:
        tell(reader)
        counts = json.loads(answer(reader))
        print(f"{flips} flips; a reader: {counts}")
        assert counts["last"] == last
        assert counts["reads"] > 0
        assert counts["peak MiB"] < PEAK_MIB
        assert reader.wait() == 0
    assert traincast._core.list_channels()[0]["status"] == "live"
    tell(writer, closing=True)
    assert writer.wait() == 0
    for process in (writer, *readers):
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
    assert list(traincast_dir.iterdir()) == []

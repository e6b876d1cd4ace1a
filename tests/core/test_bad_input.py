"""Names, arguments and uses that are refused: the exception, its message, and that nothing else changed."""

from __future__ import annotations

import copy
import errno
import pickle
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from processes import Process
from snapshots import info

import traincast

RULE = "a channel name has 1 to 128 of the characters A-Z a-z 0-9 . _ - and does not start with a dot"
BAD_NAMES = {
    "slash": ("a/b", "the channel name \"a/b\" is not allowed: it contains '/'"),
    "absolute": ("/etc/passwd", "the channel name \"/etc/passwd\" is not allowed: it contains '/'"),
    "parent": ("..", 'the channel name ".." is not allowed: it starts with a dot'),
    "up": ("../x", 'the channel name "../x" is not allowed: it starts with a dot'),
    "hidden": (".hidden", 'the channel name ".hidden" is not allowed: it starts with a dot'),
    "NUL": ("a\0b", "the channel name \"a\\0b\" is not allowed: it contains '\\0'"),
    "newline": ("a\n", "the channel name \"a\\n\" is not allowed: it contains '\\n'"),
    "empty": ("", 'the channel name "" is not allowed: it is empty'),
    "long": ("x" * 129, f'the channel name "{"x" * 128}" is not allowed: it has 129 bytes'),
    "at": ("a@0", "the channel name \"a@0\" is not allowed: it contains '@'"),
    "space": ("a b", "the channel name \"a b\" is not allowed: it contains ' '"),
    "umlaut": ("ä", "the channel name \"ä\" is not allowed: it contains 'ä'"),
}


@pytest.mark.parametrize(("name", "sentence"), BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize("kind", [traincast.TrainingInfoWriter, traincast.TrainingInfoReader])
def test_an_illegal_name_is_refused_with_the_rule(
    kind: Any, name: str, sentence: str, traincast_dir: Path
) -> None:
    for expected in (traincast.InvalidNameError, ValueError, traincast.TraincastError):
        with pytest.raises(expected, match=f"^{re.escape(f'{sentence}; {RULE}')}$"):
            kind(name)
    assert list(traincast_dir.iterdir()) == []


@pytest.mark.parametrize("kind", [traincast.TrainingInfoWriter, traincast.TrainingInfoReader])
def test_a_name_with_a_lone_surrogate_is_refused(kind: Any, traincast_dir: Path) -> None:
    with pytest.raises(traincast.InvalidNameError, match="is not allowed: it holds a lone surrogate"):
        kind("a\udc80")
    assert list(traincast_dir.iterdir()) == []


@pytest.mark.parametrize("policy_id", [-1, 65536, 2**40, -(2**63), 2**63, -(2**63) - 1, 2**64])
@pytest.mark.parametrize("kind", [traincast.TrainingInfoWriter, traincast.TrainingInfoReader])
def test_a_policy_id_out_of_range_is_refused(channel_name: str, kind: Any, policy_id: int) -> None:
    sentence = f"^policy_id {policy_id} is not allowed: use a number from 0 to 65535$"
    with pytest.raises(traincast.InvalidNameError, match=sentence):
        kind(channel_name, policy_id)
    with pytest.raises(ValueError, match=sentence):
        kind(channel_name, policy_id=policy_id)


@pytest.mark.parametrize(
    "arguments", [(None,), (b"name",), (1,), ("name", "0"), ("name", 0.5), ("name", None), ()]
)
@pytest.mark.parametrize("kind", [traincast.TrainingInfoWriter, traincast.TrainingInfoReader])
def test_arguments_of_wrong_types_are_type_errors(kind: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        kind(*arguments)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"capacity": 0}, "capacity=0 and max_capacity=67108864 do not fit together: use 1 <= capacity <= "),
        (
            {"max_capacity": 4096},
            "capacity=65536 and max_capacity=4096 do not fit together: use 1 <= capacity",
        ),
        (
            {"capacity": 2**41, "max_capacity": 2**41},
            "do not fit together: use 1 <= capacity <= max_capacity <= ",
        ),
        ({"leftover": "keep"}, 'leftover="keep" is unknown; use "continue", "replace" or "refuse"'),
    ],
)
def test_impossible_options_are_refused(
    channel_name: str, options: dict[str, Any], sentence: str, traincast_dir: Path
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        traincast.TrainingInfoWriter(channel_name, **options)
    assert list(traincast_dir.iterdir()) == []


def test_required_keys_cannot_be_given_as_one_string(channel_name: str) -> None:
    """`required="steps"` would mean the keys s, t, e, p, s."""
    with pytest.raises(TypeError):
        traincast.TrainingInfoWriter(channel_name, required="steps")


def test_options_are_keyword_only(channel_name: str) -> None:
    with pytest.raises(TypeError, match="positional"):
        traincast.TrainingInfoWriter(channel_name, 0, 65536)  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        traincast.TrainingInfoReader(channel_name, 0, 1.0)  # type: ignore[misc]


# --- who may do what


def test_a_second_writer_in_this_process_is_refused(channel_name: str) -> None:
    writer, line = traincast.TrainingInfoWriter(channel_name), sys._getframe().f_lineno
    for published in (False, True):
        if published:
            writer.publish(info(a=1))
        for leftover in ("continue", "replace", "refuse"):
            for expected in (traincast.ChannelBusyError, BlockingIOError):
                with pytest.raises(expected) as caught:
                    traincast.TrainingInfoWriter(channel_name, leftover=leftover)
                message = str(caught.value)
                assert message.startswith(
                    f'channel "{channel_name}" (policy 0) has a live writer in this process, '
                )
                assert f"opened at {__file__}:{line}; " in message
    assert writer.update(a=2) == 2
    assert traincast.TrainingInfoReader(channel_name)["a"] == 2
    with Process() as other, pytest.raises(traincast.ChannelBusyError):  # the lock is still held
        other.run(f"traincast.TrainingInfoWriter({channel_name!r})")
    writer.close()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        assert writer.publish(info()) == 1


def test_a_second_writer_in_another_process_is_refused(channel_name: str) -> None:
    with Process() as other, traincast.TrainingInfoWriter(f"{channel_name}-mine") as mine:
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        for published in (False, True):
            if published:
                other.call("writer.publish", info(a=1))
            for leftover in ("continue", "replace", "refuse"):
                with pytest.raises(traincast.ChannelBusyError) as caught:
                    traincast.TrainingInfoWriter(channel_name, leftover=leftover)
                assert str(caught.value) == (
                    f'channel "{channel_name}" (policy 0) has a live writer: process {other.pid}; '
                    "close that one, or use another name"
                )
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader.writer_alive
        assert other.call("writer.publish", info(a=2)) == 2
        assert reader["a"] == 2
        mine.publish(info())
        other.kill()
        with traincast.TrainingInfoWriter(channel_name) as writer:
            assert writer.update(a=3) == 3
            assert reader["a"] == 3


def test_a_closed_writer_refuses_to_publish(channel_name: str) -> None:
    writer = traincast.TrainingInfoWriter(channel_name)
    writer.publish(info(a=1))
    state = writer.state_dict()
    reader = traincast.TrainingInfoReader(channel_name)
    writer.close()
    sentence = (
        f'^this writer of channel "{channel_name}" \\(policy 0\\) is closed; make a new one to publish again$'
    )
    uses: list[Any] = [
        lambda: writer.publish(info()),
        lambda: writer.publish({}),
        lambda: writer.publish(info(a=set())),
        lambda: writer.update(a=1),
        lambda: writer.update(),
        lambda: writer.load_state_dict(state),
    ]
    for use in uses:
        for expected in (traincast.ChannelClosedError, ValueError):
            with pytest.raises(expected, match=sentence):
                use()
    assert (writer.version, writer.epoch) == (1, 1)
    assert reader["a"] == 1
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=2))
        time.sleep(0.02)  # it looks for a successor every 10 ms
        assert reader["a"] == 2


def test_a_missing_channel_is_an_error_that_names_the_directory(
    channel_name: str, traincast_dir: Path
) -> None:
    sentence = (
        f'there is no channel "{channel_name}" (policy 7) in {traincast_dir}: '
        "its writer has not published yet, has closed it, or uses another directory (as another user, "
        "container or job may: set TRAINCAST_DIR to one that both see)"
    )
    for expected in (traincast.ChannelNotFoundError, FileNotFoundError, OSError):
        with pytest.raises(expected, match=f"^{re.escape(sentence)}$"):
            traincast.TrainingInfoReader(channel_name, 7)
    with traincast.TrainingInfoWriter(channel_name, 7) as writer:
        with pytest.raises(traincast.ChannelNotFoundError, match=f"^{re.escape(sentence)}$"):
            traincast.TrainingInfoReader(channel_name, 7)
        writer.publish(info(a=1))
        assert traincast.TrainingInfoReader(channel_name, 7)["a"] == 1
        with pytest.raises(traincast.ChannelNotFoundError, match=r"\(policy 0\)"):
            traincast.TrainingInfoReader(channel_name)
    with pytest.raises(traincast.ChannelNotFoundError, match=f"^{re.escape(sentence)}$"):
        traincast.TrainingInfoReader(channel_name, 7)


EXCEPTIONS = [
    value
    for value in vars(traincast.errors).values()
    if isinstance(value, type) and issubclass(value, Exception)
]


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_exceptions_survive_pickling(kind: Any) -> None:
    """They cross process borders: multiprocessing sends them to whoever waits for a result."""
    error = kind("the sentence")
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(copied) is kind
        assert str(copied) == "the sentence"
        assert copied.args == error.args
    if kind is traincast.StorageFullError:
        assert copied.errno == errno.ENOSPC

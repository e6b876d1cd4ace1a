"""What is made once and kept: a child forked meanwhile does not wait for the thread that was making it."""

from __future__ import annotations

import numpy as np
import pytest
from processes import Process

import traincast

# Calls that make something at their first use, and what they raise. `name` is that of a new channel, `filled`
# that of one with arrays.
FIRST_USES = {
    "writer": ("partial(traincast.TrainingInfoWriter, name)", "()"),
    "int beyond 64 bits": ("publish({'a': 2**100})", "()"),
    "array": ("publish({'a': np.zeros(3)})", "()"),
    "numpy scalar": ("publish({'a': np.float32(1)})", "()"),
    "subclass of int": ("publish({'a': Int(1)})", "()"),
    "subclass of float": ("publish({'a': Float(1)})", "()"),
    "subclass of str": ("publish({'a': Str('s')})", "()"),
    "mapping": ("publish({'a': types.MappingProxyType({'b': 1})})", "()"),
    "mapping as root": ("publish(types.MappingProxyType({'a': 1}))", "()"),
    "enum": ("publish({'a': Phase.EASY, Phase.EASY: 1})", "()"),
    "dataclass": ("publish({'a': Settings(1)})", "()"),
    "buffer": ("publish({'a': bytearray(b'x')})", "()"),
    "numpy key": ("publish({'a': 1, np.int8(1): 2})", "()"),
    "array of ml_dtypes": ("publish({'a': np.zeros(3, ml_dtypes.bfloat16)})", "()"),
    "DLPack": ("publish({'a': Lends()})", "()"),
    "default": ("publish({'a': Unknown()}, default=str)", "()"),
    "error of a value": ("publish({'a': Fails()})", "LookupError"),
    "deque": ("publish({'a': collections.deque([1, 2])})", "()"),
    "missing key": ("publish({'b': 1})", "traincast.MissingKeyError"),
    "unknown root": ("publish(Unknown())", "traincast.UnsupportedTypeError"),
    "unknown type": ("publish({'a': Unknown()})", "traincast.UnsupportedTypeError"),
    "wrong argument": ("partial(traincast.TrainingInfoWriter, name, capacity=1.5)", "TypeError"),
    "wrong keys": ("partial(traincast.TrainingInfoWriter, name, required={'a'})", "TypeError"),
    "wrong state": ("partial(writer(name).load_state_dict, Unknown())", "TypeError"),
    "missing channel": ("partial(traincast.TrainingInfoReader, name)", "traincast.ChannelNotFoundError"),
    "read of arrays": ("traincast.TrainingInfoReader(filled).read", "()"),
}


@pytest.mark.parametrize("use", FIRST_USES)
def test_fork_in_the_middle_of_a_first_use(channel_name: str, use: str) -> None:
    """Python forks while it holds the interpreter's lock, so the fork happens where the first use releases
    that lock, if it does.

    The forking thread is waiting for the lock by then, and gets it at the first opportunity.
    """
    call, error = FIRST_USES[use]
    filled = f"{channel_name}-filled"
    with traincast.TrainingInfoWriter(filled, required=()) as writer, Process() as other:
        writer.publish({"a": np.zeros(3), "b": np.float32(1), "c": 2**100})
        other.run("import collections, dataclasses, enum, operator, signal, sys, threading, types, warnings")
        other.run("import ml_dtypes, numpy as np")
        other.run("warnings.simplefilter('ignore', DeprecationWarning)  # of fork in a process with threads")
        other.run(f"""
from functools import partial
class Int(int): pass
class Float(float): pass
class Str(str): pass
class Unknown: pass
class Phase(enum.Enum): EASY = "easy"
@dataclasses.dataclass
class Settings: a: int
class Lends:
    def __dlpack__(self, **options): return np.ones(2).__dlpack__(**options)
    def __dlpack_device__(self): return 1, 0
class Fails(collections.UserDict):
    def items(self): raise LookupError
filled = {filled!r}
def prepare(name):
    writer = partial(traincast.TrainingInfoWriter, required=['a'])
    def publish(info, **options):
        return partial(writer(name, **options).publish, info)
    return {call}
def in_thread(calls):
    global begun, over
    try:
        begun = True
        list(calls)  # between them, the interpreter has no occasion to change the thread
    except {error}: pass
    over = True
def in_child():
    signal.alarm(60)  # a watchdog
    try:
        try: prepare({channel_name!r} + '-child')()
        except {error}: pass
        os._exit(0)
    finally:
        os._exit(1)
calls = map(operator.call, [dict] * 200_000 + [prepare({channel_name!r})])
begun = over = False
children = []
sys.setswitchinterval(1e-6)
thread = threading.Thread(target=in_thread, args=[calls])
thread.start()
while not begun: pass
while True:
    child = os.fork()
    if child == 0: in_child()
    children.append(os.waitpid(child, 0)[1])
    if over: break
thread.join()
""")
        assert set(other.value("children")) == {0}

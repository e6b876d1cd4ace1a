"""What every engine must do for a relay: real TCPStores, real Ray, real Zenoh routers, and that of tests."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from meeting import Meeting, MeetingEngines
from nodes import until
from processes import Process

from traincast.relay.engine import EngineLost, Engines

ENGINES = ["tcpstore", "ray", "zenoh", "meeting"]
_hubs = itertools.count()


def connects(engines: Engines) -> bool:
    with suppress(EngineLost):
        engines.connect()
        return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def store_engines() -> Any:
    from traincast.relay.tcpstore import StoreEngines

    return StoreEngines("127.0.0.1", free_port(), "run@0")


@pytest.fixture(scope="module")
def ray_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import ray

    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 << 20,
        runtime_env={"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}},
    )
    yield ray
    ray.shutdown()


class ZenohSessions:
    """A router, and a session for each connection: those of one process share theirs."""

    def __init__(self) -> None:
        from traincast.relay.session import Network

        self.via = f"tcp/127.0.0.1:{free_port()}"
        self._networks = [Network([], [self.via])]
        self._networks[0].session()

    def connect(self) -> Any:
        from traincast.relay.session import Network
        from traincast.relay.zenoh import ZenohEngines

        network = Network([self.via])
        self._networks.append(network)
        return ZenohEngines(network, "run@0").connect()

    def close(self) -> None:
        for network in reversed(self._networks):
            network.close()


class OwnMeeting(MeetingEngines):
    """A hub behind a port: what relays use among themselves."""

    def __init__(self) -> None:
        self._meeting = Meeting("127.0.0.1")
        self._made: list[Any] = []
        super().__init__(*self._meeting.places)

    def connect(self) -> Any:
        self._made.append(super().connect())
        return self._made[-1]

    def close(self) -> None:
        for engine in self._made:
            engine.close()
        self._meeting.close()


@pytest.fixture(params=ENGINES)
def engines(request: pytest.FixtureRequest) -> Iterator[Engines]:
    if request.param != "ray":
        engines = {"tcpstore": store_engines, "zenoh": ZenohSessions, "meeting": OwnMeeting}[request.param]()
        yield engines
        engines.close()
        return
    ray = request.getfixturevalue("ray_here")
    from traincast.relay.ray import HubActor, HubEngines

    name = f"hub-{next(_hubs)}"
    hub = ray.remote(HubActor).options(name=name, num_cpus=0, max_concurrency=1000).remote()
    engines = HubEngines(name)
    until(lambda: connects(engines))
    yield engines
    ray.kill(hub)


def test_a_latecomer_gets_the_newest_at_once_and_others_each_newer_one(engines: Engines) -> None:
    putter, getter = engines.connect(), engines.connect()
    assert getter.wait("topic", None, 0.05) is None
    for i in range(5):
        putter.put("topic", b"%d" % i)
    mark, values = None, [b""]
    while values[-1] != b"4":  # one that was there before the last is skipped, or comes before it
        mark, value = getter.wait("topic", mark, 10) or (None, b"")
        assert value > values[-1]
        values.append(value)
    assert getter.wait("topic", mark, 0.05) is None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(getter.wait, "topic", mark, 30)
        time.sleep(0.2)
        putter.put("topic", b"5")
        assert (waiting.result() or (None, None))[1] == b"5"
    late = engines.connect()
    assert (late.wait("topic", None, 10) or (None, None))[1] == b"5"
    assert late.wait("other topic", None, 0.05) is None


@pytest.mark.parametrize("size", [0, 1, 89_999, 90_001, 400_000, 2_000_000, 20_000_000])
def test_values_of_any_size_arrive_whole(engines: Engines, size: int) -> None:
    putter, getter = engines.connect(), engines.connect()
    mark: Any = None
    for seed in range(1, 4):
        sent = (bytes([seed]) * 7 + b"x") * (size // 8) + b"y" * (size % 8)
        putter.put("topic", sent)
        news = getter.wait("topic", mark, 30)
        assert news is not None
        mark, value = news
        assert value == sent


def test_what_was_overtaken_is_skipped_and_nothing_comes_twice(engines: Engines) -> None:
    last, seen = 400, []
    done = threading.Event()

    def put() -> None:
        putter = engines.connect()
        for i in range(1, last + 1):
            putter.put("topic", b"%d" % i)
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    getter, mark = engines.connect(), None
    while not seen or seen[-1] < last:
        news = getter.wait("topic", mark, 30)
        assert news is not None
        mark, value = news
        seen.append(int(value))
        if done.is_set():
            continue
        time.sleep(0.005)
    thread.join()
    assert seen == sorted(set(seen))
    assert len(seen) < last


def test_two_putters_that_take_turns_lose_no_newest_value(engines: Engines) -> None:
    """A relay that was killed and its successor, or two sources after a cut."""
    putters, getter, mark = [engines.connect(), engines.connect()], engines.connect(), None
    for i in range(30):
        putters[(i // 3 + i) % 2].put("topic", b"%d" % i)
        news = (mark, b"")
        while news is not None and news[1] != b"%d" % i:
            news = getter.wait("topic", news[0], 30)
        assert news is not None
        mark = news[0]


def test_of_many_participants_that_swap_one_wins(engines: Engines) -> None:
    def swap(mine: bytes) -> bytes:
        return engines.connect().swap("claim", b"", mine)

    names = [b"%d" % i for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(swap, names))
    assert len(found) == 1
    (winner,) = found
    engine = engines.connect()
    assert engine.swap("claim", b"none of them", b"x") == winner
    assert engine.swap("claim", winner, b"-") == b"-"
    assert engine.swap("claim", b"-", b"next") == b"next"


def test_a_putter_that_is_gone_leaves_nothing_that_its_successor_does_not_remove() -> None:
    engines = store_engines()
    first = engines.connect()
    for i in range(100):
        first.put("topic", b"%d" % i)
    first.close()
    second = engines.connect()
    for _ in range(60):
        second.put("topic", b"x" * 10)
    time.sleep(0.6)
    second.put("topic", b"last")
    keys = second._store.num_keys()
    assert keys < 12
    engines.close()


def test_hung_calls_are_cut_and_a_restarted_store_is_used_again() -> None:
    """The store's process is stopped, which is what a dead link looks like; then it is killed."""
    port = free_port()
    getter = type(store_engines())("127.0.0.1", port, "run@0")
    with Process(environment={"TRAINCAST_KEY": "secret"}) as host:
        serve = (
            "from traincast.relay.tcpstore import StoreEngines; "
            f"engines = StoreEngines('127.0.0.1', {port}, 'run@0'); engine = engines.connect()"
        )
        host.run(serve)
        engine = getter.connect()
        host.run("engine.put('topic', b'1')")
        mark, value = engine.wait("topic", None, 10) or (None, None)
        assert value == b"1"
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(engine.wait, "topic", mark, 0.2)
            host.signal(19)  # SIGSTOP
            time.sleep(1)
            assert not waiting.done(), "its own time limit does not end the call"
            getter.cut()
            with pytest.raises(EngineLost):
                waiting.result()
    with pytest.raises(EngineLost):
        engine.wait("topic", mark, 0.1)
    with Process(environment={"TRAINCAST_KEY": "secret"}) as host:
        host.run(serve)
        host.run("engine.put('topic', b'2')")
        again = getter.connect()
        assert (again.wait("topic", mark, 10) or (None, None))[1] == b"2", "the mark is of another store"


def test_what_strangers_put_into_a_store_harms_nobody() -> None:
    engines = store_engines()
    stranger, getter = engines.connect(), engines.connect()
    mark = None
    for value in (b"\1", b"\1x", b"\1-1", b"\1999999999999", b"\2", b"\xff" * 100):
        number = stranger._store.add(stranger._count("topic"), 1)
        stranger._store.set(stranger._value("topic", number), value)
        mark, got = getter.wait("topic", mark, 10)
        assert got in (b"", value[1:])
    # Nothing at all is what a store gives for a key that is deleted while it is asked for.
    number = stranger._store.add(stranger._count("topic"), 1)
    stranger._store.set(stranger._value("topic", number), b"")
    assert getter.wait("topic", mark, 0.3) is None
    stranger.put("topic", b"whole")
    assert getter.wait("topic", mark, 10)[1] == b"whole"
    assert stranger.swap("claim", b"", b"\xff\0") == b"\xff\0"
    assert getter.swap("claim", b"\xff\0", b"mine") == b"mine"
    engines.close()

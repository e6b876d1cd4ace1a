"""The hub behind a port, from which relays receive: several answers to a request, and what may go wrong."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from nodes import until
from processes import Process

from traincast.relay import hub_server
from traincast.relay.engine import EngineLost
from traincast.relay.hub_server import HubServer
from traincast.relay.sockets import ANSWER, FORM, REQUEST, SocketListener, SocketListeners

TOPICS = ("life", "snapshot")
LARGE = 30_000_000


@pytest.fixture
def hub() -> Iterator[HubServer]:
    hub = HubServer("127.0.0.1", topics=TOPICS)
    yield hub
    hub.close()


class Children:
    """Connections to hubs."""

    def __init__(self) -> None:
        self._listeners: list[SocketListener] = []

    def __call__(self, port: int, answers: int = 8) -> SocketListener:
        listener = SocketListeners("127.0.0.1", port, answers).connect()
        self._listeners.append(listener)
        return listener

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()


@pytest.fixture
def child() -> Iterator[Children]:
    children = Children()
    yield children
    children.close()


def newest(listener: SocketListener, mark: bytes | None = None, timeout: float = 30.0) -> tuple[bytes, bytes]:
    news = listener.wait("snapshot", mark, timeout)
    assert news is not None
    return news


@pytest.mark.parametrize("answers", [1, 8])
def test_small_and_large_values_in_any_order_arrive_whole_and_each_is_newer(
    hub: HubServer, child: Children, answers: int
) -> None:
    listener, dice, mark = child(hub.port, answers), random.Random(answers), None
    last, done = -1, threading.Event()

    def put() -> None:
        for i in range(600):
            size = dice.choice([0, 1, 3000, 4096, 5000, 400_000])
            hub.put("snapshot", b"%06d" % i + bytes([i % 256]) * size)
            time.sleep(dice.choice([0.0, 0.0, 0.003]))
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    while last < 599:
        mark, value = newest(listener, mark)
        number = int(value[:6])
        assert number > last
        assert value[6:] == bytes([number % 256]) * (len(value) - 6)
        last = number
    thread.join()
    assert listener.wait("snapshot", mark, 0.1) is None


def test_of_several_values_that_have_come_only_the_newest_is_returned(
    hub: HubServer, child: Children
) -> None:
    listener = child(hub.port)
    hub.put("snapshot", b"0")
    mark, _ = newest(listener)
    for i in range(1, 100):
        hub.put("snapshot", b"%d" % i)
    found = []
    while not found or found[-1] != b"99":
        mark, value = newest(listener, mark)
        found.append(value)
    assert len(found) <= 2, "seven small answers in one go, and then the newest"


def test_a_request_without_news_is_answered_and_the_next_one_is_served(
    hub: HubServer, child: Children
) -> None:
    listener = child(hub.port)
    assert listener.wait("snapshot", None, 0.05) is None
    hub.put("snapshot", b"a")
    mark, _ = newest(listener, timeout=0.05)
    for _ in range(3):
        assert listener.wait("snapshot", mark, 0.05) is None
    hub.put("snapshot", b"b")
    assert newest(listener, mark)[1] == b"b"


def test_a_child_that_is_stopped_delays_nobody_else(hub: HubServer, child: Children) -> None:
    others = [child(hub.port) for _ in range(3)]
    with Process() as stopped:
        stopped.run(
            "from traincast.relay.sockets import SocketListeners\n"
            f"listener = SocketListeners('127.0.0.1', {hub.port}, 8).connect()\n"
            "mark = None\n"
        )
        stopped.run("assert listener.wait('snapshot', None, 0.1) is None")
        stopped.start("listener.wait('snapshot', None, 30.0)")
        time.sleep(0.3)
        stopped.signal(19)  # SIGSTOP
        marks: list[bytes | None] = [None] * len(others)
        for i in range(5):
            hub.put("snapshot", bytes([i]) * LARGE)
            for number, listener in enumerate(others):
                marks[number], value = newest(listener, marks[number])
                assert value == bytes([i]) * LARGE
        stopped.signal(18)  # SIGCONT
        stopped.finish()
        stopped.run("mark, value = listener.wait('snapshot', mark, 30.0)")
        while stopped.value("value[0]") != 4:
            stopped.run("mark, value = listener.wait('snapshot', mark, 30.0)")


def test_a_large_value_over_a_slow_link_reports_that_it_is_coming(child: Children) -> None:
    value = os.urandom(1_000_000)
    answer = ANSWER.pack(4, len(value)) + b"mark" + value
    with socket.create_server(("127.0.0.1", 0)) as slow:
        listener = child(slow.getsockname()[1])
        reports: list[float] = []
        listener.report_progress_to(lambda: reports.append(time.monotonic()))

        def send() -> None:
            connection, _ = slow.accept()
            with connection:
                for at in range(0, len(answer), 50_000):
                    connection.sendall(answer[at : at + 50_000])
                    time.sleep(0.2)

        thread = threading.Thread(target=send)
        thread.start()
        began = time.monotonic()
        assert newest(listener, timeout=1.0) == (b"mark", value)
        assert time.monotonic() - began > 2.5, "longer than a call may take that reports nothing"
        assert len(reports) >= 10
        thread.join()


def wait_request(topic: bytes = b"snapshot", mark: bytes = b"", answers: int = 1) -> bytes:
    return REQUEST.pack(FORM, answers, len(topic), len(mark), 1.0) + topic + mark


def ends(connection: socket.socket) -> bool:
    """Whether the hub ends a connection, perhaps after an answer."""
    connection.settimeout(60)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff" * 100,
        bytes(REQUEST.size),
        wait_request(b"claim"),
        wait_request(b"\xff\xfe"),
        wait_request() * 2,
        wait_request(answers=200) + b"x",
        REQUEST.pack(FORM + 1, 1, 4, 0, 0.0) + b"life",
        REQUEST.pack(FORM, 1, 4, 0, 0.0) + b"lifexyz",
        REQUEST.pack(FORM, 1, 8, 513, 1.0),
        REQUEST.pack(FORM, 1, 8, 1 << 31, 1.0),
    ],
    ids=lambda bad: bad[:24].hex(),
)
def test_a_stranger_who_sends_nonsense_is_cut_off_and_changes_nothing(
    hub: HubServer, child: Children, bad: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", hub.port)) as stranger:
        stranger.sendall(bad)
        assert ends(stranger)
    hub.put("snapshot", b"fine")
    assert newest(child(hub.port))[1] == b"fine"
    until(lambda: hub.connections == 1)


def test_impossible_times_are_no_times(hub: HubServer) -> None:
    for seconds in (float("nan"), -1.0, float("-inf")):
        with socket.create_connection(("127.0.0.1", hub.port)) as stranger:
            stranger.sendall(REQUEST.pack(FORM, 1, 4, 0, seconds) + b"life")
            stranger.settimeout(60)
            assert stranger.recv(100) == ANSWER.pack(0, 0)


def test_requests_may_come_byte_by_byte(hub: HubServer) -> None:
    hub.put("snapshot", b"fine")
    with socket.create_connection(("127.0.0.1", hub.port)) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in wait_request():
            slow.sendall(bytes([byte]))
            time.sleep(0.001)
        slow.settimeout(60)
        assert slow.recv(1000).endswith(b"fine")


def test_clients_that_vanish_or_never_ask_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_server, "_MOST_SECONDS", 0.3)
    hub = HubServer("127.0.0.1", topics=TOPICS)
    silent = [socket.create_connection(("127.0.0.1", hub.port)) for _ in range(20)]
    until(lambda: hub.connections == 20)
    asked = socket.create_connection(("127.0.0.1", hub.port))
    asked.sendall(wait_request())  # and takes no answer
    until(lambda: hub.connections == 0)
    for connection in (*silent, asked):
        connection.close()
    hub.close()


def test_a_client_that_takes_little_at_a_time_gets_all_and_one_that_takes_nothing_is_dropped(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_server, "_STALLED_SECONDS", 0.5)
    slow, stranger = (socket.create_connection(("127.0.0.1", hub.port)) for _ in range(2))
    hub.put("snapshot", bytes(3 * LARGE))
    for client in (slow, stranger):
        client.settimeout(60)
        client.sendall(wait_request())
    began, received = time.monotonic(), 0
    while received < 3 * LARGE:
        part = slow.recv(2_000_000)
        assert part
        received += len(part)
        time.sleep(0.02)
    assert time.monotonic() - began > 0.5
    until(lambda: hub.connections == 1)
    slow.close()
    stranger.close()


def test_a_hub_out_of_descriptors_serves_those_that_it_has_and_later_the_others(child: Children) -> None:
    with Process() as server:
        server.run(
            "from traincast.relay.hub_server import HubServer\n"
            "import os, resource\n"
            f"hub = HubServer('127.0.0.1', topics={TOPICS!r})\n"
        )
        port = server.value("hub.port")
        listener = child(port)
        server.run("hub.put('snapshot', b'1')")
        mark, _ = newest(listener)
        server.run(
            "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
            "held = []\n"
            "try:\n"
            "    while True: held.append(os.dup(0))\n"
            "except OSError: pass\n"
        )
        late = child(port)  # the kernel accepts it, the hub cannot
        time.sleep(0.3)
        server.run("hub.put('snapshot', b'2')")
        assert newest(listener, mark)[1] == b"2"
        assert server.value("hub.connections") == 1
        server.run("for one in held: os.close(one)")
        assert newest(late)[1] == b"2"


def test_strangers_who_connect_leave_the_relay_its_descriptors(child: Children) -> None:
    with Process() as server:
        server.run(
            "import os, resource\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
            "from traincast.relay.hub_server import HubServer\n"
            f"hub, other = (HubServer('127.0.0.1', topics={TOPICS!r}) for _ in range(2))\n"
            "hub.put('snapshot', b'1')\n"
        )
        port, other = server.value("hub.port, other.port")
        listener = child(port)
        mark, _ = newest(listener)
        strangers = [socket.create_connection(("127.0.0.1", p)) for p in (port, other) for _ in range(50)]
        until(lambda: server.value("hub.connections + other.connections") == 32)
        server.run("for _ in range(10): os.close(os.dup(0))")
        server.run("hub.put('snapshot', b'2')")
        assert newest(listener, mark)[1] == b"2"
        for stranger in strangers:
            stranger.close()
        until(lambda: server.value("hub.connections") == 1)
        assert newest(child(port))[1] == b"2"


def test_a_hub_that_ends_frees_its_port_and_its_children_know_at_once(
    hub: HubServer, child: Children
) -> None:
    listener = child(hub.port)
    threads = threading.active_count()
    hub.put("snapshot", b"1")
    mark, _ = newest(listener)
    hub.close()
    with pytest.raises(EngineLost):
        listener.wait("snapshot", mark, 30.0)
    assert threading.active_count() == threads - 1
    HubServer("127.0.0.1", hub.port, topics=TOPICS).close()
    hub.put("snapshot", b"2")  # nobody is there, which is no error


def all_answers(listener: SocketListener) -> None:
    for _ in range(1000):
        listener.wait("snapshot", None, 0.5)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_false_hub_answers_is_a_lost_engine_or_bytes(child: Children, seed: int) -> None:
    dice = random.Random(seed)
    answers = [
        b"",
        os.urandom(dice.randrange(200)),
        ANSWER.pack(513, 0),
        ANSWER.pack(1, (1 << 30) + 1),
        ANSWER.pack(3, 10_000) + b"abc" + os.urandom(dice.randrange(9_999)),
        struct.pack("<I", 1),
    ]
    with socket.create_server(("127.0.0.1", 0)) as false:
        listener = child(false.getsockname()[1])
        connection, _ = false.accept()
        connection.sendall(dice.choice(answers))
        connection.shutdown(socket.SHUT_WR)
        with pytest.raises(EngineLost):
            all_answers(listener)
        connection.close()

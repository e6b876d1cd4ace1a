"""Peers that need a server process."""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from benches.cases.peers.peer import Operations, changing


@contextmanager
def _redis_server() -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        raise FileNotFoundError("redis-server is not installed (apt-get install redis-server)")
    with tempfile.TemporaryDirectory(prefix="traincast-bench-redis-") as folder:
        socket = f"{folder}/socket"
        command = [binary, "--port", "0", "--unixsocket", socket, "--dir", folder]
        command += ["--save", "", "--appendonly", "no"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not Path(socket).exists():
                if server.poll() is not None:
                    raise RuntimeError(f"redis-server ended with {server.returncode}")
                time.sleep(0.01)
            yield socket
        finally:
            server.terminate()
            server.wait()


def redis(stack: ExitStack) -> Operations:
    import redis

    socket = stack.enter_context(_redis_server())
    clients = [redis.Redis(unix_socket_path=socket) for _ in range(2)]
    for client in clients:
        stack.callback(client.close)
    infos = changing()
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode

    def write_all() -> None:
        clients[0].set("info", encode(next(infos)))

    write_all()
    return Operations(
        [clients],
        "item[0].set('info', encode(take()))",
        "decode(item[1].get('info'))",
        write_all,
        {"take": infos.__next__, "encode": encode, "decode": decode},
    )


def ray(stack: ExitStack) -> Operations:
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    stack.callback(ray.shutdown)
    infos = changing()
    item = [ray.put(next(infos))]

    def write_all() -> None:
        item[0] = ray.put(next(infos))

    names = {"take": infos.__next__, "put": ray.put, "get": ray.get}
    return Operations([item], "item[0] = put(take())", "get(item[0])", write_all, names)

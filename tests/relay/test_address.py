"""The address under which others reach this machine, from what a relay is told about its engine."""

from __future__ import annotations

import socket

import pytest

from traincast.relay.address import address_among, address_towards, place_of


def default_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("tcp/node0:7447", ("node0", 7447)),
        ("tcp/10.0.0.1:7447#iface=eth0", ("10.0.0.1", 7447)),
        ("tcp/10.0.0.1:7447?rel=1", ("10.0.0.1", 7447)),
        ("tcp/[::1]:7447", ("::1", 7447)),
        ("tls/node0:7447", None),
        ("quic/node0:7447", None),
        ("unixsock-stream/path", None),
        ("tcp/node0", None),
        ("", None),
    ],
)
def test_host_and_port_of_an_endpoint(endpoint: str, place: tuple[str, int] | None) -> None:
    assert place_of(endpoint) == place


def test_a_machine_is_reached_under_the_address_of_the_network_that_leads_there() -> None:
    assert address_towards("127.0.0.1") == "127.0.0.1"
    assert address_towards("no-such-host.invalid") is None
    assert address_among(["tcp/127.0.0.1:7447"], []) == "127.0.0.1"
    assert address_among(["tcp/127.0.0.1:7447"], ["tcp/0.0.0.0:7448"]) == "127.0.0.1"


@pytest.mark.parametrize("anywhere", ["tcp/0.0.0.0:7447", "tcp/[::]:7447"])
def test_a_router_that_listens_everywhere_has_its_address_on_the_default_route(anywhere: str) -> None:
    assert address_among([], [anywhere]) in (default_address(), None)
    if default_address() is not None:
        assert address_among([], [anywhere]) == default_address()


def test_beside_endpoints_that_protect_messages_there_are_no_plain_connections() -> None:
    assert address_among(["tls/127.0.0.1:7447"], []) is None
    assert address_among(["tcp/127.0.0.1:7447"], ["tls/0.0.0.0:7448"]) is None

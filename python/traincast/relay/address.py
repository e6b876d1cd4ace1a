"""The address under which the other nodes reach this one."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress

__all__ = ["address_among", "address_towards", "place_of"]

_ANYWHERE = {"", "*", "0.0.0.0", "::"}
_FAR_AWAY = ("192.0.2.1", "2001:db8::1")
"""Addresses of no machine (RFC 5737, RFC 3849): the way to them is the default route."""


def address_towards(host: str) -> str | None:
    """Return the address under which `host` reaches this machine; None if it cannot be found out."""
    with suppress(OSError):
        family, kind, _, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # nothing is sent
            return str(probe.getsockname()[0])
    return None


def address_among(connect: Sequence[str], listen: Sequence[str]) -> str | None:
    """Return this machine's address among Zenoh routers at these endpoints; None if it cannot be found out.

    None also if an endpoint is not plain TCP: then a plain connection would give away what it protects.
    """
    places = [place_of(endpoint) for endpoint in (*connect, *listen)]
    hosts = [place[0] for place in places if place is not None]
    if len(hosts) < len(places):
        return None
    known = [host for host in hosts if host not in _ANYWHERE]
    found = (address_towards(host) for host in known or _FAR_AWAY)
    return next((address for address in found if address is not None), None)


def place_of(endpoint: str) -> tuple[str, int] | None:
    """Return host and port of an endpoint such as `"tcp/HOST:7447"`; None if it is not plain TCP."""
    kind, _, place = endpoint.partition("/")
    host, _, port = place.partition("?")[0].partition("#")[0].rpartition(":")
    return (host.strip("[]"), int(port)) if kind == "tcp" and port.isdigit() else None

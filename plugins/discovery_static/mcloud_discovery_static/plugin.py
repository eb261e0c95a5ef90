"""Discovery where the initiator's address is given: nothing is sent to find it."""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from mcloud import API, Beacon, DiscoveryError, Manifest, Search, hookimpl

PAUSE = 1.0
"""Seconds between two tries to resolve a name that is not there yet."""


IPV4_PARTS = 2
"""Parts of a socket's IPv4 address; one of IPv6 has a flow and a scope, too."""


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(api=API, summary="Finds the initiator at an address that is given")


@hookimpl
def announce() -> AbstractContextManager[None]:
    """Announce nothing: joiners are told the address."""
    return nullcontext()


@hookimpl
def discover(search: Search) -> Iterator[Beacon]:
    """Yield a beacon for each address given, names resolved anew until the patience ends."""
    if not search.initiators:
        raise DiscoveryError(
            "the address of the initiator is not given",
            hint="use --initiator-address, MCLOUD_INITIATOR_ADDRESS, or `initiator_address` in the file",
        )
    deadline = time.monotonic() + search.seconds
    unresolved: dict[str, str] = {}
    while True:
        for host, port in search.initiators:
            try:
                yield from _beacons(host, port)
                unresolved.pop(host, None)
            except (OSError, UnicodeError) as error:
                unresolved[host] = str(error)
        if time.monotonic() + PAUSE > deadline:
            break
        time.sleep(PAUSE)
    if len(unresolved) == len({host for host, _ in search.initiators}):
        raise DiscoveryError(
            f"no address was found for {_said(unresolved)}",
            hint="give the initiator's address itself, or a name that this machine can resolve",
        )


def _beacons(host: str, port: int) -> Iterator[Beacon]:
    """Yield the initiator at each address of a name. Raises OSError, UnicodeError: it has none just now."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for address in dict.fromkeys(_with_scope(entry[4]) for entry in found):
        yield Beacon.model_validate({"name": host, "address": address, "port": port})


def _with_scope(address: tuple[Any, ...]) -> str:
    """Return a socket's address as text, a link-local one with the interface it is good for."""
    text, scope = str(address[0]), address[3] if len(address) > IPV4_PARTS else 0
    return f"{text}%{scope}" if scope and "%" not in text else text


def _said(unresolved: Mapping[str, str]) -> str:
    return "; ".join(f"{host} ({reason})" for host, reason in unresolved.items())

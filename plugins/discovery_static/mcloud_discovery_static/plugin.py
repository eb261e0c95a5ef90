"""Discovery where the initiator's address is given: nothing is sent to find it."""

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from mcloud import API, Beacon, DiscoveryError, Manifest, Search, hookimpl

PAUSE = 1.0
"""Seconds between two tries to resolve a name that is not there yet."""


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
    while True:
        for host, port in search.initiators:
            yield from _beacons(host, port)
        if time.monotonic() + PAUSE > deadline:
            return
        time.sleep(PAUSE)


def _beacons(host: str, port: int) -> Iterator[Beacon]:
    """Yield the initiator at each address of a name; nothing while the name cannot be resolved."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return
    for _family, _type, _proto, _name, address in found:
        yield Beacon.model_validate({"name": host, "address": address[0], "port": port})

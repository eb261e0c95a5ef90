"""Discovery by DNS-SD over multicast DNS: the initiator is found on the machines' own network.

Raises DiscoveryError, with what to do in its hint:

- at once, from `announce` on entering and from `discover` on its first `next`, where multicast cannot
  work: no interface has the address, it is down or cannot do multicast, UDP port 5353 is held by a
  program that does not share it, or this machine refuses to send (a firewall, no route);
- from `discover` at the end of the patience if no initiator was found; the message says what was sent
  where, and what came back. A search that found one ends without an error, also if that one has left.

A search yields an initiator when it is first heard, when something about it changes, and when it comes
back after a goodbye; of two beacons of one address and name the later one holds (a restarted initiator
has a new session). Beacons of other protocol versions are yielded like the others.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from mcloud import API, Beacon, Manifest, Search, hookimpl

# What speaks mDNS is imported when it is used: every command loads all plugins, few of them look around.


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(api=API, summary="Finds the initiator on the local network, by multicast DNS")


@hookimpl
def announce(beacon: Beacon) -> AbstractContextManager[None]:
    """Answer for the initiator on the network that carries its address; say goodbye at the end."""
    from mcloud_discovery_mdns.announcing import announced  # noqa: PLC0415 - see above

    return announced(beacon)


@hookimpl
def discover(search: Search) -> Iterator[Beacon]:
    """Yield each initiator that answers on this machine's own network, until the patience ends."""
    from mcloud_discovery_mdns.searching import found  # noqa: PLC0415 - see above

    return found(search)

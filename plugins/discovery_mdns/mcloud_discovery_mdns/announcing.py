"""Announcing the initiator: its records are answered for while the context is open."""

from collections.abc import Iterator
from contextlib import contextmanager

from zeroconf import Error

from mcloud import Beacon, DiscoveryError
from mcloud_discovery_mdns.group import opened
from mcloud_discovery_mdns.links import links
from mcloud_discovery_mdns.records import written


@contextmanager
def announced(beacon: Beacon) -> Iterator[None]:
    """Announce a beacon on the interface that carries its address. Raises DiscoveryError on entering."""
    (link, *_) = links(beacon.address)
    with opened(link) as group:
        group.ask_first()
        try:
            # Its name is drawn by session: to ask first whether somebody has it takes a second, and
            # would let anybody on the network forbid it.
            group.zeroconf.register_service(written(beacon), cooperating_responders=True)
        except (Error, TimeoutError) as error:
            raise DiscoveryError(
                f"cannot announce on {link.name}: {error or type(error).__name__}",
                hint="joiners can be given this machine's address (--initiator-address)",
            ) from error
        yield

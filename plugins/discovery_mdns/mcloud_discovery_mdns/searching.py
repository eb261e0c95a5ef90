"""Searching for initiators: ask, listen, yield what is heard; say at the end what was done in vain."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from mcloud import Beacon, DiscoveryError, Search
from mcloud_discovery_mdns.group import GROUPS, PORT, TYPE, Group, opened
from mcloud_discovery_mdns.links import links
from mcloud_discovery_mdns.listening import Ear, Heard

FIRST, LAST = 1.0, 10.0
"""Seconds between the first two questions and between the last ones; doubled each time (RFC 6762, 5.2)."""


def found(search: Search) -> Iterator[Beacon]:
    """Yield initiators until the patience ends. Raises DiscoveryError at once, or if there was none."""
    began = time.monotonic()
    heard = Heard()
    with ExitStack() as open_:
        groups = _groups(open_, search, heard)
        yield from _heard(groups, heard, began + search.seconds)
        if heard.nobody:
            raise DiscoveryError(_in_vain(groups, heard, time.monotonic() - began), hint=_advice(heard))


def _groups(open_: ExitStack, search: Search, heard: Heard) -> list[Group]:
    """Listen and ask on each interface; DiscoveryError if it can be done on none."""
    groups: list[Group] = []
    errors: list[DiscoveryError] = []
    for link in links(search.address, search.interface):
        try:
            group = open_.enter_context(opened(link))
            group.zeroconf.add_listener(Ear(group, heard), None)
            group.ask_first()
            groups.append(group)
        except DiscoveryError as error:
            errors.append(error)
    if not groups:
        raise errors[0]
    return groups


def _heard(groups: Sequence[Group], heard: Heard, deadline: float) -> Iterator[Beacon]:
    """Yield what is heard, and ask again from time to time."""
    pause = FIRST
    ask_at = time.monotonic() + pause
    while (now := time.monotonic()) < deadline:
        if now >= ask_at:
            for group in groups:
                group.ask()
            pause = min(2 * pause, LAST)
            ask_at = now + pause
        yield from heard.news(min(deadline, ask_at) - now)
    yield from heard.news(0)


def _in_vain(groups: Sequence[Group], heard: Heard, seconds: float) -> str:
    where = "; ".join(
        f"{group.link.name} ({', '.join(f'{GROUPS[family]}' for family in group.families)})"
        for group in groups
    )
    came = []
    if heard.unusable:
        came.append(f"{heard.unusable} answers about {TYPE} could not be used (the last has {heard.why})")
    if heard.others:
        came.append(f"{heard.others} answers were about other services")
    return (
        f"no initiator answered within {seconds:.0f} s: asked for {TYPE} by mDNS on {where}, "
        f"UDP port {PORT}; {' and '.join(came) or 'nothing at all came back'}"
    )


def _advice(heard: Heard) -> str:
    given = "give its address (--initiator-address), which needs no multicast"
    if heard.unusable:
        return f"something on this network answers in the initiator's place: {given}"
    if heard.others:
        return (
            f"some multicast arrives here: see that `mcloud init` runs with `--discovery mdns` "
            f"on this very network, or {given}"
        )
    return (
        f"is `mcloud init` running there? Let firewalls pass UDP port {PORT} on both machines; cloud "
        f"networks, and switches with IGMP snooping and no querier, carry no multicast: then {given}"
    )

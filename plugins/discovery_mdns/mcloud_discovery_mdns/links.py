"""The network interfaces to speak on: those that carry an address, if multicast can work there."""

import fcntl
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import ifaddr

from mcloud import DiscoveryError

SIOCGIFFLAGS = 0x8913
UP, LOOPBACK, MULTICAST = 0x1, 0x8, 0x1000
"""Flags of an interface, and how to ask for them: netdevice(7)."""

MOST = 8
"""Interfaces that are searched at most where nobody said on which."""

ELSE = "give the address of the initiator instead (--initiator-address), or of this machine (--address)"

IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface, and what of it mDNS can use."""

    name: str
    index: int
    ipv4: str = ""
    """The IPv4 address to speak from; empty if there is none."""
    ipv6: bool = False
    """Whether it has an IPv6 address."""
    addresses: frozenset[str] = frozenset()
    flags: int = UP | MULTICAST

    @property
    def loopback(self) -> bool:
        """Whether it leads to this machine alone."""
        return bool(self.flags & LOOPBACK)

    @property
    def trouble(self) -> str:
        """Why there can be no multicast on it; empty if there can."""
        if not self.flags & UP:
            return "is down"
        # The loopback interface lacks the flag, and does it all the same.
        if not self.flags & (MULTICAST | LOOPBACK):
            return "cannot do multicast"
        return "" if self.ipv4 or self.ipv6 else "has no address"


def links(address: IpAddress | None, interface: str = "") -> tuple[Link, ...]:
    """Return the interface of this name, else that of this address, else all that could do.

    Raises DiscoveryError if there is none, or multicast cannot work on it.
    """
    there = tuple(_links(address))
    if interface:
        chosen = tuple(link for link in there if link.name == interface)
        missing = f"this machine has no network interface {interface} with an address"
    elif address is not None:
        chosen = tuple(link for link in there if _carries(link, address))
        missing = f"no network interface of this machine has the address {address}"
    else:
        chosen = tuple(link for link in there if not (link.trouble or link.loopback))[:MOST]
        missing = "no network interface of this machine can do multicast"
    if not chosen:
        raise DiscoveryError(missing, hint=ELSE)
    for link in chosen:
        trouble = link.trouble
        if link.loopback and address is not None and not address.is_loopback:
            trouble = "leads to this machine alone"
        if trouble:
            raise DiscoveryError(f"there can be no mDNS on {link.name}: the interface {trouble}", hint=ELSE)
    return chosen


def _carries(link: Link, address: IpAddress) -> bool:
    """Whether an interface has an address; a link-local one with a scope is on that interface alone."""
    text, _, scope = str(address).partition("%")
    return text in link.addresses and scope in {"", link.name, str(link.index)}


def _links(wanted: IpAddress | None) -> Iterator[Link]:
    """Yield the interfaces that have an address; of several IPv4 addresses the wanted one speaks."""
    for adapter in ifaddr.get_adapters():
        name = adapter.name.partition(":")[0]  # an address with a label has an adapter `eth0:label`
        if adapter.index is None or not adapter.ips:
            continue
        given = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for ip in adapter.ips]
        known = frozenset(str(ip_address(text.partition("%")[0])) for text in given)
        ipv4 = [text for text in known if ":" not in text]
        flags = _flags(name)
        yield Link(
            name=name,
            index=adapter.index,
            ipv4=str(wanted) if str(wanted) in ipv4 else min(ipv4, default=""),
            # There is no route for multicast on the loopback interface.
            ipv6=len(ipv4) < len(known) and not flags & LOOPBACK,
            addresses=known,
            flags=flags,
        )


def _flags(name: str) -> int:
    """Return an interface's flags; 0, as if it were down, for one that has just gone."""
    request = struct.pack("16sh14x", name.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        try:
            answer = fcntl.ioctl(any_, SIOCGIFFLAGS, request)
        except OSError:
            return 0
    return int(struct.unpack("16xH14x", answer)[0])

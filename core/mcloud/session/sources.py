"""What counts as one source of strangers: those who are on our links singly, others by their network.

A machine elsewhere may have a whole /64 of IPv6 addresses, so that counts as one. But on our own links a
/64 is an ordinary LAN of honest neighbours, each of which is a source, and whoever takes many addresses
there is told by what carries them: the link-layer address, as the kernel's neighbour table has it.
"""

import ipaddress
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

from mcloud.session.limits import plain_address

_ROUTES = Path("/proc/net/ipv6_route")
"""Lines of the kernel (net/ipv6/route.c): destination, its length, source, its length, gateway, metric, two
counters, flags, device; all in hexadecimal but the last."""
_LONGEST = 256 * 1024
"""Bytes of it that are read: links have few routes, and come before those of a router's whole table."""
_FRESH = 10.0
"""Seconds that are trusted to what was read."""
_LOCAL, _UP, _GATEWAY, _REJECT = 0x80000000, 0x1, 0x2, 0x200  # RTF_* of linux/ipv6_route.h and linux/route.h
_Network = ipaddress.IPv6Network


def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, one of IPv6 on a link of ours, or else its /64."""
    if ":" not in (plain := plain_address(address)):
        return plain
    ip = ipaddress.IPv6Address(plain)
    if _links.device_of(ip):
        return plain
    return str(ipaddress.ip_network((ip, 64), strict=False))


def carrier_of(address: str) -> str:
    """Return what carries an address to us: a neighbour's link-layer address, or else its source."""
    if ":" not in (plain := plain_address(address)):
        return plain
    ip = ipaddress.IPv6Address(plain)
    if device := _links.device_of(ip):
        return _neighbour(ip, device) or plain
    return source_of(plain)


class Links:
    """The IPv6 networks that are on this machine's links, as the kernel's routes say. Thread-safe."""

    def __init__(self, routes: Path = _ROUTES) -> None:
        """Read nothing yet."""
        self._routes = routes
        self._read: tuple[float, dict[_Network, str]] = (float("-inf"), {})

    def device_of(self, ip: ipaddress.IPv6Address) -> str:
        """Return the device on whose link an address is, "" if it is on none."""
        read_at, networks = self._read
        if time.monotonic() - read_at > _FRESH:
            networks = self._networks()
            self._read = time.monotonic(), networks
        return next((device for network, device in networks.items() if ip in network), "")

    def _networks(self) -> dict[_Network, str]:
        found: dict[_Network, str] = {}
        with suppress(OSError), self._routes.open(encoding="ascii") as file:
            for line in file.read(_LONGEST).splitlines():
                # A last line that was cut short makes no sense.
                with suppress(ValueError):
                    target, length, _, _, gateway, *_, flags, device = line.split()
                    if int(length, 16) and _on_link(int(flags, 16)) and not int(gateway, 16):
                        network = _Network((bytes.fromhex(target), int(length, 16)), strict=False)
                        found[network] = device
        return found


_links = Links()


def _on_link(flags: int) -> bool:
    return bool(flags & _UP) and not flags & (_LOCAL | _GATEWAY | _REJECT)


# ---- the neighbour table -----------------------------------------------------------------------------------

_NEW, _GET, _REQUEST = (
    28,
    30,
    1,
)  # RTM_NEWNEIGH, RTM_GETNEIGH, NLM_F_REQUEST (linux/rtnetlink.h, linux/netlink.h)
_DST, _LLADDR = 1, 2  # NDA_DST, NDA_LLADDR (linux/neighbour.h)
_HEAD = struct.Struct("=IHHII")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")


def _neighbour(ip: ipaddress.IPv6Address, device: str) -> str:
    """Return a neighbour's link-layer address, hexadecimal; "" if the kernel knows none, or cannot say."""
    with suppress(OSError, struct.error):
        told = _NEIGHBOUR.pack(socket.AF_INET6, socket.if_nametoindex(device), 0, 0, 0)
        told += _ATTRIBUTE.pack(_ATTRIBUTE.size + 16, _DST) + ip.packed
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.settimeout(0.1)  # it answers before `send` returns
            kernel.send(_HEAD.pack(_HEAD.size + len(told), _GET, _REQUEST, 1, 0) + told)
            return _link_layer(kernel.recv(4096))
    return ""


def _link_layer(answer: bytes) -> str:
    _, kind, *_ = _HEAD.unpack_from(answer)
    at = _HEAD.size + _NEIGHBOUR.size
    while kind == _NEW and at + _ATTRIBUTE.size <= len(answer):
        size, what = _ATTRIBUTE.unpack_from(answer, at)
        if what == _LLADDR:
            return answer[at + _ATTRIBUTE.size : at + size].hex(":")
        at += max(_ATTRIBUTE.size, (size + 3) & ~3)
    return ""

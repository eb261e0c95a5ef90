"""The multicast group on one network interface: the only place that opens and closes zeroconf."""

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from zeroconf import Error, Zeroconf

from mcloud import DiscoveryError
from mcloud_discovery_mdns.links import ELSE, Link

TYPE = "_mcloud._tcp.local."
"""Our service, RFC 6763 section 4.1.2."""

PORT = 5353
GROUPS = {"IPv4": "224.0.0.251", "IPv6": "ff02::fb"}
"""RFC 6762 section 3."""

IN, TO_US = 1, 0x8001
"""Classes of a question: answered to the group, or to who asked as well (RFC 6762 section 5.4)."""


def question(class_: int) -> bytes:
    """Return a packet with one question for our service: RFC 1035 section 4.1, type PTR (12)."""
    name = b"".join(bytes([len(label)]) + label.encode() for label in TYPE.split("."))
    return struct.pack("!6H", 0, 0, 1, 0, 0, 0) + name + struct.pack("!2H", 12, class_)


@dataclass(frozen=True, slots=True)
class Group:
    """The group on one interface, in the address families that it has."""

    link: Link
    zeroconf: Zeroconf

    @property
    def families(self) -> tuple[str, ...]:
        """The address families in which it can be spoken to."""
        return tuple(_family(sender.is_ipv6) for sender in self.zeroconf.engine.senders)

    def ask(self, *classes: int) -> dict[str, str]:
        """Ask who is there; return by address family why this machine refuses to send, where it does."""
        refused: dict[str, str] = {}
        for sender in self.zeroconf.engine.senders:
            family = _family(sender.is_ipv6)
            try:
                with sender.transport.get_extra_info("socket").dup() as door:
                    for class_ in classes or (IN,):
                        door.sendto(question(class_), (GROUPS[family], PORT))
            except BlockingIOError:
                continue  # its queue is full: it will be asked again
            except OSError as error:
                refused[family] = error.strerror or str(error)
        return refused

    def ask_first(self) -> dict[str, str]:
        """Ask for answers at once, and raise DiscoveryError if this machine sends in no address family.

        Who has just answered the group keeps silent there for a second (RFC 6762 section 6), and would
        seem not to be there. To us it may answer, but that can end up at another responder on this machine.
        """
        refused = self.ask(TO_US, IN)
        if set(refused) >= set(self.families):
            said = ", ".join(
                f"{GROUPS[family]} ({family}): {reason.lower()}" for family, reason in refused.items()
            )
            raise DiscoveryError(
                f"this machine does not send to the mDNS group on {self.link.name}: {said}",
                hint=f"let its firewall pass UDP port {PORT}, or {ELSE}",
            )
        return refused


@contextmanager
def opened(link: Link) -> Iterator[Group]:
    """Speak on one interface alone while the context is open; goodbyes are sent at its end.

    Other mDNS responders may run on the machine: the port is shared. Whatever comes, nothing is printed.
    """
    zeroconf = _open(link)
    try:
        # zeroconf survives what its own threads cannot digest, but asyncio would print it.
        assert zeroconf.loop is not None  # noqa: S101 - it has a thread of its own
        zeroconf.loop.set_exception_handler(lambda _loop, _context: None)
        try:
            _bind_to(link, zeroconf)
        except OSError as error:
            raise DiscoveryError(f"cannot listen on {link.name} alone: {error}", hint=ELSE) from error
        if not zeroconf.engine.senders:
            raise DiscoveryError(f"cannot speak mDNS on {link.name}: its addresses are not usable", hint=ELSE)
        yield Group(link, zeroconf)
    finally:
        with suppress(Error, TimeoutError):  # what could not be said in time is not said
            zeroconf.close()


def _open(link: Link) -> Zeroconf:
    own: list[str | int] = [*([link.ipv4] if link.ipv4 else []), *([link.index] if link.ipv6 else [])]
    try:
        _try_port(socket.AF_INET6 if link.ipv6 else socket.AF_INET)
        return Zeroconf(interfaces=own, use_asyncio=False)
    except (OSError, Error, RuntimeError) as error:
        raise DiscoveryError(f"cannot speak mDNS on {link.name}: {error}", hint=ELSE) from error


def _try_port(family: socket.AddressFamily) -> None:
    """Bind as zeroconf will; it would leave its socket open if it could not. Raises OSError."""
    with socket.socket(family, socket.SOCK_DGRAM) as door:
        for share in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            door.setsockopt(socket.SOL_SOCKET, share, 1)
        try:
            door.bind(("", PORT))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OSError(f"UDP port {PORT} is held by a program that does not share it") from None
            raise


def _bind_to(link: Link, zeroconf: Zeroconf) -> None:
    """Hear one interface alone: Linux gives a socket what came for any group that any program joined."""
    for reader in zeroconf.engine.readers:
        door = reader.transport.get_extra_info("socket")
        door.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")


def _family(is_ipv6: bool) -> str:  # noqa: FBT001 - zeroconf's word for it
    return "IPv6" if is_ipv6 else "IPv4"

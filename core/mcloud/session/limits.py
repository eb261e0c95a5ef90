"""How much strangers may take of a door, and who gives way when it is too much."""

import ipaddress
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Patience in seconds, sizes in bytes."""

    ping_every: float = 1.0
    silence: float = 4.0
    """No byte for so long, though asked: the other side is gone."""
    word: float = 24 * 3600.0
    """Between two words of an initiator that is there: a person may think between them."""
    tls: float = 5.0
    """For connecting and the TLS handshake."""
    exchange: float = 20.0
    """For all that a stranger does, from its first packet on."""
    strangers: int = 64
    per_source: int = 8
    stranger_message: int = 4096
    stranger_messages: int = 8
    initiator_message: int = 8 * 2**20
    """From an initiator whose certificate is pinned: a proposal holds the surveys of all machines."""
    joiner_message: int = 512 * 2**10
    """From a joiner whose certificate is pinned: the largest holds one survey, of some KiB."""
    pace: float = 512 * 2**10
    """Bytes a second that are read of one joiner or stranger: a flood of one stalls nobody else."""
    joiner_connections: int = 2
    """Of one certificate: the one in use, and the one by which a machine comes back."""
    stretch: float = 1.0
    """How much longer than asked for a message is waited for."""

    def stretched(self, factor: float) -> "Limits":
        """Return limits with a slow machine's patience; numbers and sizes stay as they are."""
        return replace(
            self,
            # Never rarer: they keep the way open through firewalls. But silence is told by several.
            ping_every=self.ping_every * min(factor, 1.0),
            silence=self.silence * factor,
            tls=self.tls * factor,
            exchange=self.exchange * factor,
            stretch=self.stretch * factor,
        )


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What one connection may do; None: as much as it likes."""

    message: int
    """Bytes of a message that is read."""
    says: int
    """Bytes of a message that is sent."""
    messages: int | None
    unread: int
    """Waiting to be taken by us, each message with some more than its bytes; then no more is read."""
    pace: float | None
    """Bytes read in a second, each frame with some more than its bytes; None: any."""
    in_all: int | None
    deadline: float | None


def stranger_terms(limits: Limits) -> Terms:
    """Return the terms of a connection on which nobody has proven anything."""
    unread = limits.stranger_message * limits.stranger_messages
    return Terms(
        message=limits.stranger_message,
        says=limits.stranger_message,
        messages=limits.stranger_messages,
        unread=unread,
        pace=limits.pace,
        in_all=unread + 16 * 1024,  # the opening request, frames' heads, pings and pongs
        deadline=limits.exchange,
    )


def member_terms(limits: Limits, *, server: bool) -> Terms:
    """Return the terms of a connection with a pinned certificate on its other side.

    `server` says which side this is: the initiator says more than it hears.
    """
    read, says = limits.initiator_message, limits.joiner_message
    if server:
        read, says = says, read
    return Terms(
        message=read,
        says=says,
        messages=None,
        unread=2 * read,
        pace=limits.pace if server else None,
        in_all=None,
        deadline=None,
    )


def plain_address(address: str) -> str:
    """Return an address without a scope and without the IPv6 clothes of an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def printable(text: str, longest: int = 120) -> str:
    """Return what somebody else said, cut short, without control characters."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:longest]
    )


@dataclass(eq=False, kw_only=True, slots=True)
class Visitor:
    """One connection of a stranger, from its first packet until nothing of it is left."""

    source: str
    cut: Callable[[], None]
    carrier: str = ""
    """What carries several sources: a neighbour's link-layer address; the source itself if there is none."""
    stage: int = 0
    """How far it got: 0 connected, 1 began TLS, 2 finished TLS, 3 and more: messages."""
    waiting_since: float = 0.0
    """When it was its turn to say something."""
    our_turn: bool = False
    """It has said its part and waits for us: not idle."""

    def __post_init__(self) -> None:
        self.carrier = self.carrier or self.source


@dataclass(kw_only=True, slots=True)
class Crowd:
    """All strangers at one door; used by one thread only."""

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    visitors: set[Visitor] = field(default_factory=set)

    def enter(self, visitor: Visitor) -> bool:
        """Let a newcomer in, cutting somebody else if there are too many; False: it has to stay outside."""
        sources = Counter(other.source for other in self.visitors)
        if sources[visitor.source] >= self.limits.per_source:
            there_is_room = self._cut_one_of({visitor.source}, fair=False)
        elif sources.total() >= self.limits.strangers:
            largest, number = self._largest()
            mine = sum(other.carrier == visitor.carrier for other in self.visitors)
            there_is_room = self._cut_one_of(largest, fair=number > mine + 1)
        else:
            there_is_room = True
        if there_is_room:
            visitor.waiting_since = self.clock()
            self.visitors.add(visitor)
        return there_is_room

    def leave(self, visitor: Visitor) -> None:
        """Forget a visitor: it has proven itself, or is gone."""
        self.visitors.discard(visitor)

    def heard(self, visitor: Visitor, *, stage: int, our_turn: bool) -> None:
        """Note that a visitor got on, and whose turn it is now."""
        visitor.stage = max(visitor.stage, stage)
        visitor.our_turn = our_turn
        visitor.waiting_since = self.clock()

    def give_way(self) -> bool:
        """Cut one visitor of the largest source, to have its file descriptor back; False: none is left."""
        return self._cut_one_of(self._largest()[0], fair=True)

    def _largest(self) -> tuple[set[str], int]:
        """Return the largest sources behind the largest carriers, and how many visitors those carry each."""
        carriers = Counter(other.carrier for other in self.visitors)
        number = max(carriers.values(), default=0)
        sources = Counter(other.source for other in self.visitors if carriers[other.carrier] == number)
        most = max(sources.values(), default=0)
        return {source for source, visitors in sources.items() if visitors == most}, number

    def _cut_one_of(self, sources: set[str], *, fair: bool) -> bool:
        """Cut who got least far and waits longest; one whom we keep waiting only where that is `fair`."""
        rivals = [
            other for other in self.visitors if other.source in sources and (fair or not other.our_turn)
        ]
        if not rivals:
            return False
        last = min(rivals, key=lambda other: (other.our_turn, other.stage, other.waiting_since))
        self.visitors.discard(last)
        last.cut()
        return True

"""What was heard of initiators: all discovery plugins' beacons, put together to a list of distinct ones.

Nothing in a beacon is believed, and anybody on the network can send any number of them. So what is
kept is bounded, and the list is only where to knock: who is there is shown by trust alone.
"""

import hashlib
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from mcloud.model import Beacon
from mcloud.session.protocol import VERSION

MOST, OF_A_PLUGIN, OF_A_NAME, ADDRESSES = 256, 128, 16, 8
"""Beacons that are kept in all, of one plugin, and of one name; addresses of one initiator that are tried."""
SAME = 16
"""Hex digits by which two plugins' starts of a fingerprint are compared; they may tell different lengths."""
_HEX = re.compile(r"[0-9a-f]{0,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One initiator as its beacons describe it."""

    key: str
    """The same for the same session of the same machine."""
    name: str
    addresses: tuple[str, ...]
    port: int
    session: str = ""
    version: int = 0
    """Of the protocol; 0 if it is not known before one asks."""
    fingerprint: str = ""
    """Start of its certificate's SHA-256, hex; "" if it is not announced."""
    claims: tuple[tuple[str, str], ...] = ()
    """The fingerprint's start as announced with each address."""
    plugins: tuple[str, ...] = ()
    given: bool = False
    """A person gave its address: no need to wait whether there are others."""
    since: float = 0.0
    """When it was first heard, by the clock of `Sightings`."""

    @property
    def closed(self) -> str:
        """Why it cannot be joined; "" if it can."""
        if self.version in {0, VERSION}:
            return ""
        return f"speaks protocol {self.version}, this mcloud speaks {VERSION}"

    @property
    def mark(self) -> str:
        """The start of its fingerprint in groups of four, as `certificates.short` has it."""
        start = self.fingerprint[:20]
        return " ".join(start[place : place + 4] for place in range(0, len(start), 4))

    def is_named(self, name: str) -> bool:
        """Whether a person may mean it by this: its name, its session, or one of its addresses."""
        return name in {self.name, self.session, *self.addresses}

    def is_still(self, before: "Found") -> bool:
        """Whether this is what was found before, perhaps with more known of it: the same session."""
        there = set(self.addresses) & set(before.addresses) and self.port == before.port
        sessions = {self.session, before.session} - {""}
        return self.key == before.key or (bool(there) and len(sessions) <= 1)

    def is_led_as(self, before: "Found") -> bool:
        """Whether it has the same code, as far as is known: the same session, perhaps at another place."""
        said = (self.session, self.fingerprint)
        return self.is_still(before) or (self.session != "" and said == (before.session, before.fingerprint))

    @property
    def place(self) -> str:
        """Where it is said to be."""
        return f"{', '.join(self.addresses)}, port {self.port}"

    def __str__(self) -> str:
        return self.place if self.name in {"", *self.addresses} else f"{self.name} ({self.place})"


@dataclass(slots=True)
class _Sighting:
    plugin: str
    beacon: Beacon
    claim: str
    first: float
    heard: float

    @property
    def endpoint(self) -> tuple[str, int]:
        return str(self.beacon.address), self.beacon.port

    @property
    def who(self) -> tuple[str, str, int]:
        return self.beacon.session, self.claim[:SAME], self.beacon.port

    @property
    def bare(self) -> bool:
        """Whether it is an address and nothing else."""
        return not (self.beacon.session or self.claim)


@dataclass
class Sightings:
    """All beacons that are kept; not thread-safe."""

    given: Collection[tuple[str, int]] = ()
    """(name or address, port) that a person gave."""
    clock: Callable[[], float] = time.monotonic
    _kept: dict[tuple[object, ...], _Sighting] = field(default_factory=dict)
    _refused: dict[tuple[str, int, str], None] = field(default_factory=dict)

    def hear(self, plugin: str, beacon: Beacon) -> int:
        """Take note of a beacon, unless it is junk; return how many are kept, 0 if this one was no news."""
        claim = re.sub(r"[\s:]", "", beacon.fingerprint).lower()
        if not _HEX.fullmatch(claim) or (str(beacon.address), beacon.port, claim) in self._refused:
            return 0
        now = self.clock()
        key = (plugin, beacon.name, beacon.session, claim, beacon.version, str(beacon.address), beacon.port)
        if key in self._kept:
            self._kept[key].heard = now
            return 0
        self._kept[key] = _Sighting(plugin, beacon, claim, now, now)
        self._make_room(lambda one: one.plugin == plugin and one.beacon.name == beacon.name, OF_A_NAME)
        self._make_room(lambda one: one.plugin == plugin, OF_A_PLUGIN)
        self._make_room(lambda _one: True, MOST)
        return len(self._kept)

    def refuse(self, address: str, port: int, claim: str) -> None:
        """Forget those who announced a certificate that is not the one shown there, now and later."""
        self._refused[address, port, claim] = None
        while len(self._refused) > MOST:
            self._refused.pop(next(iter(self._refused)))
        self._kept = {
            key: one for key, one in self._kept.items() if (*one.endpoint, one.claim) not in self._refused
        }

    def forget(self, plugin: str, *, before: float) -> None:
        """Forget what a plugin has not heard since."""
        self._kept = {
            key: one for key, one in self._kept.items() if one.plugin != plugin or one.heard >= before
        }

    def found(self) -> tuple[Found, ...]:
        """Return the distinct initiators, in the order in which they were first heard."""
        seen = sorted(self._kept.values(), key=lambda one: one.first)
        over = _replaced(seen)
        groups: dict[tuple[object, ...], list[_Sighting]] = {}
        for one in seen:
            if one.bare:
                groups.setdefault(("bare", one.plugin, one.beacon.name, one.beacon.port), []).append(one)
            elif one.who not in over:
                groups.setdefault(one.who, []).append(one)
        _recognise(groups)
        found = (self._found(who, sightings) for who, sightings in groups.items())
        return tuple(sorted(found, key=lambda one: one.since))

    def _found(self, who: tuple[object, ...], seen: Sequence[_Sighting]) -> Found:
        # Who copies an initiator's beacon with another version does not close it.
        fitting = [one for one in seen if one.beacon.version in {0, VERSION}] or seen
        telling = [one for one in fitting if not one.bare] or fitting
        claims: dict[str, str] = {}
        for one in fitting:
            address = one.endpoint[0]
            claims[address] = max(claims.get(address, ""), one.claim, key=len)
        beacon = telling[0].beacon
        return Found(
            key=hashlib.sha256(repr(who).encode()).hexdigest()[:8],
            name=beacon.name,
            addresses=tuple(claims)[:ADDRESSES],
            port=beacon.port,
            session=beacon.session,
            version=beacon.version,
            fingerprint=telling[0].claim,
            claims=tuple(claims.items()),
            plugins=tuple(dict.fromkeys(one.plugin for one in seen)),
            given=any(one.bare and (one.beacon.name, one.beacon.port) in self.given for one in seen),
            since=min(one.first for one in seen),
        )

    def _make_room(self, counts: Callable[[_Sighting], bool], most: int) -> None:
        """Forget one of those that count if they are too many.

        Those heard first keep their places, half of all; of the others the one not heard of for the
        longest time goes. So neither who was there before a flood drowns in it, nor who comes late.
        """
        rivals = {key: one for key, one in self._kept.items() if counts(one)}
        if len(rivals) > most:
            late = sorted(rivals, key=lambda key: rivals[key].first)[most // 2 :]
            self._kept.pop(min(late, key=lambda key: rivals[key].heard))


def _replaced(seen: Sequence[_Sighting]) -> set[tuple[str, str, int]]:
    """Return sessions that are over: another one of the same certificate came up at the same place."""
    latest: dict[tuple[object, ...], tuple[str, str, int]] = {}
    sessions = [one for one in seen if one.beacon.session]
    for one in sessions:
        latest[*one.endpoint, one.claim[:SAME]] = one.who
    return {one.who for one in sessions if latest[*one.endpoint, one.claim[:SAME]] != one.who}


def _recognise(groups: dict[tuple[object, ...], list[_Sighting]]) -> None:
    """Put bare addresses to the one initiator that is heard at one of them."""
    heard_at: dict[tuple[str, int], set[tuple[object, ...]]] = {}
    for who, seen in groups.items():
        for one in seen:
            if not one.bare:
                heard_at.setdefault(one.endpoint, set()).add(who)
    for who, seen in [(who, seen) for who, seen in groups.items() if seen[0].bare]:
        there = set().union(*(heard_at.get(one.endpoint, ()) for one in seen))
        if len(there) == 1:
            known = groups[there.pop()]
            known[:] = sorted([*known, *groups.pop(who)], key=lambda one: one.first)

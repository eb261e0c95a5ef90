"""The joiners of one session, as the initiator knows them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from threading import Condition, RLock
from typing import Any, Literal, get_args

from mcloud.errors import ProtocolError
from mcloud.inputs import Inputs
from mcloud.plan import Stage
from mcloud.session.certificates import fingerprint
from mcloud.session.limits import printable
from mcloud.session.protocol import (
    Farewell,
    Go,
    Introduction,
    Joined,
    Message,
    Mood,
    Outlook,
    Refusal,
    encode,
)
from mcloud.session.transport import Connection, ConnectionLost
from mcloud.session.writing import Encoder

Standing = Literal["here", "away", "trusted", "parted", "failed", "refused"]
"""Connected; cut off without a goodbye; pinned, but not yet seen; left; out of the run; not taken."""
MOST_GUESTS = 1000
"""Certificates that are pinned in one session: who has the code can make as many as he likes."""
_NEARNESS: tuple[Standing, ...] = get_args(Standing)


@dataclass
class Guest:
    """One joiner: pinned, here or away, and how far it has come."""

    name: str
    fingerprint: str
    certificate: str
    address: str = ""
    standing: Standing = "trusted"
    connection: Connection | None = None
    taken: bool = False
    """It is in the roster of a run that began before this session: its name stays what it is."""
    introduction: Introduction | None = None
    outlook: Outlook | None = None
    reason: str = ""
    """Why it is not here, or was not taken."""
    goodbye: Mood | None = None
    """How it said goodbye; None: it did not."""
    refusal: Refusal | None = None
    """What it is told if it is not taken."""
    done: set[Stage] = field(default_factory=set)
    facts: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Plugins whose lane waits for a token, in this connection."""
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    said: set[str] = field(default_factory=set)
    """What was sent in this connection."""
    entering: bool = False
    """It was told to enter in this connection, and has not said since that it is in: it looks first."""
    encode: Callable[[Message], bytes] = field(default=encode, repr=False)
    """Writes what it is told: one for all guests of a lobby, so that what all are told is written once."""
    lock: RLock = field(default_factory=RLock)

    def come(
        self, connection: Connection, introduction: Introduction, refusal: Refusal | None = None
    ) -> Connection | None:
        """Take a new connection of this joiner, also if it is only to be refused; return the older one.

        That is to be closed by the caller, once it holds no lock: to close takes its time.
        """
        with self.lock:
            old, self.connection = self.connection, connection
            self.introduction, self.refusal = introduction, None
            if self.standing != "failed":
                self.standing, self.reason = "here", ""
            self.outlook, self.address = None, connection.peer_address
            self.asked.clear()
            self.said.clear()
            self.entering = False
            if refusal is not None:
                self.refuse(refusal)
            return old

    def refuse(self, refusal: Refusal) -> None:
        """Take note that it is not taken, and why; it can come again."""
        with self.lock:
            if self.standing != "failed":
                self.standing, self.refusal = "refused", refusal
                self.reason = "; ".join(refusal.problems) or refusal.reason

    def note(self, message: Joined) -> None:
        """Take note that it is through a stage, and of what its joins offered."""
        self.done.add(message.stage)
        self.entering = self.entering and message.stage != "enter"
        self.facts = message.facts or self.facts

    def part(self, message: Farewell, *, for_good: bool) -> None:
        """Take note of its goodbye; `for_good`: it is not expected back."""
        self.reason, self.goodbye = self.reason or printable(message.reason, longest=500), message.mood
        if self.standing == "here" and for_good:
            self.standing = "parted"

    def enter_again(self) -> None:
        """Forget how far it came: it goes through the stage `enter` once more, with another roster."""
        with self.lock:
            self.done -= {"enter", "adapt"}
            self.asked.clear()
            self.said = {once for once in self.said if not once.startswith(("go ", "token "))}
            self.tokens.clear()

    def leave(self, connection: Connection, reason: str) -> bool:
        """Note that a connection is gone; return whether it was the one in use."""
        with self.lock:
            if self.connection is not connection:
                return False
            self.connection = None
            if self.standing not in {"failed", "refused"}:
                self.reason = reason
            if self.standing == "here":
                self.standing = "away"
            return True

    def say(self, message: Message, *, once: str) -> None:
        """Send a message, once a connection; a lost connection is noticed by who listens on it."""
        with self.lock:
            if once in self.said or self.connection is None:
                return
            self.said.add(once)
            self.entering = self.entering or (isinstance(message, Go) and message.stage == "enter")
            try:
                self.connection.send(self.encode(message))
            except ConnectionLost:
                return


class Lobby:
    """All joiners of a session, by fingerprint; `changed` is notified of every change."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.changed = Condition(RLock())
        self.chosen: frozenset[str] | None = None
        """Fingerprints of those who take part; None: that is not clear yet."""
        self.held: frozenset[str] = frozenset()
        """Fingerprints of those who fell out of the run before, and may wait until the others are done."""
        self._guests: dict[str, Guest] = {}
        self._encode = Encoder()

    def pin(self, name: str, certificate: str, address: str = "", *, taken: bool = False) -> Guest:
        """Trust a machine's certificate from now on; the same one again changes nothing but its name.

        Not even that while it is here, because then it is another machine with the same certificate, and
        never once it was `taken` (which it also is by being chosen): it is in a roster by that name.
        Raises ProtocolError if there are too many.
        """
        mark = fingerprint(certificate)
        with self.changed:
            if mark not in self._guests and len(self._guests) >= MOST_GUESTS:
                raise ProtocolError(f"there are {MOST_GUESTS} machines in this session already")
            new = Guest(name, mark, certificate, address, encode=self._encode)
            guest = self._guests.setdefault(mark, new)
            if guest.standing != "here" and not guest.taken and mark not in (self.chosen or ()):
                guest.name = name
            guest.taken = guest.taken or taken
            self.changed.notify_all()
            return guest

    def pins(self) -> dict[str, str]:
        """Return the certificates that may come in, by fingerprint."""
        with self.changed:
            return {mark: guest.certificate for mark, guest in self._guests.items()}

    def guest(self, mark: str) -> Guest:
        """Return the guest with this certificate. Raises ProtocolError for a stranger."""
        with self.changed:
            if mark not in self._guests:
                raise ProtocolError("a machine came in that is not pinned")
            return self._guests[mark]

    def all(self) -> tuple[Guest, ...]:
        """Return all guests, by name."""
        with self.changed:
            return tuple(sorted(self._guests.values(), key=lambda guest: guest.name))

    def here(self) -> tuple[Guest, ...]:
        """Return those who are connected and have introduced themselves."""
        return tuple(guest for guest in self.all() if guest.standing == "here")

    def distinct(self) -> tuple[Guest, ...]:
        """Return one guest of each name: see `named`."""
        with self.changed:
            names = {guest.name: None for guest in self.all()}
            return tuple(guest for name in names if (guest := self.named(name)) is not None)

    def named(self, name: str) -> Guest | None:
        """Return the guest of this name: who takes part goes first, then who is here, then others."""

        def distance(guest: Guest) -> tuple[bool, int]:
            return guest.fingerprint not in (self.chosen or ()), _NEARNESS.index(guest.standing)

        return min((guest for guest in self.all() if guest.name == name), key=distance, default=None)

    def choose(self, names: Collection[str]) -> None:
        """Take those of these names who are here or were last."""
        with self.changed:
            self.chosen = frozenset(guest.fingerprint for guest in self.distinct() if guest.name in names)
            self.changed.notify_all()

    def take(self, inputs: Inputs) -> None:
        """Take the joiners of a roster and nobody else; who fell out of it may wait. Hold `changed`."""
        self.chosen = frozenset(node.fingerprint for node in inputs.joiners)
        self.held = frozenset(node.fingerprint for node in inputs.fallen)

    def may_stay(self, guest: Guest) -> bool:
        """Return whether a machine takes part, or waits until the others are done."""
        return self.may_take_part(guest) or guest.fingerprint in self.held

    def may_take_part(self, guest: Guest) -> bool:
        """Return whether a machine is one of those chosen, or nobody has been chosen yet."""
        return self.chosen is None or guest.fingerprint in self.chosen

    def taken(self) -> tuple[Guest, ...]:
        """Return those who were chosen, by name; nobody before that."""
        return tuple(guest for guest in self.all() if guest.fingerprint in (self.chosen or ()))

    def wait_for_goodbyes(self, awaited: Collection[str], patience: float) -> None:
        """Wait until nobody is here, and none of those `awaited` is away and could come back."""

        def may_say_it(guest: Guest) -> bool:
            return guest.standing == "here" or (
                guest.name in awaited and guest.standing in {"away", "trusted"}
            )

        with self.changed:
            self.changed.wait_for(lambda: not any(map(may_say_it, self.all())), timeout=patience)

    def enter_again(self) -> None:
        """Have all go through the stage `enter` once more."""
        for guest in self.all():
            guest.enter_again()

    def note(self) -> None:
        """Wake those who wait for a change."""
        with self.changed:
            self.changed.notify_all()

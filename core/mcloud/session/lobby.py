"""The joiners of one session, as the initiator knows them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from threading import Condition, RLock
from typing import Any, Literal, get_args

from mcloud.errors import ProtocolError
from mcloud.plan import Stage
from mcloud.session.certificates import fingerprint
from mcloud.session.protocol import Hello, Introduction, Message, Outlook, encode
from mcloud.session.transport import Connection, ConnectionLost

Standing = Literal["here", "away", "trusted", "parted", "failed"]
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
    introduction: Introduction | None = None
    outlook: Outlook | None = None
    reason: str = ""
    done: set[Stage] = field(default_factory=set)
    facts: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Plugins whose lane waits for a token, in this connection."""
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    said: set[str] = field(default_factory=set)
    """What was sent in this connection."""
    lock: RLock = field(default_factory=RLock)

    def come(self, connection: Connection, introduction: Introduction) -> None:
        """Take a new connection of this joiner; an older one is closed."""
        with self.lock:
            if self.connection is not None:
                self.connection.close("it came back on another connection")
            self.connection, self.introduction = connection, introduction
            if self.standing != "failed":
                self.standing, self.reason = "here", ""
            self.outlook, self.address = None, connection.peer_address
            self.asked.clear()
            self.said.clear()

    def leave(self, connection: Connection, reason: str) -> bool:
        """Note that a connection is gone; return whether it was the one in use."""
        with self.lock:
            if self.connection is not connection:
                return False
            self.connection, self.reason = None, reason
            if self.standing == "here":
                self.standing = "away"
            return True

    def say(self, message: Message, *, once: str) -> None:
        """Send a message, once a connection; a lost connection is noticed by who listens on it."""
        with self.lock:
            if once in self.said or self.connection is None:
                return
            self.said.add(once)
            try:
                self.connection.send(encode(message))
            except ConnectionLost:
                return


class Lobby:
    """All joiners of a session, by fingerprint; `changed` is notified of every change."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.changed = Condition(RLock())
        self._guests: dict[str, Guest] = {}

    def pin(self, name: str, certificate: str, address: str = "") -> Guest:
        """Trust a machine's certificate from now on; the same one again changes nothing."""
        mark = fingerprint(certificate)
        with self.changed:
            guest = self._guests.setdefault(
                mark, Guest(name=name, fingerprint=mark, certificate=certificate, address=address)
            )
            guest.name = name
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

    def named(self, name: str) -> Guest | None:
        """Return the guest of this name; one who is here goes before one who is away or left."""
        found = [guest for guest in self.all() if guest.name == name]
        return min(found, key=lambda guest: _NEARNESS.index(guest.standing), default=None)

    def wait_for_goodbyes(self, awaited: Collection[str], patience: float) -> None:
        """Wait until nobody is here, and none of those `awaited` is away and could come back."""

        def may_say_it(guest: Guest) -> bool:
            return guest.standing == "here" or (
                guest.name in awaited and guest.standing in {"away", "trusted"}
            )

        with self.changed:
            self.changed.wait_for(lambda: not any(map(may_say_it, self.all())), timeout=patience)

    def note(self) -> None:
        """Wake those who wait for a change."""
        with self.changed:
            self.changed.notify_all()


def hello_name(hello: Hello, *, own: str) -> str:
    """Return a joiner's name. Raises ProtocolError if it is the initiator's own."""
    if hello.name == own:
        raise ProtocolError(
            f"a machine that calls itself {own}, like this one, wants to join",
            hint="give it a host name of its own",
        )
    return hello.name

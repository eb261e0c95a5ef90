"""Meeting the joiners on the initiator: code, door, announcements, and waiting for people."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.announcing import announced
from mcloud.attendance import absent
from mcloud.errors import DiscoveryError, McloudError
from mcloud.fitting import unfit
from mcloud.hosting import Hosting
from mcloud.inputs import Inputs
from mcloud.minding import Minding
from mcloud.model import Beacon, Node
from mcloud.operator import Operator
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.session.certificates import Credentials, short
from mcloud.session.code import make_code
from mcloud.session.door import Door
from mcloud.session.guesses import GuessBook
from mcloud.session.initiator import Initiator
from mcloud.session.limits import DEFAULT_LIMITS
from mcloud.session.lobby import Guest
from mcloud.session.protocol import VERSION
from mcloud.session.tally import CLOSED, Strangers
from mcloud.session.transport import Connection
from mcloud.state import Pin, State
from mcloud.waits import waited_for

CODE_AFTER = 5.0
"""Seconds to wait for machines that are known by their pins before the code is shown after all: one may
have lost its power before it wrote down whom it trusts."""


@dataclass
class Meeting:
    """The initiator's open session."""

    plugins: Plugins
    state: State
    known: Secrets
    credentials: Credentials
    node: Node
    order: Order
    operator: Operator
    hosting: Hosting
    listen: str = ""
    """Address to listen on, the machine's own if empty."""
    initiator: Initiator = field(init=False)
    _door: Door | None = None
    _code_shown: bool = False
    _strangers: Strangers = field(init=False)

    def __post_init__(self) -> None:
        self._strangers = Strangers(self.operator.notice)
        own = self.order.code
        code = own or make_code()
        self.known.add(code)
        book = GuessBook(
            code,
            renew=None if own else self._renewed,
            on_change=lambda new: self.operator.show_code(new, renewed=True),
            on_failure=self._strangers.guessed,
            on_closed=lambda: self.operator.notice(CLOSED),
        )
        self.initiator = Initiator(
            plugins=self.plugins,
            credentials=self.credentials,
            name=self.node.name,
            address=self.node.address,
            method=self.order.trust,
            book=book,
            listener=self.hosting,
            purpose=self.order.purpose,
            on_pin=self._pin_if_running,
            vet=lambda said: unfit(said, me=self.node, services=self.order.services, plugins=self.plugins),
        )

    @contextmanager
    def session(self, pins: dict[str, Pin], roster: Inputs | None) -> Iterator[None]:
        """Be open to joiners, those of an unfinished run by their pins; show the code if it may be needed."""
        if self.order.alone:
            yield
            return
        for name, pin in pins.items():
            self.initiator.lobby.pin(name, pin.certificate, taken=True)
        strangers = roster is None or any(node.name not in pins for node in roster.joiners)
        if self.order.code is not None:  # they have it from their operator, and it is not for this screen
            self.operator.notice(f"waiting for {', '.join(list(self.order.machines)[1:]) or 'machines'}")
        elif strangers:
            self._show_code()
        self._door = door = Door(
            self.credentials,
            pins=self.initiator.lobby.pins,
            on_stranger=self._stranger,
            on_member=self.initiator.member,
            address=self.listen or self.node.address,
            port=self.order.port,
            limits=DEFAULT_LIMITS.stretched(self.order.deadlines),
        )
        with door, self._announced(door.port):
            yield

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Wait until something holds, looking after each change. Raises DiscoveryError after the patience."""
        if not self.order.alone:
            with waited_for(lambda: f"{what}{self._missing()}"):
                self._wait(until, what)

    def _wait(self, until: Callable[[], bool], what: str) -> None:
        changed, begun = self.initiator.lobby.changed, time.monotonic()
        while True:
            with changed:
                waited = time.monotonic() - begun
                if until():
                    return
                if waited < self.order.patience:
                    changed.wait(min(self.order.patience - waited, 1.0))
            if self.initiator.farewell is not None:
                raise McloudError(f"the session is over: {self.initiator.farewell.reason}")
            # From here on without the lock: the screen may be waiting for it.
            if waited >= self.order.patience:
                raise DiscoveryError(
                    f"waited {self.order.patience:.0f} s for {what}{self._missing()}",
                    hint="type `mcloud join` (or `preseed FILE`) there, then this command again",
                )
            if waited >= CODE_AFTER and not self._code_shown and self.order.code is None:
                self._show_code()
                self.operator.notice("a machine that lost what it knew of this run is let in by that code")

    def wait_for_chosen(self) -> None:
        """Wait for those who were picked and have left since, or are away."""
        lobby = self.initiator.lobby
        if missing := self._missing():
            self.operator.notice(f"waiting for machines that were picked{missing}")
        self.wait(lambda: (lobby.chosen or set()) <= {one.fingerprint for one in lobby.here()}, "machines")

    def remember(self, inputs: Inputs) -> None:
        """Write down the pins of those who take part."""
        for guest in self.initiator.lobby.taken():
            self.state.pin(inputs.run, guest.name, guest.fingerprint, guest.certificate)

    def certificates(self) -> dict[str, str]:
        """Return the certificates (PEM) of all machines, by name."""
        guests = self.initiator.lobby.taken()
        return {self.node.name: self.credentials.certificate} | {one.name: one.certificate for one in guests}

    @property
    def port(self) -> int:
        """The TCP port that joiners dial."""
        return self._door.port if self._door is not None else self.order.port

    def close_to_strangers(self) -> None:
        """Let nobody in any more but members: each has written down by now whom it trusts."""
        if self._door is not None:
            self._door.strangers_welcome = False

    def stop(self, reason: str) -> None:
        """Begin to end, from any thread: waits end, nothing new starts, joiners are told why."""
        if self.hosting.execution is not None:
            self.hosting.execution.stop()
        self.initiator.part("aborted", reason)

    def minding(self) -> AbstractContextManager[None]:
        """While open: joiners that left, are away for too long or do not get on are cut off."""
        return Minding(
            self.initiator, self.hosting, patience=self.order.patience, stretch=self.order.deadlines
        ).minding()

    def _missing(self) -> str:
        lobby = self.initiator.lobby
        missing = absent(lobby, list(self.order.machines)[1:] or [guest.name for guest in lobby.taken()])
        if not missing and self.initiator.phase == "propose":
            missing = ", ".join(guest.name for guest in lobby.taken() if guest.outlook is None)
        return f": {missing}" if missing else ""

    def _show_code(self) -> None:
        if self.initiator.book is not None:
            self.operator.notice(f"this machine's fingerprint is {short(self.credentials.fingerprint)}")
            self.operator.show_code(self.initiator.book.code, renewed=False)
            self._code_shown = True

    def _renewed(self) -> SecretStr:
        code = make_code()
        self.known.add(code)
        return code

    def _pin_if_running(self, guest: Guest) -> None:
        """Remember a joiner that came back without its pin while its run goes on."""
        inputs = self.hosting.inputs
        known = inputs.node(guest.name) if inputs is not None else None
        if inputs is not None and known is not None and known.fingerprint == guest.fingerprint:
            self.state.pin(inputs.run, guest.name, guest.fingerprint, guest.certificate)

    def _stranger(self, connection: Connection) -> None:
        with self._strangers.visit(connection.peer_address):
            self.initiator.stranger(connection)

    def _announced(self, port: int) -> AbstractContextManager[None]:
        beacon = {
            "name": self.node.name,
            "address": self.node.address,
            "port": port,
            "session": self.initiator.session,
            "version": VERSION,
            "fingerprint": self.credentials.fingerprint[:16],
        }
        return announced(
            Beacon.model_validate(beacon),
            plugins=self.plugins,
            discovery=self.order.discovery,
            settings=self.order.settings,
            notice=self.operator.notice,
        )

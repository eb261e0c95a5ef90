"""Meeting the joiners on the initiator: code, door, announcements, and waiting for people."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.errors import DiscoveryError, McloudError, TrustError
from mcloud.hosting import Hosting
from mcloud.inputs import Inputs
from mcloud.model import Beacon, Node
from mcloud.operator import Operator
from mcloud.order import Order
from mcloud.plugins import Plugins
from mcloud.secrets import Secrets
from mcloud.session.certificates import Credentials
from mcloud.session.code import make_code
from mcloud.session.door import Door
from mcloud.session.guesses import GuessBook
from mcloud.session.initiator import Initiator
from mcloud.session.lobby import Guest
from mcloud.session.protocol import VERSION
from mcloud.session.transport import Connection
from mcloud.state import Pin, State


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

    def __post_init__(self) -> None:
        own = self.order.code
        code = own or make_code()
        self.known.add(code)
        book = GuessBook(
            code,
            renew=None if own else self._renewed,
            on_change=lambda new: self.operator.show_code(new, renewed=True),
            on_failure=lambda source, count: self.operator.notice(
                f"{source} gave a wrong code ({count} wrong so far); the session goes on"
            ),
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
        )

    @contextmanager
    def session(self, pins: dict[str, Pin], roster: Inputs | None) -> Iterator[None]:
        """Be open to joiners, those of an unfinished run by their pins; show the code if it may be needed."""
        if self.order.alone:
            yield
            return
        for name, pin in pins.items():
            self.initiator.lobby.pin(name, pin.certificate)
        strangers = roster is None or any(node.name not in pins for node in roster.joiners)
        if self.order.code is not None:  # they have it from their operator, and it is not for this screen
            self.operator.notice(f"waiting for {', '.join(list(self.order.machines)[1:]) or 'machines'}")
        elif strangers and self.initiator.book is not None:
            self.operator.show_code(self.initiator.book.code, renewed=False)
        with ExitStack() as open_:
            door = Door(
                self.credentials,
                pins=self.initiator.lobby.pins,
                on_stranger=self._stranger,
                on_member=self.initiator.member,
                address=self.listen or self.node.address,
                port=self.order.port,
            )
            open_.enter_context(door)
            self._announce(open_, door.port)
            yield

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Wait until something holds, looking after each change. Raises DiscoveryError after the patience."""
        if self.order.alone:
            return
        changed, deadline = self.initiator.lobby.changed, time.monotonic() + self.order.patience
        with changed:
            while not until():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise DiscoveryError(
                        f"waited {self.order.patience:.0f} s for {what}{self._missing()}",
                        hint="type `mcloud join` (or `preseed FILE`) there, then this command again",
                    )
                changed.wait(min(left, 1.0))

    def stop(self, reason: str) -> None:
        """Begin to end, from any thread: waits end, nothing new starts, joiners are told why."""
        if self.hosting.execution is not None:
            self.hosting.execution.stop()
        self.initiator.part("aborted", reason)

    @contextmanager
    def minding(self) -> Iterator[None]:
        """While open: joiners that left, or are away for longer than the patience, are cut off."""
        done = threading.Event()
        minder = threading.Thread(target=self._mind_the_absent, args=(done,), daemon=True)
        minder.start()
        try:
            yield
        finally:
            done.set()
            minder.join()

    def _mind_the_absent(self, done: threading.Event) -> None:
        since: dict[str, float] = {}
        while not done.wait(0.5):
            if self.initiator.farewell is not None:
                return
            for guest in self.initiator.lobby.all():
                now = time.monotonic()
                if guest.standing in {"parted", "failed"}:
                    guest.standing = "failed"
                    self.hosting.cut_off(guest.name, guest.reason or "it left")
                elif guest.standing != "away":
                    since.pop(guest.name, None)
                elif now - since.setdefault(guest.name, now) > self.order.patience:
                    guest.standing = "failed"
                    guest.reason = f"nothing was heard of it for {self.order.patience:.0f} s"
                    self.hosting.cut_off(guest.name, guest.reason)

    def _missing(self) -> str:
        here = {guest.name for guest in self.initiator.lobby.here()}
        missing = [name for name in list(self.order.machines)[1:] if name not in here]
        return f": {', '.join(missing)} did not come" if missing else ""

    def _renewed(self) -> SecretStr:
        code = make_code()
        self.known.add(code)
        return code

    def _pin_if_running(self, guest: Guest) -> None:
        """Remember a joiner that came back without its pin while its run goes on."""
        if self.hosting.inputs is not None:
            self.state.pin(self.hosting.inputs.run, guest.name, guest.fingerprint, guest.certificate)

    def _stranger(self, connection: Connection) -> None:
        try:
            self.initiator.stranger(connection)
        except TrustError:
            raise  # the book of guesses has told of it
        except McloudError as error:
            self.operator.notice(f"{connection.peer_address} was turned away: {error}")
            raise

    def _announce(self, open_: ExitStack, port: int) -> None:
        beacon = Beacon.model_validate(
            {
                "name": self.node.name,
                "address": self.node.address,
                "port": port,
                "session": self.initiator.session,
                "version": VERSION,
                "fingerprint": self.credentials.fingerprint[:16],
            }
        )
        left = 0
        for name in self.order.discovery:
            try:
                settings = self.plugins.manifests[name].settings
                open_.enter_context(
                    self.plugins.announce(name, beacon=beacon, settings=settings and settings())
                )
                left += 1
            except McloudError as error:
                self.operator.notice(f"{name} cannot announce this machine: {error}")
        if not left:
            raise DiscoveryError(
                "no discovery plugin could announce this machine", hint="see the lines above"
            )

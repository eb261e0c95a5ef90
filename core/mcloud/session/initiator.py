"""The initiator's half of a session: the same verbs in the same order as `joiner.py`.

greet, agree, meet, welcome, hear, admit, follow, part. The door calls `stranger` and `member`,
each in a thread of its own; `forming.py` sets the phase and runs the plan.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mcloud.errors import McloudError, ProtocolError
from mcloud.model import Channel, Role
from mcloud.plugins import Plugins
from mcloud.session import possession
from mcloud.session.binding import binding_of
from mcloud.session.certificates import Credentials, short
from mcloud.session.due import NOT_PICKED, RUNNING, Phase, due, size, timely
from mcloud.session.guesses import GuessBook
from mcloud.session.listener import Listener
from mcloud.session.lobby import Guest, Lobby
from mcloud.session.protocol import (
    GOODBYE,
    Failed,
    Farewell,
    Go,
    Hello,
    Introduction,
    Joined,
    Mood,
    Outlook,
    Progress,
    Proposal,
    Ready,
    Refusal,
    decode,
)
from mcloud.session.refusing import let_in, refuse_hello, send_away, turn_away
from mcloud.session.shape import MOST_OF_A_JOINER
from mcloud.session.sources import carrier_of, source_of
from mcloud.session.transport import Connection, ConnectionLost
from mcloud.session.writing import greeting

_HEARD = (Outlook, Ready, Progress, Joined, Failed, Farewell)


@dataclass
class Initiator:
    """One session, from the initiator's side."""

    plugins: Plugins
    credentials: Credentials
    name: str
    address: str
    method: str
    book: GuessBook | None
    listener: Listener
    purpose: Literal["run", "plan"] = "run"
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    lobby: Lobby = field(default_factory=Lobby)
    on_pin: Callable[[Guest], None] = lambda _guest: None
    vet: Callable[[Introduction], Refusal | None] = lambda _said: None
    """Says why a newcomer does not fit; quick, and asks nobody."""
    phase: Phase = "gather"
    proposal: Proposal | None = None
    start: Go = field(default_factory=lambda: Go(stage="enter"))
    news: Go | None = None
    farewell: Farewell | None = None

    # ---- before trust ---------------------------------------------------------------------------------

    def stranger(self, connection: Connection) -> None:
        """Let a machine that is not pinned prove that it knows the code, then pin it."""
        if self.book is None:
            raise ProtocolError("nobody new is expected in this session")
        mine, theirs, hello = self.greet(connection)
        self.agree(connection, self.book, mine=mine, theirs=theirs, certificate=hello.certificate)
        guest = self.lobby.pin(hello.name, hello.certificate, connection.peer_address)
        self.on_pin(guest)
        self.listener.noticed(guest, f"knows the code (fingerprint {short(guest.fingerprint)})")

    def greet(self, connection: Connection) -> tuple[bytes, bytes, Hello]:
        """Hear the joiner's Hello and answer it; return both as the bytes they were, and theirs."""
        theirs = connection.receive(timeout=10)
        hello = decode(theirs, Hello)
        refuse_hello(hello, source=connection.peer_address, method=self.method)
        mine = greeting(
            role="initiator",
            methods=(self.method,),
            session=self.session,
            nonce=secrets.token_hex(16),
            name=self.name,
            address=self.address,
            certificate=self.credentials.certificate,
        )
        connection.send(mine)
        return mine, theirs, hello

    def agree(
        self, connection: Connection, book: GuessBook, *, mine: bytes, theirs: bytes, certificate: str
    ) -> None:
        """Have the code proven on both sides, a failure stays booked as a guess; then the other key."""
        binding = binding_of(
            initiator_hello=mine,
            joiner_hello=theirs,
            server_certificate=connection.server_certificate,
            method=self.method,
        )
        channel: Channel
        whence = connection.peer_address
        source, carrier = source_of(whence), carrier_of(whence)
        with book.exchange(connection, source=source, carrier=carrier) as (channel, code):
            self.plugins.trust(self.method, channel=channel, code=code, role=Role.INITIATOR, binding=binding)
        possession.verify(connection.receive(timeout=10), certificate=certificate, binding=binding)

    # ---- after trust ----------------------------------------------------------------------------------

    def member(self, connection: Connection, mark: str) -> None:
        """Serve a pinned machine as long as it is connected."""
        guest = self.lobby.guest(mark)
        reason = "this program made a mistake; its log says more"
        try:
            self.meet(guest, connection)
            while True:
                self.hear(guest, connection)
        except ConnectionLost as lost:
            reason = lost.reason
        except McloudError as error:
            reason = str(error)
            self._dismiss(guest, connection, reason)
        finally:
            self._gone(guest, connection, reason)

    def meet(self, guest: Guest, connection: Connection) -> None:
        """Hear who it is; it stays connected until it has heard why, if it is refused."""
        said = decode(connection.receive(timeout=60), Introduction, most=MOST_OF_A_JOINER)
        # Who is in the middle of a run was looked at before it began.
        if twin := let_in(guest, connection, said, lobby=self.lobby, vet=None if said.run else self.vet):
            self.listener.noticed(guest, f"stays; another machine was refused: {twin.reason}")
            turn_away(connection, twin)
            raise ConnectionLost(twin.reason, reason="turned away")
        self.listener.came(guest)
        self.welcome(guest)

    def choose(self, names: Collection[str]) -> None:
        """Take these machines and nobody else; who is here and was not picked is told at once."""
        self.lobby.choose(names)
        for guest in self.lobby.here():
            self.welcome(guest)

    def welcome(self, guest: Guest) -> None:
        """Say all that is due in this phase and has not been said in this connection."""
        if guest.standing == "here" and not self.lobby.may_stay(guest):
            guest.refuse(NOT_PICKED)
        for once, message in due(guest, self):
            guest.say(message, once=once)

    def hear(self, guest: Guest, connection: Connection) -> None:
        """Hear one message and do what it asks for."""
        message = decode(connection.receive(), *_HEARD, most=MOST_OF_A_JOINER)
        match message:
            case Outlook():
                self._hear_outlook(guest, message)
            case Ready() if timely(guest, message, phase=self.phase):
                self._hear_ready(guest, message)
            case Progress() | Joined() | Failed() if timely(guest, message, phase=self.phase):
                self.follow(guest, message)
            case Farewell():
                self._hear_farewell(guest, message)
                connection.close(GOODBYE)
                raise ConnectionLost(f"{guest.name} left", reason=message.reason or "it said goodbye")
        self.lobby.note()

    def enter(self, phase: Phase) -> None:
        """Go on to a phase and tell everybody what is due in it."""
        with self.lobby.changed:
            self.phase = phase
            if self.proposal is not None:
                self.lobby.take(self.proposal.inputs)
            self.lobby.changed.notify_all()
        for guest in self.lobby.all():
            self.welcome(guest)

    def admit(self, guest: Guest, plugin: str, value: str) -> None:
        """Hand a joiner its token of one plugin."""
        guest.tokens[plugin] = value
        self.welcome(guest)

    def follow(self, guest: Guest, message: Progress | Joined | Failed) -> None:
        """Take note of how far a joiner is, and of the end of its part, good or bad."""
        if isinstance(message, Progress):
            self.listener.progress(guest, message.happening)
            return
        if isinstance(message, Failed):
            guest.standing, guest.reason = "failed", "; ".join(message.lines)[:2000]
        elif message.stage == "enter" and message.roster != size(self.start.inputs):
            return  # said once more, of a larger roster
        else:
            guest.note(message)
        self.listener.settled(guest, message)
        self.welcome(guest)

    def part(
        self,
        mood: Mood,
        reason: str = "",
        *,
        cloud: Mapping[str, Any] | None = None,
        awaited: Collection[str] = (),
        patience: float = 15.0,
    ) -> None:
        """Say goodbye to all, and wait for the goodbye of those who are here and of those `awaited`."""
        self.farewell = Farewell(mood=mood, reason=reason[:4000], cloud=cloud)
        self.enter("over")
        self.lobby.wait_for_goodbyes(awaited, patience)

    # ---- what they said -------------------------------------------------------------------------------

    def _hear_outlook(self, guest: Guest, outlook: Outlook) -> None:
        if "proposal" not in guest.said or guest.outlook is not None:
            raise ProtocolError(f"{guest.name} showed a plan that nobody asked for")
        self.listener.outlook(guest, outlook)
        guest.outlook = outlook
        self.welcome(guest)

    def _hear_ready(self, guest: Guest, message: Ready) -> None:
        guest.asked.add(message.plugin)
        if message.plugin in guest.tokens:
            self.welcome(guest)
        else:
            self.listener.ready(guest, message.plugin, bytes.fromhex(message.request))

    def _hear_farewell(self, guest: Guest, message: Farewell) -> None:
        if message.mood == "done" and self.farewell is not None and self.farewell.mood == "done":
            self.listener.parted(guest)
        # Who is stopped in the middle of the run may come back, and go on.
        guest.part(message, for_good=message.mood != "aborted" or self.phase not in RUNNING)

    def _dismiss(self, guest: Guest, connection: Connection, reason: str) -> None:
        """Send away a joiner that does not keep to the script; its part in a run that began is over."""
        if self.proposal is not None and guest.connection is connection and guest.standing == "here":
            guest.standing, guest.reason = "failed", reason
        send_away(connection, reason)

    def _gone(self, guest: Guest, connection: Connection, reason: str) -> None:
        expected = guest.standing == "refused" or (guest.standing == "parted" and self.farewell is not None)
        if guest.leave(connection, reason) and not expected:
            what = "left" if guest.standing == "parted" else "is away"
            self.listener.noticed(guest, f"{what}: {reason}" if reason else what)
        self.lobby.note()

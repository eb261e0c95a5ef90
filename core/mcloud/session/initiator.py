"""The initiator's half of a session: the same verbs in the same order as `joiner.py`.

greet, agree, meet, welcome, hear, admit, follow, part. The door calls `stranger` and `member`,
each in a thread of its own; `forming.py` sets the phase and runs the plan.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal

from mcloud.errors import McloudError, ProtocolError
from mcloud.model import Channel, Role
from mcloud.plugins import Plugins
from mcloud.session.binding import binding_of
from mcloud.session.certificates import Credentials, vetted
from mcloud.session.guesses import GuessBook
from mcloud.session.limits import source_of
from mcloud.session.listener import Listener
from mcloud.session.lobby import Guest, Lobby, hello_name
from mcloud.session.protocol import (
    VERSION,
    Admission,
    Failed,
    Farewell,
    Go,
    Hello,
    Introduction,
    Joined,
    Message,
    Mood,
    Outlook,
    Progress,
    Proposal,
    Ready,
    Refusal,
    Token,
    decode,
    encode,
)
from mcloud.session.transport import Connection, ConnectionLost

Phase = Literal["gather", "propose", "admit", "enter", "adapt", "over"]
PHASES: tuple[Phase, ...] = ("gather", "propose", "admit", "enter", "adapt", "over")


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
    phase: Phase = "gather"
    proposal: Proposal | None = None
    news: Go | None = None
    """What goes with `Go(adapt)`: the facts, and the roster if it was cut."""
    farewell: Farewell | None = None

    # ---- before trust ---------------------------------------------------------------------------------

    def stranger(self, connection: Connection) -> None:
        """Let a machine that is not pinned prove that it knows the code, then pin it."""
        if self.book is None:
            raise ProtocolError("nobody new is expected in this session")
        mine, theirs, hello = self.greet(connection)
        self.agree(connection, self.book, mine=mine, theirs=theirs)
        guest = self.lobby.pin(hello.name, hello.certificate, connection.peer_address)
        self.on_pin(guest)
        self.listener.noticed(guest, "knows the code")

    def greet(self, connection: Connection) -> tuple[bytes, bytes, Hello]:
        """Hear the joiner's Hello and answer it; return both as the bytes they were, and theirs."""
        theirs = connection.receive(timeout=10)
        hello = decode(theirs, Hello)
        if hello.version != VERSION:
            raise ProtocolError(
                f"{connection.peer_address} speaks version {hello.version} of the protocol, we {VERSION}",
                hint="install the same version of mcloud on all machines",
            )
        if hello.role != "joiner" or self.method not in hello.methods:
            raise ProtocolError(
                f"{connection.peer_address} is no joiner that can use the trust method {self.method}"
            )
        vetted(hello.certificate)
        hello_name(hello, own=self.name)
        mine = encode(
            Hello(
                version=VERSION,
                role="initiator",
                methods=(self.method,),
                session=self.session,
                nonce=secrets.token_hex(16),
                name=self.name,
                address=ip_address(self.address),
                certificate=self.credentials.certificate,
            )
        )
        connection.send(mine)
        return mine, theirs, hello

    def agree(self, connection: Connection, book: GuessBook, *, mine: bytes, theirs: bytes) -> None:
        """Let the trust plugin prove both sides to each other; a failure stays booked as a guess."""
        binding = binding_of(
            initiator_hello=mine,
            joiner_hello=theirs,
            server_certificate=connection.server_certificate,
            method=self.method,
        )
        channel: Channel
        with book.exchange(connection, source=source_of(connection.peer_address)) as (channel, code):
            self.plugins.trust(self.method, channel=channel, code=code, role=Role.INITIATOR, binding=binding)

    # ---- after trust ----------------------------------------------------------------------------------

    def member(self, connection: Connection, mark: str) -> None:
        """Serve a pinned machine as long as it is connected."""
        guest = self.lobby.guest(mark)
        try:
            self.meet(guest, connection)
            while True:
                self.hear(guest, connection)
        except ConnectionLost as lost:
            self._gone(guest, connection, lost.reason)
        except McloudError as error:
            connection.close(str(error))
            self._gone(guest, connection, str(error))

    def meet(self, guest: Guest, connection: Connection) -> None:
        """Hear who it is; a second machine of one name is refused."""
        said = decode(connection.receive(timeout=60), Introduction)
        other = self.lobby.named(said.node.name)
        if said.node.name != guest.name or said.node.fingerprint != guest.fingerprint:
            raise ProtocolError(f"{guest.name} introduces itself as somebody else")
        if other is not None and other is not guest and other.standing == "here":
            connection.send(encode(Refusal(reason=f"another machine called {guest.name} is here already")))
            raise ProtocolError(
                f"two machines are called {guest.name}", hint="give one of them another host name"
            )
        guest.come(connection, said)
        self.listener.noticed(guest, "is here")
        self.lobby.note()
        self.welcome(guest)

    def welcome(self, guest: Guest) -> None:
        """Say all that is due in this phase and has not been said in this connection."""
        for once, message in self._due(guest):
            guest.say(message, once=once)

    def hear(self, guest: Guest, connection: Connection) -> None:
        """Hear one message and do what it asks for."""
        message = decode(connection.receive(), Outlook, Ready, Progress, Joined, Failed, Farewell)
        if not isinstance(message, Outlook | Farewell) and guest.outlook is None:
            raise ProtocolError(f"{guest.name} said {type(message).__name__} before its plan")
        match message:
            case Outlook():
                self._hear_outlook(guest, message)
            case Ready():
                self._hear_ready(guest, message)
            case Progress() if message.happening.machine == guest.name:
                self.listener.progress(guest, message.happening)
            case Joined() | Failed():
                self._hear_end(guest, message)
            case Farewell():
                guest.standing = "failed" if guest.standing == "failed" else "parted"
                guest.reason = guest.reason or message.reason
                connection.close()
                raise ConnectionLost(f"{guest.name} left: {message.reason or message.mood}")
        self.lobby.note()

    def enter(self, phase: Phase) -> None:
        """Go on to a phase and tell everybody what is due in it."""
        with self.lobby.changed:
            self.phase = phase
            self.lobby.changed.notify_all()
        for guest in self.lobby.all():
            self.welcome(guest)

    def admit(self, guest: Guest, plugin: str, value: str) -> None:
        """Hand a joiner its token of one plugin."""
        guest.tokens[plugin] = value
        self.welcome(guest)

    def part(self, mood: Mood, reason: str = "", cloud: Mapping[str, Any] | None = None) -> Sequence[Guest]:
        """Say goodbye to all, wait a moment for theirs, and return those who did not answer."""
        self.farewell = Farewell(mood=mood, reason=reason[:4000], cloud=cloud)
        self.enter("over")
        asked = self.lobby.here()
        with self.lobby.changed:
            self.lobby.changed.wait_for(lambda: all(g.standing != "here" for g in asked), timeout=15)
        return [guest for guest in asked if guest.standing != "parted"]

    # ---- what they said -------------------------------------------------------------------------------

    def _hear_outlook(self, guest: Guest, outlook: Outlook) -> None:
        if self.proposal is None:
            raise ProtocolError(f"{guest.name} showed a plan before there was a proposal")
        self.listener.outlook(guest, outlook)
        guest.outlook = outlook
        self.welcome(guest)

    def _hear_ready(self, guest: Guest, message: Ready) -> None:
        guest.asked.add(message.plugin)
        if message.plugin in guest.tokens:
            self.welcome(guest)
        else:
            self.listener.ready(guest, message.plugin, bytes.fromhex(message.request))

    def _hear_end(self, guest: Guest, message: Joined | Failed) -> None:
        if isinstance(message, Failed):
            guest.standing, guest.reason = "failed", "; ".join(message.lines)[:2000]
        else:
            guest.done.add(message.stage)
            guest.facts = message.facts or guest.facts
        self.listener.settled(guest, message)
        self.welcome(guest)

    def _gone(self, guest: Guest, connection: Connection, reason: str) -> None:
        if guest.leave(connection, reason):
            self.listener.noticed(guest, f"is away: {reason}" if reason else "is away")
        self.lobby.note()

    def _due(self, guest: Guest) -> Sequence[tuple[str, Message]]:
        """Return what a guest must have been told by now, in order, each with a name of its own."""
        reached = PHASES.index(self.phase)
        due: list[tuple[str, Message]] = []
        if self.proposal is not None and self.phase != "over":
            if self.proposal.inputs.node(guest.name) is None:
                return [
                    ("refusal", Refusal(reason="the operator of the initiator did not pick this machine"))
                ]
            due.append(("proposal", self.proposal))
        if guest.outlook is not None and guest.standing == "here":
            if reached >= PHASES.index("admit"):
                due.append(("admission", Admission(digest=guest.outlook.digest)))
            if self.phase == "enter":
                due.append(("go enter", Go(stage="enter")))
            due += [
                (f"token {plugin}", Token(plugin=plugin, value=guest.tokens[plugin]))
                for plugin in sorted(guest.asked)
                if plugin in guest.tokens
            ]
            if self.phase == "adapt" and self.news is not None:
                due.append(("go adapt", self.news))
        if guest.standing == "failed":
            due.append(
                ("farewell", Farewell(mood="failed", reason=f"the run goes on without: {guest.reason}"))
            )
        elif self.phase == "over" and self.farewell is not None:
            due.append(("farewell", self.farewell))
        return due

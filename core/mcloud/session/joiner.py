"""The joiner's half of a session: the same verbs in the same order as `initiator.py`.

greet, agree, introduce, be_welcomed, look_out, enter, report, part. A joiner dials, always; while
its process lives it dials again when the connection breaks, and a step in hand goes on meanwhile.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.errors import McloudError, ProtocolError
from mcloud.fitting import ITSELF, own_version
from mcloud.model import Beacon, Channel, Node, Role
from mcloud.plugins import Plugins
from mcloud.session import possession
from mcloud.session.binding import binding_of
from mcloud.session.certificates import Credentials, fingerprint, vetted
from mcloud.session.guesses import Tries
from mcloud.session.limits import DEFAULT_LIMITS, Limits
from mcloud.session.protocol import (
    GOODBYE,
    Admission,
    Farewell,
    Go,
    Hello,
    Introduction,
    Message,
    Mood,
    Outlook,
    Proposal,
    Refusal,
    Token,
    decode,
    encode,
    refuse_other_version,
)
from mcloud.session.refusing import refused
from mcloud.session.transport import Connection, ConnectionLost, Silence, dial
from mcloud.session.work import Work
from mcloud.session.writing import greeting


@dataclass(frozen=True, slots=True)
class Peer:
    """The initiator a joiner is bound to: where it is, and the one certificate it is known by."""

    name: str
    address: str
    port: int
    certificate: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate, hex."""
        return fingerprint(self.certificate)


@dataclass
class Joiner:
    """One session, from a joiner's side."""

    plugins: Plugins
    credentials: Credentials
    node: Node
    methods: tuple[str, ...]
    connection: Connection | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    deadlines: float = 1.0
    """The factor of this machine's deadlines: its own, or its initiator's if that is larger."""

    @property
    def limits(self) -> Limits:
        """How patient it is with an initiator."""
        return DEFAULT_LIMITS.stretched(self.deadlines)

    # ---- before trust ---------------------------------------------------------------------------------

    def first_contact(self, connection: Connection, beacon: Beacon, code: SecretStr, tries: Tries) -> Peer:
        """Greet and agree; return the initiator, to be pinned, once it has closed the connection."""
        mine, theirs, hello = self.greet(connection)
        self.agree(connection, code, tries, mine=mine, theirs=theirs, method=hello.methods[0])
        try:
            connection.receive(timeout=10)
        except (ConnectionLost, TimeoutError):
            # The initiator pins first and closes then.
            return Peer(hello.name, str(beacon.address), beacon.port, hello.certificate)
        raise ProtocolError("the initiator went on talking after trust was established")

    def greet(self, connection: Connection) -> tuple[bytes, bytes, Hello]:
        """Say Hello and hear the initiator's; return both as the bytes they were, and theirs."""
        mine = greeting(
            role="joiner",
            methods=self.methods,
            nonce=secrets.token_hex(16),
            name=self.node.name,
            address=self.node.address,
            certificate=self.credentials.certificate,
        )
        connection.send(mine)
        theirs = connection.receive(timeout=10)
        hello = decode(theirs, Hello)
        refuse_other_version(hello, whose=hello.name)
        if hello.role != "initiator" or len(hello.methods) != 1 or hello.methods[0] not in self.methods:
            raise ProtocolError("the other side is no initiator with a trust method of ours")
        shown = connection.peer_certificate
        if shown is None or vetted(hello.certificate) != fingerprint(shown):
            raise ProtocolError("the initiator's Hello names another certificate than its connection shows")
        return mine, theirs, hello

    def agree(
        self,
        connection: Connection,
        code: SecretStr,
        tries: Tries,
        *,
        mine: bytes,
        theirs: bytes,
        method: str,
    ) -> None:
        """Have the code proven on both sides, a failure stays booked as their guess; then prove our key."""
        binding = binding_of(
            initiator_hello=theirs,
            joiner_hello=mine,
            server_certificate=connection.server_certificate,
            method=method,
        )
        channel: Channel
        with tries.exchange(connection) as channel:
            self.plugins.trust(method, channel=channel, code=code, role=Role.JOINER, binding=binding)
        connection.send(possession.prove(self.credentials, binding))

    # ---- after trust ----------------------------------------------------------------------------------

    def come_back(
        self, peer: Peer, *, patience: float, report: Callable[[str], None] = lambda _why: None
    ) -> Connection:
        """Dial the initiator as ourselves.

        Raises ConnectionLost after `patience` seconds, TrustError if it no longer knows us, or is
        another machine than the one we trusted.
        """
        return dial(
            peer.address,
            peer.port,
            credentials=self.credentials,
            expect=peer.fingerprint,
            patience=patience,
            report=report,
            limits=self.limits,
        )

    def converse(self, connection: Connection, work: Work) -> Farewell:
        """Play the script to its end and return the initiator's farewell.

        Raises ConnectionLost if the connection broke (come back and converse again),
        ProtocolError, and what `work` raises; the initiator is told the reason.
        """
        with connection:
            try:
                self.introduce(connection, work)
                said: Message = self.be_welcomed(connection, work)
                while not isinstance(said, Farewell):
                    said = self.enter(connection, work)
                if said.mood == "done":
                    work.close(said.cloud or {})
                elif said.mood == "undone":
                    self.connection = connection  # it is told how that goes
                    work.take_back()
                heard = self.part(connection, said.mood)
            except ConnectionLost:
                raise
            except McloudError as error:
                self.part(connection, "failed", str(error))
                raise
            except KeyboardInterrupt as stopped:
                self.part(connection, "aborted", str(stopped) or "stopped by its operator")
                raise
            finally:
                self.connection = None
        if said.mood == "done" and not heard:
            raise ConnectionLost("it did not hear that this machine is in", reason="not heard")
        return said

    def introduce(self, connection: Connection, work: Work) -> None:
        """Say who we are and what we bring."""
        versions = {**self.versions, ITSELF: own_version()}
        connection.send(encode(Introduction(node=self.node, versions=versions, run=work.run)))

    def be_welcomed(self, connection: Connection, work: Work) -> Message:
        """Wait for the proposal, which may take as long as the operator's questions; answer it."""
        said = decode(self._next_word(connection), Proposal, Refusal, Farewell)
        if isinstance(said, Refusal):
            raise refused(said)
        if isinstance(said, Proposal):
            self.look_out(connection, work, said)
        return said

    def look_out(self, connection: Connection, work: Work, proposal: Proposal) -> None:
        """Make our own plan and show it; be as patient from now on as the initiator is."""
        self.deadlines = max(self.deadlines, proposal.deadlines)
        connection.abide(self.limits)
        lines, digest = work.propose(proposal)
        connection.send(encode(Outlook(lines=lines, digest=digest)))
        # Steps of a run that goes on report from now on, not before: the initiator knows our plan first.
        self.connection = connection

    def enter(self, connection: Connection, work: Work) -> Message:
        """Hear one message and do what it asks for."""
        said = decode(self._next_word(connection), Admission, Go, Token, Farewell)
        match said:
            case Admission():
                work.admit(said.digest)
            case Go():
                work.go(said)
            case Token():
                work.token(said.plugin, said.value)
        return said

    def _next_word(self, connection: Connection) -> bytes:
        try:
            return connection.receive(timeout=self.limits.word)
        except Silence as silence:
            raise McloudError(f"the initiator is there, but {silence.reason}", hint="ask there") from None

    def report(self, message: Message) -> bool:
        """Say how far we are, from any thread; return whether there was a connection to say it on."""
        try:
            if (connection := self.connection) is not None:
                connection.send(encode(message))
        except (ConnectionLost, ProtocolError):
            return False
        return connection is not None

    def part(self, connection: Connection, mood: Mood, reason: str = "") -> bool:
        """Say goodbye; return whether it was heard: the initiator ends the connection with its own then."""
        try:
            connection.send(encode(Farewell(mood=mood, reason=reason[:4000])))
            while True:
                connection.receive(timeout=5)
        except ConnectionLost as lost:
            return lost.reason == GOODBYE
        except ProtocolError:
            return False

"""One WebSocket over TLS, in the event thread; the only place that knows how messages become bytes."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from mcloud.errors import ProtocolError
from mcloud.session.intake import Intake
from mcloud.session.limits import Limits, Terms, plain_address, printable
from mcloud.session.lost import lost
from mcloud.session.mailbox import Mailbox
from mcloud.session.outbox import Outbox
from mcloud.session.pulse import Pulse

_CLOSING = 1.0
"""Seconds for the other side to answer a close."""
# Name and path carry nothing; the certificates say who is who.
_URI = parse_uri("wss://mcloud/")


@dataclass(frozen=True, kw_only=True)
class Events:
    """What a wire tells its owner, in the event thread."""

    trusted: Callable[["Wire"], Terms | None]
    """TLS is up: the terms for this peer certificate; None: away with it."""
    opened: Callable[["Wire"], None] = lambda _wire: None
    message: Callable[["Wire"], None] = lambda _wire: None
    sent: Callable[["Wire"], None] = lambda _wire: None
    ended: Callable[["Wire"], None] = lambda _wire: None


class Wire(asyncio.Protocol):
    """The WebSocket protocol of `websockets`, its limits, the pings and the clocks."""

    transport: asyncio.Transport

    def __init__(self, *, server: bool, limits: Limits, events: Events) -> None:
        """Be ready for a TLS connection; `server` says which side this is."""
        self.mailbox = Mailbox(self._room)
        self.peer_address = ""
        self.peer_certificate: bytes | None = None
        self.terms: Terms | None = None
        self.failure: BaseException | None = None
        """What TLS or the network said, if that was the end."""
        self.closed = threading.Event()
        """Nothing of the connection is left."""
        self._server = server
        self.limits = limits
        """May be replaced while it is open."""
        self._events = events
        self._protocol: ClientProtocol | ServerProtocol | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._outbox: Outbox
        self._intake: Intake
        self._pulse = Pulse()
        self._bytes = 0
        self._messages = 0

    # ---- called by the owner ---------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send one message; what cannot be sent any more is dropped, the mailbox says why."""
        sent = partial(self.mailbox.sent, len(message))
        if self._protocol is None or self._protocol.state is not OPEN:
            sent()
        elif self._server:
            self._outbox.message(message, sent)
            self._events.sent(self)
        else:
            self._protocol.send_binary(message)  # which masks it
            self._flush(sent)
            self._events.sent(self)

    def close(self, reason: str) -> None:
        """Say goodbye, with a reason the other side can show."""
        if self._protocol is None or self._protocol.state is CONNECTING:
            self.abort(reason)
        elif self._protocol.state is OPEN:
            # A close frame holds 123 bytes of reason (RFC 6455, section 5.5).
            short = printable(reason).encode()[:120].decode(errors="ignore")
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE, short)
            self._flush()

    def abort(self, reason: str) -> None:
        """Cut the connection now."""
        self.mailbox.end(lost(self.peer_address, reason, self._protocol))
        if hasattr(self, "transport"):
            self.transport.abort()

    # ---- called by asyncio -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is, before a byte of it is parsed."""
        self.transport = cast("asyncio.Transport", transport)
        # None where the other side is gone again already.
        peer = transport.get_extra_info("peername")
        self.peer_address = plain_address(peer[0]) if peer else "0.0.0.0"  # noqa: S104 - "nobody", not bound
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        self.peer_certificate = tls.getpeercert(binary_form=True)
        self.terms = self._events.trusted(self)
        if self.terms is None:
            self.transport.abort()
            return
        self._outbox = Outbox(self.transport)
        self._intake = Intake(
            self._loop, self.transport, pace=self.terms.pace, parse=self._parse, full=self._full
        )
        self._later("ping", self.limits.ping_every, self._ping)
        if self.terms.deadline is not None:
            too_slow = f"not done within {self.terms.deadline:g} s"
            self._later("deadline", self.terms.deadline, self.abort, too_slow)
        if self._server:
            self._protocol = ServerProtocol(max_size=self.terms.message)
        else:
            self._protocol = client = ClientProtocol(_URI, max_size=self.terms.message)
            client.send_request(client.connect())
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Count first, then parse, at its own pace."""
        self._pulse.beat()
        self._bytes += len(data)
        if self._protocol is None or self.terms is None:
            return
        if self.terms.in_all is not None and self._bytes > self.terms.in_all:
            self._break("more bytes than a stranger may send")
            self.transport.abort()
            return
        self._intake.add(data)

    def eof_received(self) -> None:
        """Take the end of the stream for the end; TLS has no half-open connections here."""
        if self._protocol is not None:
            self._intake.stop()
            self._protocol.receive_eof()
            self._flush()

    def pause_writing(self) -> None:
        """Keep what is to be sent."""
        self._outbox.block(blocked=True)

    def resume_writing(self) -> None:
        """Go on sending."""
        self._outbox.block(blocked=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say how it ended, to all who wait."""
        self.failure = self.failure or exc
        for timer in self._timers.values():
            timer.cancel()
        if self.terms is not None:
            self._intake.stop()
            self._outbox.stop()
        self.mailbox.end(lost(self.peer_address, "", self._protocol))
        self.closed.set()
        self._events.ended(self)

    # ---- inside ----------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> int:
        """Have the protocol read some bytes; return the number of frames in them."""
        if self._protocol is None:
            return 0
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        for event in events:
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self._opening(event)
        self._flush()
        return len(events)

    def _full(self) -> bool:
        return self.terms is not None and self.mailbox.unread > self.terms.unread

    def _room(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._read_on)

    def _read_on(self) -> None:
        if self._intake.paused:
            self._intake.go_on()

    def _opening(self, event: object) -> None:
        protocol = self._protocol
        if isinstance(event, Request) and isinstance(protocol, ServerProtocol):
            protocol.send_response(protocol.accept(event))
        if protocol is not None and protocol.state is OPEN:
            self._flush()
            self._events.opened(self)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.PING, Opcode.PONG, Opcode.CLOSE} or self.terms is None:
            return
        if self.mailbox.ended:
            return  # closing: nobody reads any more
        self._messages += 1
        if frame.opcode is not Opcode.BINARY or not frame.fin:
            self._break("only whole messages of bytes are understood")
        elif self.terms.messages is not None and self._messages > self.terms.messages:
            self._break("more messages than a stranger may send")
        else:
            self.mailbox.put(bytes(frame.data))
            self._events.message(self)

    def _break(self, what: str) -> None:
        """End the connection for something the other side did."""
        self.mailbox.end(ProtocolError(f"{self.peer_address} broke the protocol: {what}"))
        if self._protocol is not None and self._protocol.state is OPEN:
            self._protocol.fail(CloseCode.POLICY_VIOLATION, what)

    def _ping(self) -> None:
        gone = self._pulse.round(self.limits, deaf=self._intake.paused, stuck=self._outbox.stuck())
        if gone:
            self.abort(gone)
            return
        if self._protocol is not None and self._protocol.state is OPEN:
            self._protocol.send_ping(b"")
            self._flush()
        self._later("ping", self.limits.ping_every, self._ping)

    def _flush(self, sent: Callable[[], object] = lambda: None) -> None:
        if self._protocol is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                self._outbox.put(data, sent)
            else:
                self._outbox.end()
        if self._protocol.close_expected() and "closing" not in self._timers:
            self.mailbox.end(lost(self.peer_address, "", self._protocol))
            self._later("closing", _CLOSING, self.transport.abort)

    def _later(self, name: str, seconds: float, call: Callable[..., None], *arguments: str) -> None:
        self._timers[name] = self._loop.call_later(seconds, call, *arguments)

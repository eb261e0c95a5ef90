"""One WebSocket over TLS, in the event thread; the only place that knows how messages become bytes."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from mcloud.errors import McloudError, ProtocolError
from mcloud.session.limits import Limits, Terms, plain_address, printable
from mcloud.session.mailbox import Mailbox

_CLOSING = 1.0
"""Seconds for the other side to answer a close."""
# Name and path carry nothing; the certificates say who is who.
_URI = parse_uri("wss://mcloud/")


class ConnectionLost(McloudError):  # noqa: N818 - an outcome, not a fault of anyone
    """The other side closed, vanished or fell silent; `reason` is what it said, or what was seen."""

    def __init__(self, message: str, *, hint: str = "", reason: str = "") -> None:
        """Keep the reason, printable and short."""
        super().__init__(message, hint=hint)
        self.reason = printable(reason)


class Silence(ConnectionLost, TimeoutError):  # noqa: N818 - an outcome, like its base
    """Nothing was said in time; the connection is there, but who needed the answer has lost it."""


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
        self.mailbox = Mailbox()
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
        self._silent = 0.0
        self._bytes = 0
        self._messages = 0

    # ---- called by the owner ---------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send one message; what cannot be sent any more is dropped, the mailbox says why."""
        if self._protocol is not None and self._protocol.state is OPEN:
            self._protocol.send_binary(message)
            self._flush()
            self._events.sent(self)
        self.mailbox.sent(len(message))

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
        self.mailbox.end(self._lost(reason))
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
        """Count first, then parse."""
        self._silent = 0.0
        self._bytes += len(data)
        if self._protocol is None or self.terms is None:
            return
        if self.terms.in_all is not None and self._bytes > self.terms.in_all:
            self._break("more bytes than a stranger may send")
            self.transport.abort()
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self._opening(event)
        self._flush()

    def eof_received(self) -> None:
        """Take the end of the stream for the end; TLS has no half-open connections here."""
        if self._protocol is not None:
            self._protocol.receive_eof()
            self._flush()

    def pause_writing(self) -> None:
        """Make senders wait."""
        self.mailbox.block(blocked=True)

    def resume_writing(self) -> None:
        """Let senders go on."""
        self.mailbox.block(blocked=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say how it ended, to all who wait."""
        self.failure = self.failure or exc
        for timer in self._timers.values():
            timer.cancel()
        self.mailbox.end(self._lost(""))
        self.closed.set()
        self._events.ended(self)

    # ---- inside ----------------------------------------------------------------------------------------

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
        elif self.mailbox.unread + len(frame.data) > self.terms.unread:
            self._break("more than can be read")
        else:
            self.mailbox.put(bytes(frame.data))
            self._events.message(self)

    def _break(self, what: str) -> None:
        """End the connection for something the other side did."""
        self.mailbox.end(ProtocolError(f"{self.peer_address} broke the protocol: {what}"))
        if self._protocol is not None and self._protocol.state is OPEN:
            self._protocol.fail(CloseCode.POLICY_VIOLATION, what)

    def _ping(self) -> None:
        # Counted in rounds, not by the clock: when this machine stood still, the others did not.
        self._silent += self.limits.ping_every
        if self._silent >= self.limits.silence:
            self.abort(f"no sign of life for {self._silent:g} s")
            return
        if self._protocol is not None and self._protocol.state is OPEN:
            self._protocol.send_ping(b"")
            self._flush()
        self._later("ping", self.limits.ping_every, self._ping)

    def _flush(self) -> None:
        if self._protocol is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                self.transport.write(data)
            else:
                self.transport.close()
        if self._protocol.close_expected() and "closing" not in self._timers:
            self.mailbox.end(self._lost(""))
            self._later("closing", _CLOSING, self.transport.abort)

    def _later(self, name: str, seconds: float, call: Callable[..., None], *arguments: str) -> None:
        self._timers[name] = self._loop.call_later(seconds, call, *arguments)

    def _lost(self, seen: str) -> Exception:
        """Return the error for whoever waits on this connection: what was seen, said, or found wrong."""
        who = self.peer_address or "the other side"
        if seen:
            return ConnectionLost(f"lost the connection to {who}: {seen}", reason=seen)
        protocol = self._protocol
        if protocol is None or (protocol.close_rcvd is None and protocol.close_sent is None):
            return ConnectionLost(f"lost the connection to {who}", reason="the connection broke")
        if protocol.close_rcvd is not None and protocol.close_rcvd_then_sent:
            reason = printable(protocol.close_rcvd.reason)
            ending = f": {reason}" if reason else ""
            return ConnectionLost(f"{who} closed the connection{ending}", reason=reason)
        if protocol.close_sent is not None and protocol.close_sent.code != CloseCode.NORMAL_CLOSURE:
            what = printable(protocol.close_sent.reason) or "not understood"
            return ProtocolError(f"{who} broke the protocol: {what}")
        return ConnectionLost("the connection is closed", reason="closed here")

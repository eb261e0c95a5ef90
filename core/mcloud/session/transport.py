"""The channel between two machines: `dial` it, or be given one by a `Door`; plain calls, from any thread."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from mcloud.errors import ProtocolError, TrustError
from mcloud.session.certificates import Credentials, fingerprint, short
from mcloud.session.events import EventThread
from mcloud.session.limits import DEFAULT_LIMITS, Limits, Terms, member_terms, printable, stranger_terms
from mcloud.session.lost import ConnectionLost, Silence
from mcloud.session.tls import client_context
from mcloud.session.wire import Events, Wire

__all__ = ["Connection", "ConnectionLost", "Silence", "dial"]

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0


class Connection:
    """Whole messages in order to and from one other machine; thread-safe."""

    def __init__(
        self, wire: Wire, thread: EventThread, *, own_certificate: bytes | None, server: bool
    ) -> None:
        """Wrap an open wire; `dial` and `Door` do that."""
        self.peer_address = wire.peer_address
        """IPv4 or IPv6 address, as text."""
        self.peer_certificate = wire.peer_certificate
        """DER, as seen in this TLS connection; None: it showed none."""
        self.own_certificate = own_certificate
        """DER of what we showed, None for nothing."""
        self._wire = wire
        self._thread = thread
        self._server = server

    @property
    def server_certificate(self) -> bytes:
        """Return the certificate (DER) of whichever side was dialled: what a trust proof is bound to."""
        certificate = self.own_certificate if self._server else self.peer_certificate
        if certificate is None:
            raise ProtocolError("there is a TLS server without a certificate")
        return certificate

    @property
    def alive(self) -> bool:
        """Return whether anything can still be sent."""
        return not self._wire.mailbox.ended

    def send(self, message: bytes) -> None:
        """Send one message, waiting while the network is slow. `ConnectionLost`; `ProtocolError`: too big."""
        if self._wire.terms is not None and len(message) > self._wire.terms.says:
            raise ProtocolError(f"a message of {len(message)} bytes is too long to be sent")
        self._wire.mailbox.hand_over(len(message), lambda: self._thread.post(self._wire.send, message))

    def receive(self, timeout: float | None = None) -> bytes:
        """Return the next message. `ConnectionLost`, `ProtocolError`; `Silence` after `timeout` seconds.

        They are stretched as this connection's limits are.
        """
        if timeout is not None:
            timeout *= self._wire.limits.stretch
        try:
            return self._wire.mailbox.take(timeout)
        except TimeoutError:
            said = f"said nothing for {timeout:g} s"
            raise Silence(f"{self.peer_address} {said}", reason=said) from None

    def abide(self, limits: Limits) -> None:
        """Be as patient as these limits from now on; the terms stay."""
        self._wire.limits = limits

    def close(self, reason: str = "") -> None:
        """Close, telling the other side why; what was sent before still arrives. Never raises."""
        self._thread.post(self._wire.close, reason)
        self._wire.closed.wait(2.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close("stopped by its operator" if isinstance(error, KeyboardInterrupt) else "")


def dial(
    address: str,
    port: int,
    *,
    credentials: Credentials | None = None,
    expect: str | None = None,
    patience: float = 0.0,
    report: Callable[[str], None] = lambda _reason: None,
    limits: Limits = DEFAULT_LIMITS,
) -> Connection:
    """Open a connection, trying for `patience` seconds; `report` is told each new reason for waiting.

    First contact: without credentials, to any certificate, on a stranger's terms. As a member: with
    both, to the machine of fingerprint `expect` alone. `TrustError` at once if it is another machine
    or does not know us; `ConnectionLost` when patience ends.
    """
    give_up = time.monotonic() + patience
    pause = _FIRST_PAUSE
    told = ""
    while True:
        try:
            return _try(address, port, credentials=credentials, expect=expect, limits=limits)
        except (OSError, ConnectionLost) as error:
            reason = _in_words(error)
        if reason != told:
            report(reason)
            told = reason
        if time.monotonic() + pause > give_up:
            raise ConnectionLost(
                f"no connection to {address} port {port}: {reason}",
                hint="is mcloud running there, is the address right, does a firewall stand between?",
                reason=reason,
            )
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _try(
    address: str, port: int, *, credentials: Credentials | None, expect: str | None, limits: Limits
) -> Connection:
    terms = stranger_terms(limits) if credentials is None else member_terms(limits, server=False)
    thread = EventThread(f"mcloud-dial-{address}")
    try:
        wire = thread.run(
            _open(
                address,
                port,
                thread=thread,
                terms=terms,
                credentials=credentials,
                expect=expect,
                limits=limits,
            )
        )
    except BaseException:
        thread.stop()
        thread.join(2.0)
        raise
    own = credentials.der if credentials is not None else None
    return Connection(wire, thread, own_certificate=own, server=False)


async def _open(
    address: str,
    port: int,
    *,
    thread: EventThread,
    terms: Terms,
    credentials: Credentials | None,
    expect: str | None,
    limits: Limits,
) -> Wire:
    done, handed_out = asyncio.Event(), asyncio.Event()

    def ended(_wire: Wire) -> None:
        done.set()
        if handed_out.is_set():
            thread.stop()  # the loop is there for this one connection

    def trusted(wire: Wire) -> Terms | None:
        return terms if expect is None or _seen(wire) == expect else None

    events = Events(trusted=trusted, opened=lambda _wire: done.set(), ended=ended)
    async with asyncio.timeout(limits.tls):
        _transport, wire = await asyncio.get_running_loop().create_connection(
            lambda: Wire(server=False, limits=limits, events=events),
            address,
            port,
            ssl=client_context(credentials),
            server_hostname="",  # or its name is sent in the clear
            happy_eyeballs_delay=0.25,
            ssl_handshake_timeout=limits.tls,
            ssl_shutdown_timeout=1.0,
        )
        try:
            await done.wait()
        except asyncio.CancelledError:
            wire.abort("no answer")
            raise
    _check(wire, address=address, expect=expect)
    handed_out.set()
    return wire


def _check(wire: Wire, *, address: str, expect: str | None) -> None:
    """Raise why the connection did not open, if it did not."""
    seen = _seen(wire)
    if expect is not None and seen != expect:
        raise TrustError(
            f"{address} is not the machine it was: fingerprint {short(seen)}, expected {short(expect)}",
            hint="was it installed anew, or has its address gone to another machine?",
        )
    if not wire.mailbox.ended:
        return
    refusal = wire.failure
    if isinstance(refusal, ssl.SSLError) and "ALERT" in (refusal.reason or "") and expect is not None:
        raise TrustError(
            f"{address} does not know this machine's certificate: mcloud was started anew there before the "
            "run had begun, or this machine was taken out",
            hint="type the same command here again, with the code that is shown there now",
        )
    if isinstance(refusal, OSError):
        raise refusal
    raise ConnectionLost(f"{address} closed the connection", reason="closed before it was open")


def _seen(wire: Wire) -> str:
    return fingerprint(wire.peer_certificate) if wire.peer_certificate else ""


def _in_words(error: OSError | ConnectionLost) -> str:
    if isinstance(error, ConnectionLost):
        return error.reason
    if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in (error.reason or ""):
        return "nobody new is let in there any more: all machines of that run are in"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {printable(str(error.reason or error)).lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    # asyncio puts words of its own in the system's place; numbers below 0 are the resolver's.
    number = error.errno or 0
    said = os.strerror(number).lower() if number > 0 else error.strerror
    return printable(said or str(error) or type(error).__name__)

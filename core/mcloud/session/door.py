"""The listening side: members come in by their pinned certificates, strangers on strict terms.

One thread with one event loop does all that faces the network; a thread is spent on a stranger
only when its first message is there.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from mcloud.session.accept import Acceptor, listen, must_begin_like_tls
from mcloud.session.callbacks import Callbacks
from mcloud.session.caller import Caller, superfluous
from mcloud.session.certificates import Credentials, fingerprint
from mcloud.session.events import EventThread
from mcloud.session.limits import (
    DEFAULT_LIMITS,
    Crowd,
    Limits,
    Terms,
    member_terms,
    stranger_terms,
)
from mcloud.session.tls import DoorContext
from mcloud.session.transport import Connection
from mcloud.session.wire import Events, Wire

log = logging.getLogger(__name__)
_CLOSED_WITHIN = 10.0  # seconds for all connections to be gone
_THREADS_EACH = 2
"""Threads for each connection that there may be: they outlive it for as long as they need to notice."""


class Door:
    """Listens between `__enter__` and `__exit__`; each connection goes to a callback in its own thread."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        pins: Callable[[], Mapping[str, str]],
        on_stranger: Callable[[Connection], None] | None,
        on_member: Callable[[Connection, str], None],
        address: str,
        port: int,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Keep what is needed; nothing listens yet.

        `pins()` returns certificates (PEM) by fingerprint; it is asked for every connection, in the
        event thread, so it must be quick. `on_stranger(connection)` is called when a stranger's
        first message is there, and the connection is closed when it returns; None: nobody gets in
        without a certificate. `on_member(connection, fingerprint)` may return and keep the connection.
        """
        self.address = address
        self.port = port
        self.strangers_welcome = on_stranger is not None
        """Set it to False when all are there: from the next connection on strangers fail in TLS."""
        self.limits = limits
        self.credentials = credentials
        self._pins = pins
        self._on_stranger = on_stranger
        self._on_member = on_member
        self._crowd = Crowd(limits=limits)
        self._callers: set[Caller] = set()
        self._callbacks = Callbacks(
            _THREADS_EACH * limits.strangers, _THREADS_EACH * limits.joiner_connections
        )
        self._context = DoorContext(credentials)
        self._thread: EventThread
        self._acceptor: Acceptor
        self._empty: asyncio.Event

    def __enter__(self) -> Self:
        self._tls()
        listening = listen(self.address, self.port)
        self.address, self.port = listening.getsockname()[:2]
        try:
            self._thread = EventThread("mcloud-door")
        except RuntimeError:
            listening.close()
            raise
        self._thread.run(self._open(listening))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.run(self._close())
        self._thread.stop()
        self._thread.join(2.0)

    def close_member(self, whose: str, reason: str) -> None:
        """Close the open connections of a fingerprint: a pin that is taken back does not do that."""
        self._thread.post(self._close_member, whose, reason)

    async def _open(self, listening: socket.socket) -> None:
        self._empty = asyncio.Event()
        self._acceptor = Acceptor(listening, arrived=self._arrived, full=self._crowd.give_way)

    async def _close(self) -> None:
        self._acceptor.stop()
        for caller in tuple(self._callers):
            caller.part("the door is closed")
        # The other sides have a second to answer (`Wire` sees to it), then nothing is left.
        if not self._callers:
            self._empty.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), _CLOSED_WITHIN)

    def _close_member(self, whose: str, reason: str) -> None:
        for caller in tuple(self._callers):
            if caller.fingerprint == whose:
                caller.part(reason)

    # ---- the life of a caller, in the event thread ------------------------------------------------------

    def _arrived(self, arrival: socket.socket, address: str) -> None:
        """Take a new connection, or leave it outside."""
        caller = Caller(arrival, address)
        if not self._crowd.enter(caller.visitor):
            arrival.close()
            return
        self._callers.add(caller)
        caller.task = asyncio.create_task(self._receive(caller, arrival))

    async def _receive(self, caller: Caller, arrival: socket.socket) -> None:
        """See it through TLS; from then on its wire tells what happens."""
        try:
            async with asyncio.timeout(self.limits.tls):
                await must_begin_like_tls(arrival)
            self._crowd.heard(caller.visitor, stage=1, our_turn=False)
            await self._handshake(caller, arrival)
        except OSError as error:  # TLS's own errors and time-outs are OSErrors too
            log.debug("%s did not get in: %s", caller.address, error)
        except Exception:
            log.exception("%s could not be let in", caller.address)
        finally:
            if caller.wire is None:
                arrival.close()
                self._forget(caller)

    async def _handshake(self, caller: Caller, arrival: socket.socket) -> None:
        events = Events(
            trusted=partial(self._trusted, caller),
            opened=partial(self._opened, caller),
            message=partial(self._message, caller),
            sent=lambda _wire: self._crowd.heard(caller.visitor, stage=3, our_turn=False),
            ended=lambda _wire: self._forget(caller),
        )
        left = self.limits.tls - (time.monotonic() - caller.arrived_at)
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: Wire(server=True, limits=self.limits, events=events),
            arrival,
            ssl=self._tls(),
            ssl_handshake_timeout=max(0.001, left),
            ssl_shutdown_timeout=1.0,
        )

    def _tls(self) -> ssl.SSLContext:
        return self._context.of(self._pins(), strangers=self.strangers_welcome)

    def _trusted(self, caller: Caller, wire: Wire) -> Terms | None:
        """Decide by the certificate, after TLS: this is the authorisation, not the trust store."""
        caller.wire = wire
        if wire.peer_certificate is not None:
            shown = fingerprint(wire.peer_certificate)
            if shown not in self._pins():
                return None
            caller.fingerprint = shown
            for other in superfluous(self._callers, caller, self.limits.joiner_connections):
                other.cut()
            self._crowd.leave(caller.visitor)
            return member_terms(self.limits, server=True)
        if not self.strangers_welcome:
            return None
        self._crowd.heard(caller.visitor, stage=2, our_turn=False)
        spent = time.monotonic() - caller.arrived_at
        return replace(stranger_terms(self.limits), deadline=max(0.0, self.limits.exchange - spent))

    def _opened(self, caller: Caller, wire: Wire) -> None:
        if (mark := caller.fingerprint) is not None:
            self._call(caller, wire, lambda connection: self._on_member(connection, mark))

    def _message(self, caller: Caller, wire: Wire) -> None:
        if caller.fingerprint is not None:
            return
        self._crowd.heard(caller.visitor, stage=3, our_turn=True)
        if self._on_stranger is not None and not caller.called:
            self._call(caller, wire, self._on_stranger)

    def _forget(self, caller: Caller) -> None:
        """Nothing of it is left on the network; its place is free when its callback is done as well."""
        self._callers.discard(caller)
        caller.wire = None  # or the two keep each other, and TLS's buffers, until some collection
        if not self._callers and not self._acceptor.listening:
            self._empty.set()
        if not caller.called:
            self._crowd.leave(caller.visitor)

    def _call(self, caller: Caller, wire: Wire, callback: Callable[[Connection], None]) -> None:
        connection = Connection(wire, self._thread, own_certificate=self.credentials.der, server=True)
        done = partial(self._thread.post, self._called, caller)
        caller.called = self._callbacks.start(callback, connection, whose=caller.fingerprint, done=done)
        if not caller.called:
            wire.abort("too busy")

    def _called(self, caller: Caller) -> None:
        self._callbacks.ended(caller.fingerprint)
        self._crowd.leave(caller.visitor)

"""The listening side: members come in by their pinned certificates, strangers on strict terms.

One thread with one event loop does all that faces the network; a thread is spent on a stranger
only when its first message is there.
"""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from mcloud.errors import McloudError
from mcloud.session.accept import Acceptor, listen, must_begin_like_tls
from mcloud.session.certificates import Credentials, fingerprint
from mcloud.session.events import EventThread
from mcloud.session.limits import (
    DEFAULT_LIMITS,
    Crowd,
    Limits,
    Terms,
    Visitor,
    member_terms,
    plain_address,
    source_of,
    stranger_terms,
)
from mcloud.session.tls import server_context
from mcloud.session.transport import Connection
from mcloud.session.wire import Events, Wire

log = logging.getLogger(__name__)
_CALLBACKS_PER_STRANGER = 2
"""Threads that may outlive the strangers they are about, for as long as they need to notice."""


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
        self._guests: set[_Guest] = set()
        self._busy = 0
        self._context: tuple[object, ssl.SSLContext] | None = None
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
        for guest in tuple(self._guests):
            guest.part("the door is closed")
        # The other sides have a second to answer (`Wire` sees to it), then nothing is left.
        if not self._guests:
            self._empty.set()
        await self._empty.wait()

    def _close_member(self, whose: str, reason: str) -> None:
        for guest in tuple(self._guests):
            if guest.fingerprint == whose:
                guest.part(reason)

    # ---- the life of a guest, in the event thread ------------------------------------------------------

    def _arrived(self, arrival: socket.socket, address: str) -> None:
        """Take a new connection, or leave it outside."""
        guest = _Guest(address)
        if not self._crowd.enter(guest.visitor):
            arrival.close()
            return
        self._guests.add(guest)
        guest.task = asyncio.create_task(self._receive(guest, arrival))

    async def _receive(self, guest: "_Guest", arrival: socket.socket) -> None:
        """See it through TLS; from then on its wire tells what happens."""
        try:
            async with asyncio.timeout(self.limits.tls):
                await self._handshake(guest, arrival)
        except OSError as error:  # TLS's own errors and time-outs are OSErrors too
            log.debug("%s did not get in: %s", guest.address, error)
        finally:
            guest.task = None
            if guest.wire is None:
                self._forget(guest)

    async def _handshake(self, guest: "_Guest", arrival: socket.socket) -> None:
        try:
            await must_begin_like_tls(arrival)
            self._crowd.heard(guest.visitor, stage=1, our_turn=False)
            context = self._tls()
        except BaseException:
            arrival.close()
            raise
        events = Events(
            trusted=partial(self._trusted, guest),
            opened=partial(self._opened, guest),
            message=partial(self._message, guest),
            sent=lambda _wire: self._crowd.heard(guest.visitor, stage=3, our_turn=False),
            ended=lambda _wire: self._forget(guest),
        )
        # From here on asyncio closes the socket, whatever happens.
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: Wire(server=True, limits=self.limits, events=events),
            arrival,
            ssl=context,
            ssl_handshake_timeout=self.limits.tls,
            ssl_shutdown_timeout=1.0,
        )

    def _tls(self) -> ssl.SSLContext:
        """Return a context for the pins of this moment; an old one serves as long as they are the same."""
        state = (dict(self._pins()), self.strangers_welcome)
        if self._context is None or self._context[0] != state:
            self._context = state, server_context(self.credentials, state[0].values(), strangers=state[1])
        return self._context[1]

    def _trusted(self, guest: "_Guest", wire: Wire) -> Terms | None:
        """Decide by the certificate, after TLS: this is the authorisation, not the trust store."""
        guest.wire = wire
        if wire.peer_certificate is not None:
            shown = fingerprint(wire.peer_certificate)
            if shown not in self._pins():
                return None
            guest.fingerprint = shown
            self._crowd.leave(guest.visitor)
            return member_terms(self.limits)
        if not self.strangers_welcome:
            return None
        self._crowd.heard(guest.visitor, stage=2, our_turn=False)
        spent = time.monotonic() - guest.arrived_at
        return replace(stranger_terms(self.limits), deadline=max(0.0, self.limits.exchange - spent))

    def _opened(self, guest: "_Guest", wire: Wire) -> None:
        if (mark := guest.fingerprint) is not None:
            self._call(guest, wire, lambda connection: self._on_member(connection, mark))

    def _message(self, guest: "_Guest", wire: Wire) -> None:
        if guest.fingerprint is not None:
            return
        self._crowd.heard(guest.visitor, stage=3, our_turn=True)
        if self._on_stranger is not None and not guest.called:
            self._call(guest, wire, self._on_stranger)

    def _forget(self, guest: "_Guest") -> None:
        """Nothing of it is left on the network; its place is free when its callback is done as well."""
        self._guests.discard(guest)
        if not self._guests and not self._acceptor.listening:
            self._empty.set()
        if not guest.called:
            self._crowd.leave(guest.visitor)

    # ---- callbacks, each in a thread of its own --------------------------------------------------------

    def _call(self, guest: "_Guest", wire: Wire, callback: Callable[[Connection], None]) -> None:
        if guest.fingerprint is None and self._busy >= _CALLBACKS_PER_STRANGER * self.limits.strangers:
            wire.abort("too busy")
            return
        connection = Connection(wire, self._thread, own_certificate=self.credentials.der, server=True)
        work = partial(self._run, guest, connection, callback)
        try:
            threading.Thread(target=work, name=f"mcloud-from-{guest.address}", daemon=True).start()
        except RuntimeError as error:  # no thread left; the door itself needs no new one
            log.warning("cannot talk to %s: %s", guest.address, error)
            wire.abort("too busy")
            return
        guest.called = True
        self._busy += guest.fingerprint is None

    def _run(self, guest: "_Guest", connection: Connection, callback: Callable[[Connection], None]) -> None:
        keep = guest.fingerprint is not None
        try:
            callback(connection)
        except McloudError as error:
            keep = False
            log.info("%s: %s", guest.address, error)
        except Exception:
            keep = False
            log.exception("the talk with %s broke off", guest.address)
        finally:
            if not keep:
                connection.close()
            self._thread.post(self._called, guest)

    def _called(self, guest: "_Guest") -> None:
        if guest.fingerprint is None:
            self._busy -= 1
        self._crowd.leave(guest.visitor)


class _Guest:
    """One connection at the door, from its first packet until nothing of it is left."""

    def __init__(self, address: str) -> None:
        self.address = plain_address(address)
        self.visitor = Visitor(
            source=source_of(address), cut=partial(self.part, "somebody else needs the place")
        )
        self.arrived_at = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self.wire: Wire | None = None
        self.fingerprint: str | None = None
        """Of a member; None: a stranger."""
        self.called = False

    def part(self, reason: str) -> None:
        """Close, however far it got."""
        if self.wire is not None:
            self.wire.close(reason)
        elif self.task is not None:
            self.task.cancel()

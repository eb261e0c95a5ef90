"""Taking connections from a listening socket without ever ceasing to, however full the system is."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from mcloud.errors import McloudError

log = logging.getLogger(__name__)
_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 0.1
"""Seconds without accepting when the system has no descriptor left: time for one to come free."""
_BACKLOG = 1024
_TLS_RECORD = b"\x16\x03"
"""Every TLS connection begins so: a handshake record (RFC 8446, section 5.1)."""


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens; `::` takes IPv4 too. `McloudError` where that cannot be."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server(
            (address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=address == "::"
        )
    except OSError as error:
        raise McloudError(
            f"cannot listen on {address} port {port}: {error.strerror}",
            hint="is another mcloud running here, and is this address one of this machine's own?",
        ) from None
    listening.settimeout(0)
    return listening


class Acceptor:
    """Takes one connection per round of the event loop, so that others get their turn."""

    def __init__(
        self,
        listening: socket.socket,
        *,
        arrived: Callable[[socket.socket, str], None],
        full: Callable[[], object],
    ) -> None:
        """Begin, in the event loop: `arrived(socket, address)` for each; `full()` may free descriptors."""
        self.listening = True
        self._socket = listening
        self._arrived = arrived
        self._full = full
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    def stop(self) -> None:
        """Stop taking connections and close the socket."""
        self.listening = False
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._take)

    def _take(self) -> None:
        try:
            arrival, address = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Whatever it was: never stop listening, never spin.
            log.warning("cannot take a connection: %s", error.strerror)
            if error.errno in _FULL:
                self._full()
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(_PAUSE, self._resume)
            return
        arrival.settimeout(0)
        try:
            # asyncio does this only where it made the socket; without it each message may wait 40 ms.
            arrival.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._arrived(arrival, address[0])
        except Exception:
            log.exception("a connection was dropped")
            arrival.close()


async def must_begin_like_tls(arrival: socket.socket) -> None:
    """Wait for a socket's first byte; `OSError` if it cannot be TLS. Nothing is taken from it."""
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(arrival, readable.set)
    try:
        await readable.wait()
        head = arrival.recv(len(_TLS_RECORD), socket.MSG_PEEK)
    finally:
        loop.remove_reader(arrival)
    if not head or not _TLS_RECORD.startswith(head):
        raise ConnectionAbortedError("not TLS")

"""What one connection still has to send: piece by piece, as the network takes it, and copied no sooner."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable

_PIECE = 32 * 1024
"""Bytes that are given to TLS at once: so much of a message is in memory twice."""
_BINARY = 0x82
"""The first byte of a whole frame of bytes (RFC 6455, section 5.2)."""


class Outbox:
    """The bytes of one connection in their order; used by the event thread only.

    Two hundred joiners are told of two hundred surveys: were each message given to its connection in one
    piece, they would lie there two hundred times, enciphered, until the last joiner has read them.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Begin with nothing to send."""
        transport.set_write_buffer_limits(high=_PIECE)
        self._transport = transport
        self._waiting: deque[tuple[memoryview, Callable[[], object]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._blocked = self._last = self._moved = False
        self._next: asyncio.Handle | None = None

    def message(self, message: bytes, sent: Callable[[], object]) -> None:
        """Send a message as one unmasked frame, as servers do; `sent()` when the network has it."""
        head = _head(len(message))
        if len(message) <= _PIECE:
            self.put(head + message, sent)
            return
        self.put(head, _nothing)
        self.put(message, sent)

    def put(self, data: bytes, sent: Callable[[], object]) -> None:
        """Send bytes as they are."""
        self._waiting.append((memoryview(data), sent))
        if self._next is None:
            self._go_on()

    def end(self) -> None:
        """Close the connection when all is sent."""
        self._last = True
        if self._next is None:
            self._go_on()

    def stop(self) -> None:
        """Drop what is left: the connection is gone."""
        self._waiting.clear()
        self._blocked, self._last = True, False

    def block(self, *, blocked: bool) -> None:
        """Take note whether the network takes more at present."""
        self._blocked = blocked
        if self._next is None:
            self._go_on()

    def stuck(self) -> bool:
        """Return whether there is something to send, and nothing was sent since this was asked before."""
        moved, self._moved = self._moved, False
        return bool(self._waiting) and not moved

    def _go_on(self) -> None:
        """Send the next piece; the one after it in the loop's next round, so that others get their turn."""
        self._next = None
        if self._waiting and not self._blocked:
            data, sent = self._waiting.popleft()
            if len(data) > _PIECE:
                self._waiting.appendleft((data[_PIECE:], sent))
                data, sent = data[:_PIECE], _nothing
            self._moved = True
            self._transport.write(data)  # may block us at once
            sent()
            if self._waiting:
                self._next = self._loop.call_soon(self._go_on)
        if self._last and not self._waiting:
            self._transport.close()


def _head(length: int) -> bytes:
    if length < 126:  # noqa: PLR2004 - all three: RFC 6455, section 5.2
        return struct.pack("!BB", _BINARY, length)
    if length < 2**16:
        return struct.pack("!BBH", _BINARY, 126, length)
    return struct.pack("!BBQ", _BINARY, 127, length)


def _nothing() -> None:
    """Nobody waits for this."""

"""Where the event thread and the threads that talk on a connection meet; the only lock between them."""

import threading
from collections import deque
from collections.abc import Callable

_UNSENT = 24 * 2**20
"""Bytes handed over and not yet taken by the network, above which a sender waits. All that a joiner is told
in a session is less: nobody who tells it has to wait until it has read that."""
_EACH = 64
"""Bytes that a message takes beside its own."""


class Mailbox:
    """Messages of one connection, both ways, and how it ended."""

    def __init__(self, room: Callable[[], object]) -> None:
        """Begin with none; `room()` is called, under a lock and in any thread, when a message was taken."""
        self._room = room
        self._changed = threading.Condition()
        self._messages: deque[bytes] = deque()
        self._unread = 0
        self._unsent = 0
        self._end: Exception | None = None

    @property
    def unread(self) -> int:
        """Return the bytes that wait to be taken, and what holds them."""
        with self._changed:
            return self._unread

    @property
    def ended(self) -> bool:
        """Return whether nothing can be sent any more (messages may still lie here)."""
        with self._changed:
            return self._end is not None

    def put(self, message: bytes) -> None:
        """Lay down a message that came in."""
        with self._changed:
            self._messages.append(message)
            self._unread += len(message) + _EACH
            self._changed.notify_all()

    def take(self, timeout: float | None) -> bytes:
        """Return the next message, waiting for it; raise how it ended, or `TimeoutError` after seconds."""
        with self._changed:
            if timeout is None:
                # Not in one wait: a signal that comes just before it would not end it.
                while not (self._messages or self._end):
                    self._changed.wait(1.0)
            else:
                self._changed.wait_for(lambda: self._messages or self._end, timeout)
            if self._messages:
                message = self._messages.popleft()
                self._unread -= len(message) + _EACH
                self._room()
                return message
            if self._end is None:
                raise TimeoutError("no message came in time")
            raise _again(self._end)

    def hand_over(self, size: int, pass_on: Callable[[], object]) -> None:
        """Call `pass_on` once the network has room for `size` bytes; raise how it ended if it did."""
        with self._changed:
            self._changed.wait_for(lambda: self._end or self._unsent <= _UNSENT)
            if self._end is not None:
                raise _again(self._end)
            self._unsent += size
            # Under the lock: whoever came first is also sent first.
            pass_on()

    def sent(self, size: int) -> None:
        """Note that the event thread has given so many bytes to the network."""
        with self._changed:
            self._unsent -= size
            self._changed.notify_all()

    def end(self, error: Exception) -> None:
        """Note how it ended; the first word counts. Nothing comes in any more."""
        with self._changed:
            self._end = self._end or error
            self._room = _nobody
            self._changed.notify_all()


def _nobody() -> None:
    """Ask nobody for more: it would hold on to the connection, which holds on to this."""


def _again(error: Exception) -> Exception:
    """Return the error without the traceback of whoever got it before."""
    return error.with_traceback(None)

"""How fast one connection is read: its own pace, and no faster than what it says is taken."""

import asyncio
import time
from collections.abc import Callable

from mcloud.session.booking import Rate

_PART = 4096
"""Bytes that are parsed at once. The smallest frame has six, and the loop has others to serve."""
_FRAME = 1024
"""What a frame weighs beside its bytes: to parse one takes as long as to read so many."""


class Intake:
    """Bytes that came in on one connection, passed on at its pace; used by the event thread only.

    Who sends faster is not cut off: the network makes him wait, and nobody else has to.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        *,
        pace: float | None,
        parse: Callable[[bytes], int],
        full: Callable[[], bool],
    ) -> None:
        """Begin with nothing; `pace` is in bytes a second, with two seconds of it at once, None: any.

        `parse(bytes)` returns how many frames it found, `full()` is true while too much waits to be taken.
        """
        self._loop = loop
        self._transport = transport
        self._parse = parse
        self._full = full
        self._rate = Rate(per_second=pace, burst=2 * pace, clock=time.monotonic) if pace else None
        self._came = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self.paused = False
        """Nothing is read at present: what is not heard was perhaps said."""

    def add(self, data: bytes) -> None:
        """Take what came in, and pass on as much as may be passed on now."""
        self._came += data
        self.go_on()

    def go_on(self) -> None:
        """Pass on what may be passed on by now."""
        while self._came:
            if (wait := self._wait()) is not None:
                self._pause(wait)
                return
            part = bytes(self._came[:_PART]) if self._rate else bytes(self._came)
            del self._came[: len(part)]
            frames = self._parse(part)
            if self._rate:
                self._rate.take(len(part) + _FRAME * frames)
        if self.paused:
            self.paused = False
            self._transport.resume_reading()

    def stop(self) -> None:
        """Drop what is left, and hold on to nobody: the connection is gone, or going."""
        self._came.clear()
        self._parse, self._full = _nothing_in, _never
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> float | None:
        """Return the seconds to wait, 0 until it is told to go on; None: not at all."""
        if self._full():
            return 0.0
        return (self._rate.delay() or None) if self._rate else None

    def _pause(self, seconds: float) -> None:
        if not self.paused:
            self.paused = True
            self._transport.pause_reading()
        if self._timer is not None:
            self._timer.cancel()
        if seconds:
            self._timer = self._loop.call_later(seconds, self.go_on)


def _nothing_in(_data: bytes) -> int:
    return 0


def _never() -> bool:
    return False

"""Being stopped: the first Ctrl-C (or SIGTERM, or a lost terminal) ends in order, the second at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mcloud.cli.screen import Screen

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WHY = "stopped by its operator"
"""What the other machines are told."""

_ONCE_MORE = 0.1
"""Seconds."""


class Stopped(KeyboardInterrupt):
    """The operator, or the system, wants this program to end."""

    def __init__(self, number: int) -> None:
        """Keep the signal."""
        super().__init__(WHY)
        self.number = number
        self.exit_code = 128 + number


@contextmanager
def stoppable(screen: Screen, tell: Callable[[], None] = lambda: None) -> Iterator[None]:
    """While open: on the first signal call `tell`, in a thread of its own, and raise Stopped.

    What is in hand then comes to its end. A second signal ends the program on the spot: every step
    bears that, and the journal knows of it. Only in the main thread.
    """

    def say_and_tell() -> None:
        screen.notice("stopping: what is in hand comes to its end (once more stops at once)")
        tell()

    def at_once(number: int, _frame: FrameType | None) -> None:
        screen.output.restore()
        os._exit(128 + number)

    def in_order(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, at_once)
        # Not here: the signal may have come in the middle of a line, or with a lock held.
        threading.Thread(target=say_and_tell, daemon=True).start()
        raise Stopped(number)

    before = {each: signal.signal(each, in_order) for each in SIGNALS}
    try:
        with _never_lost():
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _never_lost() -> Iterator[None]:
    """While open: raise Stopped once more where Python threw it away.

    What a signal's handler raises while the main thread happens to be in a finalizer or in a callback of the
    garbage collector is shown as "ignored", and the program would go on.
    """

    def once_more(number: int, handler: Any) -> None:
        def raise_it(_number: int, _frame: FrameType | None) -> None:
            signal.signal(number, handler)
            raise Stopped(number)

        signal.signal(number, raise_it)
        # Not at once: the main thread is still where it would be thrown away again.
        timer = threading.Timer(_ONCE_MORE, signal.pthread_kill, (threading.main_thread().ident, number))
        timer.daemon = True
        timer.start()

    def lost(thrown_away: "sys.UnraisableHookArgs") -> None:
        if isinstance(thrown_away.exc_value, Stopped):
            number = thrown_away.exc_value.number
            once_more(number, signal.getsignal(number))
        else:
            before(thrown_away)

    before, sys.unraisablehook = sys.unraisablehook, lost
    try:
        yield
    finally:
        sys.unraisablehook = before

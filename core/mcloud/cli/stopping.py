"""Being stopped: the first Ctrl-C (or SIGTERM, or a lost terminal) ends in order, the second at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mcloud.cli.screen import Screen

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WHY = "stopped by its operator"
"""What the other machines are told."""


class Stopped(KeyboardInterrupt):
    """The operator, or the system, wants this program to end."""

    def __init__(self, number: int) -> None:
        """Keep the signal."""
        super().__init__(WHY)
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
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

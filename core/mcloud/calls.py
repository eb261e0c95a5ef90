"""Calls of plugins' code, each in a thread of its own and with an end: the only place that waits for one.

Python cannot end a thread. So the wait ends, the call is left behind where it is, and its tenure sees to it
that it changes nothing any more.
"""

import _thread
import contextvars
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from mcloud.deadlines import advice
from mcloud.errors import McloudError, Overdue, ServiceError
from mcloud.tenure import Tenure
from mcloud.waits import waited_for

T = TypeVar("T")

SLICE = 0.5
"""Seconds at most between two looks at the clock; what ends is noticed at once."""
ORDERLY = 3.0
"""Seconds after its deadline in which a call may still say itself why it is late."""
IN_HAND = 60.0
"""Seconds after a stop in which what is in hand may come to its end."""
REST = 300.0
"""Seconds at most for a use of the machine that is in hand; it has a deadline of its own, which is sooner."""

_OURS = (str(Path(__file__).parent), sysconfig.get_path("stdlib"))


class Call(Generic[T]):
    """One call that is in hand."""

    def __init__(self, call: Callable[[], T], tenure: Tenure) -> None:
        """Take the call; `start` begins it."""
        self.tenure = tenure
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self._call = call
        self._context = contextvars.copy_context()
        self._result: list[T] = []
        self._thread = 0

    def start(self) -> None:
        """Begin, in a new thread that keeps nobody from ending the program."""
        # Not by `threading`, which waits until the thread runs: there are hundreds of calls in a run.
        self._thread = _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        """Call, and keep what came of it."""
        try:
            self._result.append(self._context.run(self._call))
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything; `result` raises it again
            self.error = error
        finally:
            self.ended.set()

    def result(self) -> T:
        """Return what it returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self._result[0]

    @property
    def place(self) -> str:
        """Where in the plugin's code it is just now, for whoever has to mend that."""
        frame: FrameType | None = sys._current_frames().get(self._thread)  # noqa: SLF001 - the documented way
        while frame is not None and frame.f_code.co_filename.startswith(_OURS):
            frame = frame.f_back
        return (
            f", at {Path(frame.f_code.co_filename).name} line {frame.f_lineno}" if frame is not None else ""
        )


def within(call: Callable[[], T], tenure: Tenure, *, stopping: threading.Event | None = None) -> T:
    """Call, wait as long as the tenure lasts, and return what came of it or raise what it raised.

    Raises Overdue at the deadline, and ServiceError where `stopping` was set and it went on for too long all
    the same: it is left behind then, and is refused every use of the machine.
    """
    made = Call(call, tenure)
    try:
        with waited_for(tenure.who, other=False):
            made.start()
            late = _wait(made, stopping)
        if late is not None:
            raise late from made.error
        return made.result()
    finally:
        tenure.end()
        made.error = None  # it holds this frame, which holds it


def _wait(made: Call[Any], stopping: threading.Event | None) -> McloudError | None:
    """Wait for a call; return why it was not waited for any longer, None if it came to its own end."""
    tenure, stopped_at = made.tenure, None
    while not made.ended.wait(min(SLICE, tenure.left) or SLICE):
        now = time.monotonic()
        if stopped_at is None and stopping is not None and stopping.is_set():
            stopped_at = now
        if not tenure.left or (stopped_at is not None and now - stopped_at > IN_HAND * tenure.stretch):
            break
    overdue = not tenure.left
    if not made.ended.is_set():
        tenure.end()
        tenure.rest(REST * tenure.stretch)
        if not made.ended.wait(ORDERLY):
            return _left_behind(made) if overdue else _stopped(made)
    if not overdue or not isinstance(made.error, Exception):
        return None
    return Overdue(
        f"{tenure.who} was not done after {round(tenure.seconds, 1):g} s: {made.error}",
        plugin=tenure.plugin,
        hint=advice(tenure.stretch),
    )


def _left_behind(made: Call[Any]) -> Overdue:
    tenure = made.tenure
    limit = f"{round(tenure.seconds, 1):g} s"
    return Overdue(
        f"{tenure.who} did not come back within {limit}{_doing(made)}; it is waited for no longer",
        plugin=tenure.plugin,
        hint="it hangs, which is for the plugin's author to mend; " + advice(tenure.stretch),
    )


def _stopped(made: Call[Any]) -> ServiceError:
    return ServiceError(
        f"{made.tenure.who} went on for too long after the stop{_doing(made)}; it is waited for no longer",
        hint="run the same command again to go on, or `mcloud undo`",
    )


def _doing(made: Call[Any]) -> str:
    """Return in the middle of what it was left behind: a use of the machine, or a line of its code."""
    return f", in the middle of: {made.tenure.use}" if made.tenure.use else made.place

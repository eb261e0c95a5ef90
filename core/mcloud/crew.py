"""Threads that work side by side, so many at once; none of them keeps the program from ending.

The pools of Python's library wait for all that they began, when they are closed and once more when the
program ends: for a call that hangs, for ever.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

GLANCE = 1.0
"""Seconds of one wait: a signal that comes just before it does not end it."""


class Crew:
    """Does what it is given, each in a thread, `most` at once; the others in the order in which they came."""

    def __init__(self, most: int, name: str) -> None:
        """Begin with nothing to do."""
        self._most, self._name = most, name
        self._lock = threading.Lock()
        self._busy = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Have something called; return where its result will be."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                future.set_exception(error)

        with self._lock:
            self._waiting.append(work)
            if self._busy >= self._most:
                return future
            self._busy += 1
        threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return future

    def map(self, call: Callable[[S], T], given: Iterable[S]) -> Iterator[T]:
        """Call with each of these, side by side; yield the results in their order."""
        futures = [self.submit(lambda one=one: call(one)) for one in given]  # type: ignore[misc]
        return (result(future) for future in futures)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    return
                work = self._waiting.popleft()
            work()


def result(future: "Future[T]") -> T:
    """Wait for a result, in a way that Ctrl-C ends, and return or raise it; what is called has an end."""
    while not future.done():
        wait([future], timeout=GLANCE)
    return future.result()

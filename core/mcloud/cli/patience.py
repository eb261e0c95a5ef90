"""Telling a person, after some seconds of silence, who is being waited for; more and more rarely."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mcloud.waits import Wait

FIRST = 10.0
"""Seconds of silence before the first word."""
LONGEST = 300.0
"""Seconds at most from one word to the next: each silence is twice as long as the one before."""
NAMED = 3
"""How many are named at once; the others are counted."""
TICK = 1.0


@dataclass
class Patience:
    """Watches over the silence of one command."""

    whom: Callable[[], Sequence[Wait]]
    """Who is waited for just now, of most interest first; nobody while a person is asked."""
    spoke: Callable[[], float]
    """When anything was shown last, by the clock."""
    say: Callable[[str, Sequence[Wait]], None]
    clock: Callable[[], float] = time.monotonic
    _own: float = -1.0
    _since: float = field(default=0.0)
    _pause: float = FIRST

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Watch while this is open, in a thread of its own."""
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over,), name="patience", daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join(TICK)

    def look(self) -> None:
        """Say who is waited for, if it is time to."""
        spoke = self.spoke()
        if spoke != self._own:  # somebody else has said something
            self._own, self._since, self._pause = spoke, spoke, FIRST
        if self.clock() - self._since < self._pause:
            return
        self._since = self.clock()
        if waits := self.whom():
            self._pause = min(2 * self._pause, LONGEST)
            self.say(f"still waiting for {in_words(waits)}", waits)
            self._own = self.spoke()
        else:
            self._pause = FIRST

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(TICK):
            self.look()


def in_words(waits: Sequence[Wait]) -> str:
    """Return some of those who are waited for, and how many there are besides."""
    named = [f"{wait.who} ({wait.seconds:.0f} s)" for wait in waits[:NAMED]]
    more = [f"{len(waits) - NAMED} more"] if len(waits) > NAMED else []
    return "; ".join([*named, *more])


def as_fields(waits: Sequence[Wait]) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "type": "waiting",
        "for": [{"who": wait.who, "seconds": round(wait.seconds, 1)} for wait in waits[: 10 * NAMED]],
    }

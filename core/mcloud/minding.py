"""Minding the joiners while a run goes on: who left, is away or does not get on is cut off, and why."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcloud.deadlines import LOOKING, WORKING
from mcloud.headway import Headway
from mcloud.hosting import Hosting
from mcloud.session.due import size
from mcloud.session.initiator import Initiator
from mcloud.session.lobby import Guest

EVERY = 0.5
"""Seconds between two looks."""
BESIDE = 3 * LOOKING + 60
"""Seconds that a step may take beside its own: it is looked for before and after it, and told of."""


def part_within(longest: float = WORKING) -> float:
    """Return how many seconds may pass between two steps' ends on a joiner, the longest being so long."""
    return longest + BESIDE


@dataclass
class Minding:
    """Looks after them, in a thread of its own."""

    initiator: Initiator
    hosting: Hosting
    patience: float
    """Seconds that one may be away."""
    stretch: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _away: dict[str, float] = field(default_factory=dict)
    _busy: dict[str, tuple[str, Headway]] = field(default_factory=dict)
    """What each is waited for, and the patience for it; by fingerprint."""

    @contextmanager
    def minding(self) -> Iterator[None]:
        """Look after them while this is open."""
        done = threading.Event()
        minder = threading.Thread(target=self._mind, args=(done,), name="minding", daemon=True)
        minder.start()
        try:
            yield
        finally:
            done.set()
            minder.join(10 * EVERY)

    def look(self) -> None:
        """Cut off whom nobody has to wait for any longer; who is not in the roster is nobody's business."""
        roster = {node.fingerprint for node in self.hosting.inputs.joiners} if self.hosting.inputs else set()
        for guest in self.initiator.lobby.all():
            if guest.fingerprint in roster and (why := self._why_not(guest)):
                guest.standing, guest.reason = "failed", guest.reason if guest.standing == "failed" else why
                self.hosting.cut_off(guest, guest.reason)

    def _mind(self, done: threading.Event) -> None:
        while not done.wait(EVERY) and self.initiator.farewell is None:
            self.look()

    def _why_not(self, guest: Guest) -> str:
        """Return why a joiner is not waited for, "" if it is."""
        if guest.standing in {"parted", "failed"}:
            return guest.reason or "it left"
        if guest.standing == "here":
            self._away.pop(guest.fingerprint, None)
            return self._dawdling(guest)
        now = self.clock()
        if now - self._away.setdefault(guest.fingerprint, now) > self.patience:
            return f"nothing was heard of it for {self.patience:.0f} s"
        return ""

    def _dawdling(self, guest: Guest) -> str:
        """Return why one that is here does not get on with its part; "" if it does, or has none just now."""
        awaited = self._awaited(guest)
        if not awaited:
            self._busy.pop(guest.fingerprint, None)
            return ""
        what, headway = self._busy.get(guest.fingerprint, ("", None))
        if headway is None or what != awaited:
            limit = part_within(self.hosting.longest.get(guest.name, WORKING)) * self.stretch
            headway = Headway(limit, math.inf, clock=self.clock)
            self._busy[guest.fingerprint] = (awaited, headway)
        headway.note(self.hosting.hearsay.ended(guest.name))
        if not headway.over:
            return ""
        return f"it is there, but came to the end of no step for {headway.patience:.0f} s"

    def _awaited(self, guest: Guest) -> str:
        """Return the part and the tokens with which a joiner has something to do; "" if it waits for us."""
        phase = self.initiator.phase
        if phase not in {"enter", "adapt"} or guest.asked - guest.tokens.keys():
            return ""
        if guest.outlook is None:
            return "its plan"
        told = any(said.startswith("go ") for said in guest.said)
        if not told or (phase in guest.done and not guest.entering):
            return ""
        return f"{phase} {size(self.initiator.start.inputs)} {' '.join(sorted(guest.tokens))}"

"""How much of what one joiner does and says is shown: the screen belongs to all of them, and to a person."""

import time
from collections.abc import Callable

from mcloud.session.booking import Rate

NOTICES = (0.5, 20.0)
"""Lines a second, and at once, about a joiner that comes, leaves and comes again."""
REPORTS = (5.0, 300.0)
"""The same of its steps: a machine has some sixty, and says when each begins and ends."""


class Talk:
    """Counts the lines of each joiner, which is known by its certificate."""

    def __init__(self, pace: tuple[float, float], tell: Callable[[str], object]) -> None:
        """Begin with none; `tell(line)` says once of each that not all is shown."""
        self._per_second, self._burst = pace
        self._tell = tell
        self._rates: dict[str, Rate] = {}
        self._told: set[str] = set()

    def allows(self, mark: str, name: str) -> bool:
        """Return whether one more line of the joiner with this fingerprint is shown."""
        rate = self._rates.setdefault(
            mark, Rate(per_second=self._per_second, burst=self._burst, clock=time.monotonic)
        )
        if rate.delay() == 0:
            rate.take()
            return True
        if mark not in self._told:
            self._told.add(mark)
            self._tell(f"{name} says more than is shown here")
        return False

"""Whether anything gets on: a count that only grows, and a patience that it renews, up to an end."""

import math
import time
from collections.abc import Callable, Hashable

CEILING = 10.0
"""How many patiences a wait lasts at most, however much gets on meanwhile."""


class Headway:
    """One wait's patience. Not thread-safe."""

    def __init__(
        self, patience: float, most: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to wait; both in seconds, `most` is ten patiences if it is not said."""
        self.patience = patience
        self.most = CEILING * patience if most is None else most
        self._clock = clock
        self._began = self._renewed = clock()
        self._largest = -math.inf
        self._seen: set[Hashable] = set()

    def note(self, figure: object) -> None:
        """Renew the patience if this is more than there ever was; None is no figure.

        Of what is no number, each value counts that was never seen before: what comes and goes does not
        come for ever.
        """
        if figure is None or self._is_old(figure):
            return
        self._renewed = self._clock()

    def renew(self) -> None:
        """Begin the patience anew, for a reason of one's own; the end stays where it is."""
        self._renewed = self._clock()

    @property
    def over(self) -> str:
        """Why it is not waited for any longer, in words; "" as long as it is."""
        now = self._clock()
        if now - self._renewed > self.patience:
            return f"{self.patience:.0f} s without progress"
        if now - self._began > self.most:
            return f"{self.most:.0f} s in all"
        return ""

    def _is_old(self, figure: object) -> bool:
        if isinstance(figure, int | float):
            if not figure > self._largest:  # neither is what is no number at all
                return True
            self._largest = figure
            return False
        value: Hashable = figure if isinstance(figure, str) else repr(figure)
        old = value in self._seen
        self._seen.add(value)
        return old

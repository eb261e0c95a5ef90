"""Which of the machines that came are taken: those a file names, so many, or all. A person picks in `cli`."""

import time
from collections.abc import Callable, Collection

from mcloud.meeting import Meeting

Select = Callable[[Meeting], tuple[str, ...]]
"""Waits until it is clear who takes part; returns their names. Raises DiscoveryError after the patience."""


def expected(names: Collection[str]) -> Select:
    """Wait for these machines and take them."""

    def select(meeting: Meeting) -> tuple[str, ...]:
        meeting.wait(lambda: set(names) <= set(_here(meeting)), "the machines that are expected")
        return tuple(names)

    return select


def so_many(number: int) -> Select:
    """Wait for so many machines and take all that are here then."""

    def select(meeting: Meeting) -> tuple[str, ...]:
        meeting.wait(lambda: len(_here(meeting)) >= number, f"{number} machines")
        return _here(meeting)

    return select


def everyone(quiet: float, clock: Callable[[], float] = time.monotonic) -> Select:
    """Take all that come, until nobody came or left for `quiet` seconds."""

    def select(meeting: Meeting) -> tuple[str, ...]:
        seen: tuple[str, ...] = ()
        since = clock()

        def settled() -> bool:
            nonlocal seen, since
            here = _here(meeting)
            if here != seen:
                seen, since = here, clock()
            return bool(here) and clock() - since >= quiet

        meeting.wait(settled, "machines")
        return seen

    return select


def _here(meeting: Meeting) -> tuple[str, ...]:
    return tuple(guest.name for guest in meeting.initiator.lobby.here())

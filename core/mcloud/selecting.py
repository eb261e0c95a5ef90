"""Which of the machines that came are taken: those a file names, so many, all, or those a person picks."""

import time
from collections.abc import Callable, Collection, Sequence

from mcloud.attendance import COLUMNS, rows, state
from mcloud.meeting import Meeting
from mcloud.prompting import Pick, Prompter

MOST = 49
"""Joiners of one cloud at most: with the initiator 50 machines; more were never tried."""

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


def picked(prompter: Prompter, *, otherwise: str = "--expect N or --all") -> Select:
    """Let a person pick among those who come, while they come and go; it takes as long as it takes."""

    def select(meeting: Meeting) -> tuple[str, ...]:
        lobby = meeting.initiator.lobby

        def check(keys: Sequence[str]) -> str:
            gone = [guest for guest in map(lobby.guest, keys) if guest.standing != "here"]
            return "; ".join(f"{guest.name} is not here any more ({state(guest)})" for guest in gone)

        keys = prompter.pick(
            Pick(
                question="Which machines shall be in the cloud?",
                columns=COLUMNS,
                rows=lambda: rows(lobby),
                least=1,
                most=MOST,
                check=check,
                otherwise=otherwise,
            )
        )
        return tuple(lobby.guest(key).name for key in keys)

    return select


def _here(meeting: Meeting) -> tuple[str, ...]:
    return tuple(guest.name for guest in meeting.initiator.lobby.here())

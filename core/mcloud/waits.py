"""Whom this program waits for just now: the screen tells people of it. It ends no wait, and begins none."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait that goes on."""

    who: str
    """Who, or what, in words: machine first."""
    seconds: float
    """How long already."""
    other: bool
    """It is for another machine, or its person: of interest where nothing goes on here."""


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    who: Callable[[], str]
    since: float
    other: bool


_waits: set[_Begun] = set()
"""All that go on in this process, whoever waits: like a log, it is written to from everywhere."""


@contextmanager
def waited_for(who: str | Callable[[], str], *, other: bool = True) -> Iterator[None]:
    """Be known to wait for somebody while this is open; a function tells who it is by then."""
    begun = _Begun((lambda: who) if isinstance(who, str) else who, time.monotonic(), other)
    _waits.add(begun)
    try:
        yield
    finally:
        _waits.discard(begun)


def in_hand() -> Sequence[Wait]:
    """Return all waits that go on, the longest first."""
    now = time.monotonic()
    begun = sorted(_waits.copy(), key=lambda one: one.since)
    return [Wait(one.who(), now - one.since, one.other) for one in begun]

"""What a person types, line by line; never waited for longer than is wanted, secrets not shown."""

import os
import select
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

_STRETCH = 0.5
"""Seconds."""
LONGEST = 4096
"""Bytes; a terminal gives no longer lines (N_TTY_BUF_SIZE of Linux)."""


def read_line(seconds: float | None = None) -> str | None:
    """Return the next line, None if there is none in time. Raises Abort at the end of the input.

    Reads the terminal itself, which gives one line at a time: nothing is left in a buffer of ours.
    """
    file = sys.stdin.fileno()
    give_up = None if seconds is None else time.monotonic() + seconds
    while not select.select([file], [], [], _left(give_up))[0]:
        if give_up is not None and time.monotonic() >= give_up:
            return None
    try:
        line = os.read(file, LONGEST)
    except OSError as error:  # the terminal is gone
        raise click.Abort from error
    if not line:
        raise click.Abort
    return line.decode(errors="replace").strip()


def _left(give_up: float | None) -> float:
    """Return how long to wait at a stretch: a signal that comes just before a wait does not end it."""
    return _STRETCH if give_up is None else min(_STRETCH, max(0.0, give_up - time.monotonic()))


def forget_lines() -> None:
    """Drop what was typed already: nobody has read yet what that would answer."""
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


@contextmanager
def unseen() -> Iterator[None]:
    """While open: what is typed is not shown."""
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    silent = [*before]
    silent[3] = silent[3] & ~termios.ECHO | termios.ECHONL
    # What was typed before the question is no answer to it, and was seen.
    termios.tcsetattr(file, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)

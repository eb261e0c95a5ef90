"""The terminal as prompt_toolkit is given it: no questions to it, no half-drawn frames."""

import errno
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import click
from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.output.vt100 import Vt100_Output

from mcloud.cli.output import Output

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def terminal(output: Output) -> Vt100_Output:
    """Return the terminal for prompt_toolkit; it is never asked where the cursor is: not all answer."""

    def size() -> Size:
        columns, rows = output.size
        return Size(rows=rows, columns=columns)

    return Vt100_Output(sys.stdout, size, term=os.environ.get("TERM"), enable_cpr=False)


def forget_typed(app: Application[Any]) -> None:
    """Drop what was typed before a table is shown: nobody has read yet what that would answer."""
    clear_typeahead(app.input)
    with suppress(OSError, termios.error):
        termios.tcflush(app.input.fileno(), termios.TCIFLUSH)


@contextmanager
def minding_signals(app: Application[Any]) -> Iterator[Callable[[], None]]:
    """While open: a signal ends the application, and is raised again once the terminal is as it was.

    Raised where it comes it would leave half a frame behind. Ctrl-C, which comes as a key, is SIGINT
    then; the end of the input is click.Abort. Gives what is to be called when the application begins.
    """
    came: list[int] = []

    def end() -> None:
        if came and app.future is not None and not app.is_done:
            app.exit(exception=KeyboardInterrupt())

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if app.loop is not None:
            app.loop.call_soon_threadsafe(end)

    before = _handled(note)
    ended: BaseException | None = None
    try:
        yield end
    except (EOFError, KeyboardInterrupt, OSError) as error:
        ended = _as_elsewhere(error)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if isinstance(ended, KeyboardInterrupt):
        came.append(signal.SIGINT)
    if came:
        signal.raise_signal(came[0])
    if ended is not None:
        raise ended


def _as_elsewhere(error: BaseException) -> BaseException:
    """Return the end of the input, and of the terminal, as what it is in other questions."""
    over = isinstance(error, EOFError) or (isinstance(error, OSError) and error.errno == errno.EIO)
    return click.Abort() if over else error


def _handled(note: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Have signals noted; return how they were handled. Those that are ignored still are."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in SIGNALS}
    minded: dict[int, Any] = {
        number: how for number, how in found.items() if how not in {None, signal.SIG_IGN}
    }
    for number in minded:
        signal.signal(number, note)
    return minded

"""Bugs and what libraries log: written to files that only root can read, never to the screen."""

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from mcloud.secrets import Secrets
from mcloud.state import State

BUG = 70
"""The exit status, EX_SOFTWARE of sysexits.h."""
LOG_BYTES = 1_000_000


def write_down(error: BaseException, known: Secrets) -> str:
    """Write a traceback, without the values of variables, to `bugs.log`; return where it is.

    Where that cannot be written it is returned itself: better on the screen than lost.
    """
    text = known.mask("".join(traceback.format_exception(error)))
    path = State().folder / "bugs.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv)}\n{text}\n")
    except OSError:
        return f"what follows:\n{text}"
    return str(path)


def bug_lines(error: BaseException, where: str) -> list[str]:
    """Return what a person is told of a bug."""
    return [
        f"Error: this is a bug in mcloud or a plugin: {type(error).__name__}",
        f"Hint: what is known of it is in {where}",
    ]


@contextmanager
def logged(folder: Path, known: Secrets) -> Iterator[None]:
    """While open: warnings and what libraries log go to `mcloud.log` in the folder, at most 2 MB of it.

    Exceptions in threads are bugs, too; they go to `bugs.log`.
    """
    handler = RotatingFileHandler(folder / "mcloud.log", maxBytes=LOG_BYTES, backupCount=1, delay=True)
    handler.setFormatter(_Masked(known))
    root, hook = logging.getLogger(), threading.excepthook
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    threading.excepthook = lambda args: _in_thread(args, known)
    try:
        yield
    finally:
        threading.excepthook = hook
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)
        handler.close()


class _Masked(logging.Formatter):
    """Writes records without secrets."""

    def __init__(self, known: Secrets) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        return self._known.mask(super().format(record))


def _in_thread(args: threading.ExceptHookArgs, known: Secrets) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        where = write_down(args.exc_value, known)
        sys.stderr.write("\n".join(bug_lines(args.exc_value, where)) + "\n")

"""What all attacks have in common: nothing may be logged as an error, and no exception may be lost."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest


class Complaints(logging.Handler):
    """Keeps what a person would take for a fault of the program."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()} {record.exc_info}")


@pytest.fixture(scope="module", autouse=True)
def calm() -> Iterator[list[str]]:
    """Fail the module if anything in it ended in a traceback, wherever."""
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda lost: complaints.lines.append(f"in a thread: {lost.exc_value!r}")
    sys.unraisablehook = lambda lost: complaints.lines.append(f"unraisable: {lost.exc_value!r}")
    yield complaints.lines
    threading.excepthook, sys.unraisablehook = hooks
    logging.getLogger().removeHandler(complaints)
    assert complaints.lines == []

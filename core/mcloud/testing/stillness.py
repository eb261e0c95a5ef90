"""Watching whether code that shall only think does anything: opens files or sockets, starts processes."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

_DOING = (
    "open", "os.", "shutil.", "socket.", "subprocess.", "pty.", "tempfile.",
    "fcntl.", "ftplib.", "http.", "urllib.", "smtplib.", "sqlite3.", "mmap.", "signal.pthread_kill",
)  # fmt: skip
"""Audit events (see the table of them in Python's library reference) of code that does anything."""

_CODE = frozenset({".py", ".pyc", ".so"})


@dataclass
class _Watched:
    beside: str | None
    seen: list[str] = field(default_factory=list)


# The core calls plugins in threads of its own, and takes this along; a plugin's own thread has it not.
_watched: ContextVar[_Watched | None] = ContextVar("_watched", default=None)


@contextmanager
def still(*, beside: Path | None = None) -> Iterator[list[str]]:
    """While open, note what this thread has done; importing, and reading files in `beside`, is no doing."""
    _install()
    watched = _Watched(str(beside) if beside else None)
    before = _watched.set(watched)
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        # A thread is not watched, and its start is no audit event before Python 3.12.
        if _watched.get() is watched:
            watched.seen.append(f"a thread {thread.name}")
        start(thread)

    threads = cast("Any", threading.Thread)
    threads.start = noted
    try:
        yield watched.seen
    finally:
        threads.start = start
        _watched.reset(before)


def _look(event: str, given: tuple[Any, ...]) -> None:
    watched = _watched.get()
    if watched is None or not event.startswith(_DOING):
        return
    what = os.fsdecode(given[0]) if given and isinstance(given[0], str | bytes | os.PathLike) else ""
    reads = event in {"os.listdir", "os.scandir"} or (
        event == "open" and not (given[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )
    importing = reads and (Path(what).suffix in _CODE or event != "open") and _is_importing()
    own = reads and watched.beside is not None and what.startswith(watched.beside + os.sep)
    if not importing and not own:
        watched.seen.append(f"{event} {what}".strip())


def _is_importing() -> bool:
    frame = sys._getframe(2)  # noqa: SLF001 - the documented way to see one's callers
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


_lock = threading.Lock()
_installed: list[bool] = []


def _install() -> None:
    """Add the hook, once: an audit hook stays for as long as the process lives."""
    with _lock:
        if not _installed:
            sys.addaudithook(_look)
            _installed.append(True)

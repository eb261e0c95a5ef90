"""Watching whether code that shall only think does anything: opens files or sockets, starts processes."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

_DOING = (
    "open", "os.", "shutil.", "socket.", "subprocess.", "pty.", "tempfile.",
    "fcntl.", "ftplib.", "http.", "urllib.", "smtplib.", "sqlite3.", "mmap.", "signal.pthread_kill",
)  # fmt: skip
"""Audit events (see the table of them in Python's library reference) of code that does anything."""

_CODE = frozenset({".py", ".pyc", ".so"})
_watched = threading.local()


@contextmanager
def still(*, beside: Path | None = None) -> Iterator[list[str]]:
    """While open, note what this thread does; importing, and reading files in `beside`, is no doing."""
    _install()
    seen: list[str] = []
    _watched.seen, _watched.beside = seen, str(beside) if beside else None
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        # A thread is not watched, and its start is no audit event before Python 3.12.
        if getattr(_watched, "seen", None) is seen:
            seen.append(f"a thread {thread.name}")
        start(thread)

    threads = cast("Any", threading.Thread)
    threads.start = noted
    try:
        yield seen
    finally:
        threads.start = start
        _watched.seen = None


def _look(event: str, given: tuple[Any, ...]) -> None:
    seen = getattr(_watched, "seen", None)
    if seen is None or not event.startswith(_DOING):
        return
    what = os.fsdecode(given[0]) if given and isinstance(given[0], str | bytes | os.PathLike) else ""
    reads = event in {"os.listdir", "os.scandir"} or (
        event == "open" and not (given[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )
    importing = reads and (Path(what).suffix in _CODE or event != "open") and _is_importing()
    own = reads and _watched.beside is not None and what.startswith(_watched.beside + os.sep)
    if not importing and not own:
        seen.append(f"{event} {what}".strip())


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

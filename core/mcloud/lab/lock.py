"""One command at a time changes a lab."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcloud.errors import McloudError
from mcloud.lab.layout import STATE

PATIENCE = 60
"""Seconds that one command waits for another to end."""


@contextmanager
def locked(lab: str, *, patience: float = PATIENCE, state: Path = STATE) -> Iterator[None]:
    """Hold a lab's lock; McloudError with the holder's pid when it is not let go in time.

    The kernel lets go when the holder dies, however it dies.
    """
    file = state / f"{lab}.lock"
    deadline = time.monotonic() + patience
    while (held := _take(file)) is None:
        if time.monotonic() > deadline:
            holder = _holder(file)
            raise McloudError(f"process {holder} is at work on lab {lab!r}", hint="wait for it, or end it")
        time.sleep(0.1)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(held)
        with suppress(OSError):  # other labs live in it
            state.rmdir()


def _take(file: Path) -> int | None:
    """Return the descriptor of the lock file, locked by us; None if another holds it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, FileExistsError):  # another lab's last command removes the folder meanwhile
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder removed the file: what is locked must be what others will find.
        if os.fstat(held).st_ino == file.stat().st_ino:
            os.ftruncate(held, 0)
            os.write(held, str(os.getpid()).encode())
            return held
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(held)
    return None


def _holder(file: Path) -> str:
    try:
        return file.read_text() or "unknown"
    except FileNotFoundError:
        return "unknown"

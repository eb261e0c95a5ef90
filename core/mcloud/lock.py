"""The lock of this machine: one run at a time; the kernel ends it with the process that holds it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mcloud.errors import McloudError

_LONGEST = 4096


@contextmanager
def hold(path: Path, command: str) -> Iterator[None]:
    """Hold the lock, saying in it who we are; raises McloudError naming the holder, or OSError.

    The file stays for ever: if it were removed, two runs could hold two files of one name.
    """
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(os.pread(number, _LONGEST, 0)) from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        _say(number, json.dumps({"pid": os.getpid(), "command": command, "since": since}))
        try:
            yield
        finally:
            _say(number, "")
    finally:
        os.close(number)


def _say(number: int, text: str) -> None:
    os.ftruncate(number, 0)
    os.pwrite(number, text.encode(), 0)


def _taken(content: bytes) -> McloudError:
    """Make the error that names the holder, if it has already said who it is."""
    hint = "let it end, then run this again"
    try:
        holder = json.loads(content)
        who = f"`{holder['command']}` (process {int(holder['pid'])}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return McloudError("another mcloud is at work on this machine", hint=hint)
    return McloudError(f"another mcloud is at work on this machine: {who}", hint=hint)

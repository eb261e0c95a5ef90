"""The program inside a machine that holds one block device open, looks at it, and writes zeros on it.

It runs alone, without the rest of mcloud, for as long as its standard input is open. While it holds the
device, the kernel gives neither its number nor its name to another one. What it is asked are lines of JSON,
and so is what it answers; what was read follows such a line as it is.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PIECE = 1024 * 1024
BLOCK = 4096

REREAD_TABLE = 0x125F
"""BLKRRPART of linux/fs.h: read the table of partitions again."""

USED = "in use"
"""What is said of a device that the kernel does not give to one alone."""


def main(path: str) -> None:
    """Hold a device, and do what is asked until nobody asks any more."""
    try:
        held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        found = os.fstat(held)
        if not stat.S_ISBLK(found.st_mode):
            _say(error="is no block device")
            return
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        size = os.lseek(held, 0, os.SEEK_END)
        os.posix_fadvise(held, 0, 0, os.POSIX_FADV_RANDOM)
    except OSError as error:
        _say(error=f"cannot be opened: {error.strerror}")
        return
    _say(number=number, size=size, node=f"/proc/{os.getpid()}/fd/{held}")
    for line in sys.stdin.buffer:
        asked: dict[str, Any] = json.loads(line)
        try:
            DEEDS[asked.pop("do")](held, **asked)
        except OSError as error:
            _say(error=USED if error.errno == errno.EBUSY else str(error.strerror))


def _say(content: bytes = b"", **words: Any) -> None:
    sys.stdout.buffer.write(json.dumps({**words, "bytes": len(content)}).encode() + b"\n" + content)
    sys.stdout.buffer.flush()


def _read(held: int, at: int, count: int) -> None:
    _say(b"".join(_pieces(held, at, count)))


def _pieces(held: int, at: int, count: int) -> Iterator[bytes]:
    """Yield what is on the device itself: nothing that was remembered of it, and nothing is left behind."""
    while count > 0:
        os.posix_fadvise(held, at, min(count, PIECE), os.POSIX_FADV_DONTNEED)
        piece = os.pread(held, min(count, PIECE), at)
        if not piece:
            return
        os.posix_fadvise(held, at, len(piece), os.POSIX_FADV_DONTNEED)
        yield piece
        at, count = at + len(piece), count - len(piece)


def _sample(held: int, places: list[list[int]]) -> None:
    """Say of each place whether it holds zeros, is erased (0xff, as flash is), or holds data."""
    digest, found = hashlib.sha256(), []
    for at, count in places:
        kinds = set()
        for piece in _pieces(held, at, count):
            digest.update(piece)
            kinds.add(_kind(piece))
        found.append(kinds.pop() if len(kinds) == 1 else "data")
    _say(found=found, digest=digest.hexdigest())


def _kind(piece: bytes) -> str:
    if piece.count(b"\0") == len(piece):
        return "zeros"
    return "erased" if piece.count(b"\xff") == len(piece) else "data"


def _alone(held: int, flags: int) -> int:
    """Open the device once more for us alone: open(2), O_EXCL without O_CREAT fails where it is used."""
    return os.open(f"/proc/self/fd/{held}", flags | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC)


def _try(held: int) -> None:
    os.close(_alone(held, os.O_RDONLY))
    _say()


def _leads(held: int, path: str) -> None:
    try:
        same = Path(path).stat().st_rdev == os.fstat(held).st_rdev
    except OSError:
        same = False
    _say(same=same)


def _zero(held: int, places: list[list[int]]) -> None:
    """Write zeros, each place from its end to its start: a label, which is at a start, goes last."""
    zeros, alone = bytes(PIECE), _alone(held, os.O_WRONLY)
    try:
        for start, count in places:
            end = start + count
            while end > start:
                # What is at the very start, and says whose all of it is, goes in one piece of its own.
                low = max(end - PIECE, start + BLOCK if end > start + BLOCK else start)
                os.pwrite(alone, zeros[: end - low], low)
                end = low
            os.fsync(alone)
    finally:
        os.close(alone)
    with contextlib.suppress(OSError):  # it can have no partitions
        fcntl.ioctl(held, REREAD_TABLE)
    _say()


DEEDS: dict[str, Callable[..., None]] = {
    "read": _read,
    "sample": _sample,
    "try": _try,
    "leads": _leads,
    "zero": _zero,
}

if __name__ == "__main__":
    main(sys.argv[1])

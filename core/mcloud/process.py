"""Run one program to its end, bounded in time and in what is kept of its output."""

import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import IO

KEPT = 8 * 1024 * 1024
"""Bytes kept of each stream: its end."""

_CHUNK = 64 * 1024

_AFTERWARDS = 0.5
"""Seconds in which the output must end once the program has: a daemon it left may hold the pipe open."""

_LAST_WORDS = 1.0
"""Seconds after SIGTERM, and again after SIGKILL, which a process that waits for a dead disk ignores."""

Child = subprocess.Popen[bytes]


@dataclass(slots=True)
class Ended:
    """How a program ended; `status` is None if it was killed at its deadline, negative after a signal."""

    status: int | None = None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    cut: bool = False
    """Whether it wrote more to its standard output than was kept."""


def run_program(argv: Sequence[str], *, stdin: bytes | None, env: Mapping[str, str], seconds: float) -> Ended:
    """Start a program in a session of its own and see it to its end; raises OSError if it cannot start.

    At the deadline, or if an exception ends the wait, all that is left of its process group is killed.
    """
    ended = Ended()
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        cwd="/",
        # Ours is 077, for our own files; what services and packages make is read by their daemons.
        umask=0o022,
        start_new_session=True,
    )
    exited = False
    pidfd = os.pidfd_open(child.pid)
    try:
        exited = _see_through(child, pidfd, ended, memoryview(stdin or b""), time.monotonic() + seconds)
    finally:
        if not exited:
            exited_late = _kill(child, pidfd)
            child.returncode = child.wait() if exited_late else -signal.SIGKILL
        os.close(pidfd)
        for stream in _streams(child):
            with suppress(OSError):
                stream.close()
    if exited:
        ended.status = child.wait()
    return ended


def _streams(child: Child) -> Sequence[IO[bytes]]:
    return [stream for stream in (child.stdin, child.stdout, child.stderr) if stream is not None]


def _see_through(child: Child, pidfd: int, ended: Ended, unsent: memoryview, deadline: float) -> bool:
    """Feed and drain a program until it ends or its time is over; return whether it ended."""
    exited = False
    with closing(selectors.DefaultSelector()) as selector:
        selector.register(pidfd, selectors.EVENT_READ)
        for stream in _streams(child):
            os.set_blocking(stream.fileno(), False)
            selector.register(
                stream, selectors.EVENT_WRITE if stream is child.stdin else selectors.EVENT_READ
            )
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fd == pidfd:
                    exited = True
                    deadline = time.monotonic() + _AFTERWARDS
                    selector.unregister(pidfd)
                elif child.stdin is not None and key.fileobj is child.stdin:
                    unsent = _feed(key.fd, unsent)
                    if not unsent:
                        selector.unregister(child.stdin)
                        child.stdin.close()
                elif not _drain(key.fd, ended, out=key.fileobj is child.stdout):
                    selector.unregister(key.fileobj)
    return exited


def _feed(number: int, unsent: memoryview) -> memoryview:
    """Write what the pipe takes and return the rest: nothing, if the program does not want it."""
    try:
        return unsent[os.write(number, unsent[:_CHUNK]) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return unsent[:0]


def _drain(number: int, ended: Ended, *, out: bool) -> bool:
    """Read what there is and keep the end of it; return False when the stream is over."""
    try:
        chunk = os.read(number, _CHUNK)
    except BlockingIOError:
        return True
    kept = ended.stdout if out else ended.stderr
    kept += chunk
    if len(kept) > KEPT:
        del kept[:-KEPT]
        ended.cut |= out
    return bool(chunk)


def _kill(child: Child, pidfd: int) -> bool:
    """Kill the process group; return whether its leader is gone.

    The leader is not waited for in between: its number, the group's, stays ours until then.
    """
    gone = False
    watch = select.poll()
    watch.register(pidfd, select.POLLIN)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, sent)
        gone = bool(watch.poll(_LAST_WORDS * 1000))
    return gone

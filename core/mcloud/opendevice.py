"""A block device that another process holds open for us, inside the machine whose it is."""

import json
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import Any

from mcloud.errors import CommandError, ServiceError
from mcloud.host import Place, Samples

_PROGRAM = files("mcloud").joinpath("keeper.py").read_bytes()

KEEPER = f"import sys; exec(sys.stdin.buffer.read({len(_PROGRAM)}))"
"""What runs the program: it comes on standard input, as the machine may see none of our files."""

LONGEST_LINE = 256 * 1024

_CHUNK = 64 * 1024

_LAST_WORDS = 1.0
"""Seconds for the process to end by itself; one that waits for a dead disk does not."""


@contextmanager
def open_device(
    argv: Sequence[str], path: str, *, env: Mapping[str, str], seconds: float, machine: str
) -> Iterator["OpenDevice"]:
    """Start the keeper with a command that ends in its path, and end it afterwards."""
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(env),
        cwd="/",
        bufsize=0,
        start_new_session=True,
    )
    try:
        yield OpenDevice(child, path, seconds=seconds, machine=machine)
    finally:
        _end(child)


class OpenDevice:
    """See `mcloud.host.Device`. For one thread at a time."""

    def __init__(self, child: subprocess.Popen[bytes], path: str, *, seconds: float, machine: str) -> None:
        """Wait until it is open."""
        self._child = child
        self._title = f"{path} of {machine}"
        self._seconds = seconds
        self._buffer = bytearray()
        self._tell(_PROGRAM)
        words, _ = self._answer("opening it", seconds)
        self.number, self.size, self.node = str(words["number"]), int(words["size"]), str(words["node"])

    def read(self, at: int, count: int) -> bytes:
        """Return what is on the device itself."""
        return self._ask("reading it", self._seconds, do="read", at=at, count=count)[1]

    def sample(self, places: Sequence[Place]) -> Samples:
        """Read some places and tell what they hold."""
        words, _ = self._ask("reading it", self._seconds, do="sample", places=places)
        return Samples(tuple(words["found"]), str(words["digest"]))

    def refusal(self) -> str:
        """Ask the kernel whether the device can be had alone."""
        words, _ = self._ask("trying to have it alone", self._seconds, refuse=False, do="try")
        return str(words.get("error", ""))

    def leads(self, path: str) -> bool:
        """Whether a path leads to this device now."""
        return bool(self._ask(f"looking at {path}", self._seconds, do="leads", path=path)[0]["same"])

    def zero(self, places: Sequence[Place]) -> None:
        """Write zeros."""
        self._ask("writing on it", 4 * self._seconds, do="zero", places=places)

    def _ask(
        self, what: str, seconds: float, *, refuse: bool = True, **words: Any
    ) -> tuple[Mapping[str, Any], bytes]:
        self._tell(json.dumps(words).encode() + b"\n")
        return self._answer(what, seconds, refuse=refuse)

    def _tell(self, said: bytes) -> None:
        """Write to it; it reads all that comes, and what we write fits into the pipe."""
        assert self._child.stdin is not None  # noqa: S101 - Popen was told to make one
        try:
            while said:
                said = said[self._child.stdin.write(said) or 0 :]
        except OSError:
            raise CommandError(f"{self._title}: what held it open has ended") from None

    def _answer(self, what: str, seconds: float, *, refuse: bool = True) -> tuple[Mapping[str, Any], bytes]:
        """Read one answer; ServiceError if it is a no, or none has come in time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            self._more(what, deadline, seconds)
            if len(self._buffer) > LONGEST_LINE and b"\n" not in self._buffer:
                raise CommandError(f"{self._title}: {what} gave nonsense")
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        words = json.loads(line)
        while len(self._buffer) < words["bytes"]:
            self._more(what, deadline, seconds)
        content = bytes(self._buffer[: words["bytes"]])
        del self._buffer[: words["bytes"]]
        if refuse and "error" in words:
            raise ServiceError(f"{self._title}: {words['error']}", hint="is it plugged in, and sound?")
        return words, content

    def _more(self, what: str, deadline: float, seconds: float) -> None:
        assert self._child.stdout is not None  # noqa: S101 - Popen was told to make one
        watch = select.poll()
        watch.register(self._child.stdout, select.POLLIN)
        if not watch.poll(max(0, deadline - time.monotonic()) * 1000):
            raise CommandError(
                f"{self._title}: {what} takes longer than {seconds:g} s",
                hint="is it sound? `dmesg` and `smartctl -a` tell",
            )
        chunk = self._child.stdout.read(_CHUNK)
        if not chunk:
            raise CommandError(f"{self._title}: what held it open has ended")
        self._buffer += chunk


def _end(child: subprocess.Popen[bytes]) -> None:
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    for send in (child.terminate, child.kill):
        try:
            child.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            send()
        else:
            return
    with suppress(subprocess.TimeoutExpired):
        child.wait(_LAST_WORDS)

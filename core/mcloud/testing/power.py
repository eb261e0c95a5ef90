"""Cutting a machine's power at a given line of its journal: nothing reaches its disk from there on."""

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import Any, Literal, Self

from mcloud.model import Role
from mcloud.state import RunEntry, State
from mcloud.testing.host import FakeHost, PowerLost

Moment = Literal["before", "torn", "after"]
"""Whether the fatal line is not on disk at all, half there, or whole."""


@dataclass(kw_only=True)
class Power:
    """The power of one process' life: once lost it never comes back, a new process has its own."""

    host: FakeHost
    cut_network: Callable[[], None]
    line: int | None = None
    """Lose it at this line of the journal, counted from 1 over all lines this process writes."""
    moment: Moment = "before"
    on: bool = True
    written: int = 0
    ended: Callable[[], None] = lambda: None
    """Wakes a process that has lost its power and waits for something: the dead wait for nothing."""

    def lose(self) -> None:
        """Switch off: disk, host and network are dead from now on."""
        self.on = False
        self.host.off = True
        self.cut_network()
        threading.Thread(target=self.ended, name="lost", daemon=True).start()

    def check(self) -> None:
        """End whoever writes to the disk of a machine without power."""
        if not self.on:
            raise PowerLost


class MortalState(State):
    """The state folder of a machine that can lose its power."""

    def __init__(self, folder: Path, power: Power) -> None:
        """Keep everything in a folder, as long as there is power."""
        super().__init__(folder)
        self._power = power

    def journal_path(self, run: str) -> Path:
        """Return where a run's journal is; lines are counted on the way to it."""
        return _mortal(super().journal_path(run), self._power)

    def begin_run(self, *, command: str, role: Role, digest: str = "", run: str | None = None) -> RunEntry:
        """Note a new run."""
        self._power.check()
        return super().begin_run(command=command, role=role, digest=digest, run=run)

    def pin(self, run: str, name: str, fingerprint: str, certificate: str) -> None:
        """Know a machine."""
        self._power.check()
        super().pin(run, name, fingerprint, certificate)

    def forget(self, run: str) -> None:
        """Forget the machines of a run."""
        self._power.check()
        super().forget(run)

    def write_cloud(self, record: Mapping[str, Any] | None) -> None:
        """Write the record."""
        self._power.check()
        super().write_cloud(record)


@contextmanager
def dying_quietly() -> Iterator[None]:
    """While open: threads that end with their machine's power are nothing to be told of."""
    before = threading.excepthook

    def hook(what: threading.ExceptHookArgs, /) -> None:
        if not issubclass(what.exc_type, PowerLost):
            before(what)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


class _Pen(io.FileIO):
    """A journal opened for one line, which may be the last."""

    def __init__(self, path: Path, power: Power, *, fatal: bool) -> None:
        super().__init__(path, "ab")
        self._power = power
        self._fatal = fatal

    def write(self, data: Any, /) -> int:
        if self._fatal and self._power.moment == "torn":
            super().write(data[: len(data) // 2])
            self._power.lose()
            raise PowerLost
        return super().write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_what: object) -> None:
        self.close()
        if self._fatal and self._power.on:
            self._power.lose()
            raise PowerLost


def _mortal(path: Path, power: Power) -> Path:
    class MortalPath(PosixPath):
        """A path whose file ends with the machine's power."""

        def open(self, mode: str = "r", *rest: Any, **named: Any) -> Any:
            """Open the file; for a new line, count it."""
            power.check()
            if mode != "ab":
                return super().open(mode, *rest, **named)
            power.written += 1
            fatal = power.written == power.line
            if fatal and power.moment == "before":
                power.lose()
                raise PowerLost
            return _Pen(self, power, fatal=fatal)

    return MortalPath(path)

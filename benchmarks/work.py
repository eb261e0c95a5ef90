"""Processor seconds: what the machines of a lab work, and what the commands typed on them do."""

import multiprocessing
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcloud.lab import Lab

CGROUPS = Path("/sys/fs/cgroup")
LONGEST = 1800.0
"""Seconds after which a busy loop ends by itself, should nobody end it."""


@dataclass(frozen=True, slots=True)
class Work:
    """Processor seconds, of all processors together."""

    daemons: float
    """In the machines: all that systemd started there."""
    commands: float
    """What was typed on the machines and has ended, with all that it ran: mcloud, in the first place."""

    def since(self, before: "Work") -> "Work":
        """Return what was done since an earlier look."""
        return Work(self.daemons - before.daemons, self.commands - before.commands)

    @property
    def total(self) -> float:
        """All of it."""
        return self.daemons + self.commands


def done(lab: Lab) -> Work:
    """Return what has been done up to now."""
    of_lab = [
        *CGROUPS.glob(f"*/mcloud-lab/{lab.name}/cpu.stat"),
        CGROUPS / "mcloud-lab" / lab.name / "cpu.stat",
    ]
    counted = [int(path.read_text().split()[1]) / 1e6 for path in of_lab if path.exists()]
    typed = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Work(daemons=max(counted, default=0.0), commands=typed.ru_utime + typed.ru_stime)


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep so many processes spinning for as long as this is open."""
    loops = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(number)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.join()


def _spin() -> None:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        pass

"""A whole lab: bring it up, take it down from any state."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from mcloud.errors import McloudError, ServiceError
from mcloud.lab import disks, layout, processes, requirements, roots, wires
from mcloud.lab.commands import execute
from mcloud.lab.layout import STATE, Layout, MachineLayout
from mcloud.lab.machine import Machine

LOCK_PATIENCE = 60  # seconds that one lab command waits for another to end
Say = Callable[[str], None]


class Lab:
    """Machines in namespaces on this machine, under a name; several labs live side by side."""

    def __init__(self, name: str = "lab") -> None:
        """Keep the name; nothing is touched."""
        layout.check_name(name)
        self.name = name

    def up(
        self,
        *,
        machines: int = 3,
        disk_sizes: Sequence[str] = (),
        nics: Sequence[str] = (),
        say: Say = lambda _: None,
    ) -> None:
        """Make the machines n1..nN and boot them side by side.

        `disk_sizes` as truncate(1) reads them, one disk each on every machine (default: two of 10G);
        `nics` are networks beyond eth0 (internal), eth1 (uplink) and eth2 (underlay).
        """
        requirements.check()
        planned = layout.plan(self.name, machines=machines, disks=tuple(disk_sizes), nics=tuple(nics))
        with self._locked():
            if (STATE / self.name).exists():
                raise McloudError(
                    f"lab {self.name!r} is up already", hint=f"mcloud lab down --lab {self.name}"
                )
            (STATE / self.name).mkdir(parents=True, mode=0o700)
            execute(
                [
                    "mount",
                    "-t",
                    "tmpfs",
                    "-o",
                    "mode=0700,size=75%",
                    f"mcloud-lab-{self.name}",
                    str(STATE / self.name),
                ]
            )
            layout.save(planned)
            requirements.raise_kernel_limits()
            wires.lay_backbone(planned)
            self._side_by_side(
                [machine.name for machine in planned.machines],
                lambda machine: self._start(planned, machine, say),
            )

    def down(self) -> None:
        """Take everything away, whatever state it is in; nothing happens where there is nothing."""
        requirements.check_root()
        with self._locked():
            processes.end(self.name)
            wires.tear_backbone(self.name)
            roots.drop(self.name)
            disks.detach(self.name)
            processes.leave_cgroups(self.name)
        for folder in (STATE, layout.IMAGES):
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()

    def names(self) -> list[str]:
        """Return the machines' names."""
        return [machine.name for machine in self.layout().machines]

    def machine(self, name: str) -> Machine:
        """Return one machine; McloudError with the known names where there is none."""
        planned = self.layout()
        return Machine(planned, planned.machine(name))

    def boot(self, *names: str, say: Say = lambda _: None) -> None:
        """Switch on some machines (all that are off, when none is named), side by side."""
        with self._locked():
            self._side_by_side(names or self.names(), lambda machine: machine.boot(say))

    def kill(self, *names: str) -> None:
        """Cut the power of some machines at the same moment."""
        with self._locked():
            self._side_by_side(names, lambda machine: machine.kill())

    def cut(self, one: str, other: str) -> None:
        """Drop everything that two machines send each other, on every network."""
        with self._locked():
            wires.cut(self.name, *self._pair(one, other))

    def mend(self, one: str, other: str) -> None:
        """Let two machines talk again."""
        with self._locked():
            wires.mend(self.name, *self._pair(one, other))

    def layout(self) -> Layout:
        """Return what the lab is made of; McloudError where it is not up."""
        requirements.check_root()
        found = layout.load(self.name)
        if found is None:
            raise McloudError(f"lab {self.name!r} is not up", hint=f"mcloud lab up --lab {self.name}")
        return found

    def _pair(self, one: str, other: str) -> tuple[MachineLayout, MachineLayout]:
        if one == other:
            raise McloudError("a machine cannot be cut off from itself", hint="name two machines")
        planned = self.layout()
        return planned.machine(one), planned.machine(other)

    def _start(self, planned: Layout, machine: Machine, say: Say) -> None:
        roots.build(planned, machine.layout)
        machine.boot(say)

    def _side_by_side(self, names: Sequence[str], work: Callable[[Machine], None]) -> None:
        machines = [self.machine(name) for name in names]
        with ThreadPoolExecutor(max_workers=len(machines)) as pool:
            outcomes = [pool.submit(work, machine) for machine in machines]
        failures = [error for outcome in outcomes if (error := outcome.exception())]
        if failures:
            raise ServiceError(
                "; ".join(str(error) for error in failures), hint=f"mcloud lab status --lab {self.name}"
            ) from failures[0]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lab's lock: one command changes it at a time."""
        STATE.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = STATE / f"{self.name}.lock"
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if file.exists() and file.stat().st_ino == os.fstat(held).st_ino:
                    break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = os.read(held, 32).decode() or "?"
                    raise McloudError(
                        f"process {holder} is at work on lab {self.name!r}", hint="wait for it, or end it"
                    ) from None
                time.sleep(0.1)
            os.close(held)
        try:
            os.truncate(held, 0)
            os.write(held, str(os.getpid()).encode())
            yield
        finally:
            file.unlink(missing_ok=True)
            os.close(held)

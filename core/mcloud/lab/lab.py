"""A whole lab: bring it up, take it down from any state."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from mcloud.errors import McloudError, RunFailed, ServiceError
from mcloud.lab import cuts, disks, layout, processes, requirements, roots, wires
from mcloud.lab.layout import STATE, Layout, MachineLayout
from mcloud.lab.lock import locked
from mcloud.lab.machine import Machine, Say, silent

ROUNDS = 5
"""How often `down` looks again for what was still starting while it worked."""


class Lab:
    """Machines in namespaces on this machine, under a name; several labs live side by side."""

    def __init__(self, name: str = "lab") -> None:
        """Keep the name; nothing is touched."""
        layout.check_name(name)
        self.name = name

    @staticmethod
    def existing() -> list["Lab"]:
        """Return all labs that are up, or of which something is left."""
        folders = [*STATE.glob("*/"), *layout.IMAGES.glob("*/")]
        return [Lab(name) for name in sorted({folder.name for folder in folders})]

    def up(
        self,
        *,
        machines: int = 3,
        disks: Sequence[str] = (),
        nics: Sequence[str] = (),
        serials: bool = True,
        say: Say = silent,
    ) -> None:
        """Make the machines n1..nN and boot them side by side.

        `disks` are sizes as truncate(1) reads them, one disk each on every machine (default: two of
        10G), which tell no serial without `serials`; `nics` name networks beyond eth0 (internal),
        eth1 (uplink) and eth2 (underlay).
        `say` gets a line when a machine is up. RunFailed names every machine that does not come up.
        """
        planned = layout.plan(
            self.name, machines=machines, disks=tuple(disks), nics=tuple(nics), serials=serials
        )
        requirements.check()
        with locked(self.name):
            if (STATE / self.name).exists():
                raise McloudError(
                    f"lab {self.name!r} is up already, or what is left of it",
                    hint=f"mcloud lab status --lab {self.name}; mcloud lab down --lab {self.name}",
                )
            requirements.raise_kernel_limits()
            roots.make_state(self.name)
            self._keep(planned)
            wires.lay_backbone(planned)

            def start(machine: Machine) -> None:
                roots.build(planned, machine.layout)
                machine.switch_on()
                machine.wait(say)

            _side_by_side([Machine(planned, machine) for machine in planned.machines], start)

    def down(self) -> None:
        """Take everything away, whatever state it is in; nothing happens where there is nothing."""
        requirements.check_root()
        with locked(self.name):
            for _ in range(ROUNDS):
                processes.end(self.name)
                wires.tear_backbone(self.name)
                roots.drop(self.name)
                disks.detach(self.name)
                if processes.leave_cgroups(self.name) and not processes.of_lab(self.name):
                    return
            raise ServiceError(
                f"lab {self.name!r} does not go away", hint="something starts again: see `systemd-cgls`"
            )

    def names(self) -> list[str]:
        """Return the machines' names."""
        return [machine.name for machine in self.layout().machines]

    def machine(self, name: str) -> Machine:
        """Return one machine; McloudError with the known names where there is none."""
        planned = self.layout()
        return Machine(planned, planned.machine(name))

    def boot(
        self,
        *names: str,
        swap_disks: tuple[str, str] | None = None,
        swap_nics: tuple[str, str] | None = None,
        say: Say = silent,
    ) -> None:
        """Switch on machines (all that are off, when none is named) side by side; wait until they are up.

        `swap_disks` are the names of two disks of the one machine that is named and off: from this boot
        on each is called as the other was, as happens where a controller answers later than before.
        `swap_nics` are those of two interfaces of it.
        """
        with locked(self.name):
            if swap_disks is not None:
                machine = self._off(names).layout.with_exchanged_disks(*swap_disks)
                self._keep(self.layout().with_machine(machine))
            if swap_nics is not None:
                machine = self._off(names).layout.with_exchanged_nics(*swap_nics)
                self._keep(self.layout().with_machine(machine))
            machines = self._named(names or self.names())
            _side_by_side(
                [machine for machine in machines if machine.pid is None], lambda one: _boot(one, say)
            )

    def kill(self, *names: str) -> None:
        """Cut the power of machines at the same moment."""
        with locked(self.name):
            _side_by_side(self._named(names), Machine.cut_power)

    def cut(self, one: str, other: str) -> None:
        """Drop everything that two machines send each other, on every network."""
        with locked(self.name):
            cuts.cut(self.name, *self._pair(one, other))

    def mend(self, one: str, other: str) -> None:
        """Let two machines talk again."""
        with locked(self.name):
            cuts.mend(self.name, *self._pair(one, other))

    def fail_disk(self, machine: str, disk: str) -> None:
        """Let a disk (`sdb`) die: from now on nothing on it can be reached."""
        with locked(self.name):
            disks.fail(self.name, self.layout().machine(machine), disk)

    def renew_disk(self, machine: str, disk: str) -> None:
        """Put an empty disk, with a serial of its own, in the place of another, which may have failed."""
        with locked(self.name):
            planned = self.layout()
            self._keep(planned.with_machine(planned.machine(machine).with_new_disk(disk)))
            self.machine(machine).renew_disk(disk)

    def cuts(self) -> list[tuple[str, str]]:
        """Return the pairs of machines that are cut off from each other."""
        return sorted(cuts.cuts(self.name))

    def layout(self) -> Layout:
        """Return what the lab is made of; McloudError where it is not up."""
        requirements.check_root()
        file = STATE / self.name / "lab.json"
        found = layout.read(file.read_text()) if file.exists() else None
        if found is None:
            raise McloudError(f"lab {self.name!r} is not up", hint=f"mcloud lab up --lab {self.name}")
        return found

    def _keep(self, planned: Layout) -> None:
        """Write down what the lab is made of, whole or not at all."""
        file = STATE / self.name / "lab.json"
        file.with_suffix(".new").write_text(layout.written(planned))
        file.with_suffix(".new").replace(file)

    def _off(self, names: Sequence[str]) -> Machine:
        """Return the one machine on which names are to change."""
        if len(names) != 1:
            raise McloudError("names change on one machine at a time", hint="name that machine")
        machine = self.machine(names[0])
        if machine.pid is not None:
            raise McloudError(
                f"{machine.name} is on, and names change while it boots",
                hint=f"mcloud lab kill {machine.name}",
            )
        return machine

    def _named(self, names: Sequence[str]) -> list[Machine]:
        return [self.machine(name) for name in names]

    def _pair(self, one: str, other: str) -> tuple[MachineLayout, MachineLayout]:
        if one == other:
            raise McloudError("a machine cannot be cut off from itself", hint="name two machines")
        planned = self.layout()
        return planned.machine(one), planned.machine(other)


def _boot(machine: Machine, say: Say) -> None:
    machine.switch_on()
    machine.wait(say)


def _side_by_side(machines: Sequence[Machine], work: Callable[[Machine], None]) -> None:
    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        outcomes = [pool.submit(work, machine) for machine in machines]
    failures = []
    for machine, outcome in zip(machines, outcomes, strict=True):
        error = outcome.exception()
        if isinstance(error, Exception):
            error.add_note(machine.name)
            failures.append(error)
    if failures:
        raise RunFailed(
            f"{len(failures)} of {len(machines)} machines failed",
            failures,
            hint="`mcloud lab down` clears up",
        )

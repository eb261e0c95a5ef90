"""What a lab is made of: its machines, their disks and networks, and where everything is kept."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mcloud.errors import McloudError

STATE = Path("/run/mcloud-lab")
IMAGES = Path("/var/tmp/mcloud-lab")  # noqa: S108 - disks want a big file system that is not memory
LOCAL_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")
NIC_NAME = re.compile(r"[a-z][a-z0-9]{0,7}")
DEFAULT_DISKS = ("10G", "10G")
INTERNAL, UPLINK, UNDERLAY = "eth0", "eth1", "eth2"
UPLINK_GATEWAYS = ("192.0.2.1/24", "2001:db8:2::1/64")
FIRST_HOST = 10  # n1 is .11
MOST_MACHINES = 9
MOST_DISKS = 26  # sda to sdz


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """One network interface of a machine; `addresses` with their prefix length."""

    name: str
    """What it is called in this boot; `addresses` are given to the name, as files in /etc do."""
    mac: str
    addresses: tuple[str, ...]
    network: str
    """What it is plugged into, and was called when the lab was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk of a machine: `size` as truncate(1) reads it."""

    name: str
    """What its node in /dev is called in this boot: `sda` and on."""
    size: str
    unit: str
    """What it was called when the lab was made: it has this for life, whatever it is called by now."""
    serial: str = ""
    """What udev tells of it; empty for a disk that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLayout:
    """One machine."""

    name: str
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]

    @property
    def address(self) -> str:
        """Return the IPv4 address on the internal network, without prefix."""
        return self.nics[0].addresses[0].partition("/")[0]

    def disk(self, name: str) -> Disk:
        """Return the disk of this name; McloudError with the known names when there is none."""
        for disk in self.disks:
            if disk.name == name:
                return disk
        known = ", ".join(disk.name for disk in self.disks)
        raise McloudError(f"{self.name} has no disk {name!r}", hint=f"it has {known}")

    def with_exchanged_nics(self, one: str, other: str) -> "MachineLayout":
        """Return the machine with the names of two interfaces exchanged; wires and MAC addresses stay."""
        by_name = {nic.name: nic for nic in self.nics}
        if missing := [name for name in (one, other) if name not in by_name]:
            known = ", ".join(by_name)
            raise McloudError(f"{self.name} has no interface {missing[0]!r}", hint=f"it has {known}")
        of = {one: by_name[other], other: by_name[one]}
        return replace(
            self,
            nics=tuple(
                replace(of.get(nic.name, nic), name=nic.name, addresses=nic.addresses) for nic in self.nics
            ),
        )

    def with_exchanged_disks(self, one: str, other: str) -> "MachineLayout":
        """Return the machine with the names of two disks exchanged, as a power cut may leave it."""
        names = {self.disk(one).name: other, self.disk(other).name: one}
        disks = (replace(disk, name=names.get(disk.name, disk.name)) for disk in self.disks)
        return replace(self, disks=tuple(sorted(disks, key=lambda disk: disk.name)))

    def with_new_disk(self, name: str) -> "MachineLayout":
        """Return the machine with another disk in the place of one: another serial, where it had one."""
        old = self.disk(name)
        stem, _, number = old.serial.partition(".")
        new = replace(old, serial=f"{stem}.{int(number or 1) + 1}" if stem else "")
        return replace(self, disks=tuple(new if disk is old else disk for disk in self.disks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A whole lab, as it is written to `lab.json`."""

    name: str
    machines: tuple[MachineLayout, ...]

    def machine(self, name: str) -> MachineLayout:
        """Return one machine by name; McloudError with the known names when there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        known = ", ".join(machine.name for machine in self.machines)
        raise McloudError(f"lab {self.name!r} has no machine {name!r}", hint=f"its machines are {known}")

    def with_machine(self, changed: MachineLayout) -> "Layout":
        """Return the lab with one of its machines changed."""
        machines = (changed if machine.name == changed.name else machine for machine in self.machines)
        return replace(self, machines=tuple(machines))


def plan(
    name: str,
    *,
    machines: int,
    disks: tuple[str, ...] = (),
    nics: tuple[str, ...] = (),
    serials: bool = True,
) -> Layout:
    """Lay out a lab of n1..nN; `disks` are sizes, `nics` the names of networks beyond the usual three.

    Without `serials`, disks tell nothing of themselves, as virtual ones often do.
    """
    check_name(name)
    if not 1 <= machines <= MOST_MACHINES:
        raise McloudError(f"{machines} machines", hint=f"ask for 1 to {MOST_MACHINES}")
    for nic in nics:
        if not NIC_NAME.fullmatch(nic) or nic in {INTERNAL, UPLINK, UNDERLAY} or nics.count(nic) > 1:
            raise McloudError(f"a network interface cannot be named {nic!r}", hint="try eth3")
    if len(disks) > MOST_DISKS:
        raise McloudError(f"{len(disks)} disks", hint=f"ask for at most {MOST_DISKS}")
    for size in disks:
        if not re.fullmatch(r"[1-9][0-9]*[KMGT]", size):
            raise McloudError(f"a disk cannot have the size {size!r}", hint="write 10G or 512M")
    return Layout(
        name=name,
        machines=tuple(
            _machine(name, number, disks or DEFAULT_DISKS, nics, serials=serials)
            for number in range(1, machines + 1)
        ),
    )


def check_name(name: str) -> None:
    """Refuse a lab name that is no short lower-case word: it becomes part of paths."""
    if not LOCAL_NAME.fullmatch(name):
        raise McloudError(
            f"a lab cannot be named {name!r}", hint="use up to 16 lower-case letters, digits and hyphens"
        )


def _machine(
    lab: str, number: int, disks: tuple[str, ...], extra: tuple[str, ...], *, serials: bool
) -> MachineLayout:
    name = f"n{number}"
    networks: list[tuple[str, int | None]] = [(INTERNAL, 0), (UPLINK, None), (UNDERLAY, 2)]
    networks += zip(extra, [1, *range(3, 3 + len(extra))], strict=False)
    return MachineLayout(
        name=name,
        nics=tuple(
            Nic(
                name=nic,
                mac=_mac(f"{lab}/{name}/{nic}"),
                addresses=_addresses(network, FIRST_HOST + number),
                network=nic,
            )
            for nic, network in networks
        ),
        disks=tuple(
            _disk(f"sd{chr(ord('a') + i)}", size, serial=name if serials else "")
            for i, size in enumerate(disks)
        ),
    )


def _disk(unit: str, size: str, *, serial: str) -> Disk:
    return Disk(name=unit, size=size, unit=unit, serial=f"{serial}-{unit}" if serial else "")


def _addresses(network: int | None, host: int) -> tuple[str, ...]:
    if network is None:
        return ()
    return (f"10.10.{network}.{host}/24", f"fd10:10:0:{network}::{host}/64")


def _mac(what: str) -> str:
    # Locally administered, and the same after every boot, as on a real machine.
    return "02:" + hashlib.sha256(what.encode()).digest()[:5].hex(":")


def written(layout: Layout) -> str:
    """Return a layout as text, for the commands that come later."""
    return json.dumps(asdict(layout), indent=1) + "\n"


def read(text: str) -> Layout | None:
    """Return the layout in a text; None for one that was cut off while it was written."""
    try:
        stored = json.loads(text)
    except ValueError:
        return None
    machines = tuple(
        MachineLayout(
            name=machine["name"],
            nics=tuple(Nic(**{**nic, "addresses": tuple(nic["addresses"])}) for nic in machine["nics"]),
            disks=tuple(Disk(**disk) for disk in machine["disks"]),
        )
        for machine in stored["machines"]
    )
    return Layout(name=stored["name"], machines=machines)

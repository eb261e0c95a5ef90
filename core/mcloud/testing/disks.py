"""Disks of a FakeHost: each is what it is, whatever its name, and names can change places."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from mcloud.errors import ServiceError
from mcloud.host import Place, Result, Samples
from mcloud.model import Disk

_NUMBERS = itertools.count(1)
_UNKNOWN = "unknown data"


@dataclass(eq=False)
class FakeDisk:
    """One disk; give it to a FakeHost under each of its names: `disks={"/dev/sdb": FakeDisk()}`."""

    size: int = 20 * 10**9
    serial: str = ""
    wwn: str = ""
    content: str = ""
    """What blkid(8) says of it (`ext4`, `gpt`), `unknown data`, or "" for nothing."""
    id: str = ""
    """The UUID of that."""
    label: str = ""
    head: bytes = b""
    """The first bytes, where they matter: labels that blkid does not read."""
    used: str = ""
    """Who uses it, "" for nobody: then it can be wiped."""
    number: str = field(default_factory=lambda: f"8:{16 * next(_NUMBERS)}")

    def hold(self, content: str, *, id: str = "", label: str = "", head: bytes = b"") -> None:  # noqa: A002
        """Have something on it from now on: what a fake mkfs does."""
        self.content, self.id, self.label, self.head = content, id, label, head

    @property
    def state(self) -> tuple[str, str, str, bytes]:
        """All that is on it."""
        return self.content, self.id, self.label, self.head

    def described(self, *names: str) -> Disk:
        """Return it as a survey has it; `names` are its path and then its links."""
        return Disk(
            device=names[0],
            size=self.size,
            serial=self.serial,
            wwn=self.wwn,
            content=self.content,
            content_id=self.known_by,
            links=tuple(names[1:]),
        )

    @property
    def known_by(self) -> str:
        """What a survey would tell its content by."""
        if not self.content:
            return ""
        told = "" if self.content == _UNKNOWN else self.id or self.label
        return told or f"sha256:{self.digest[:32]}"

    @property
    def digest(self) -> str:
        """What stands for a digest of all that is on it."""
        return hashlib.sha256(repr(self.state).encode()).hexdigest()


class FakeDevice:
    """A FakeDisk that is held open; see `mcloud.host.Device`."""

    def __init__(self, host: "WithDisks", disk: FakeDisk, path: str) -> None:
        """Hold a disk."""
        self._host, self._disk, self._path = host, disk, path
        self.number, self.size, self.node = disk.number, disk.size, f"/proc/1/fd/{disk.number}"

    def read(self, at: int, count: int) -> bytes:
        """Return the head, and zeros behind it."""
        self._host.use(f"read {self._path}")
        whole = self._disk.head[at : at + count]
        return whole.ljust(max(0, min(count, self.size - at)), b"\0")

    def sample(self, places: Sequence[Place]) -> Samples:
        """Tell data from nothing."""
        self._host.use(f"read {self._path}")
        kind = "data" if self._disk.content else "zeros"
        return Samples(tuple(kind for _ in places), self._disk.digest)

    def refusal(self) -> str:
        """Return whether somebody uses it."""
        self._host.use(f"try {self._path}")
        return self._disk.used and "in use"

    def leads(self, path: str) -> bool:
        """Whether a path leads to this disk now."""
        return self._host.disk(path) is self._disk

    def zero(self, places: Sequence[Place]) -> None:
        """Write zeros; what begins at the start of the disk is gone with it."""
        self._host.use(f"zero {self._path}")
        if self._disk.used:
            raise ServiceError(f"{self._path}: in use")
        if any(at == 0 for at, _count in places):
            self._disk.hold("")


@contextmanager
def held(host: "WithDisks", path: str) -> Iterator[FakeDevice]:
    """Open a disk of a FakeHost."""
    host.use(f"open {path}")
    disk = host.disk(path)
    if disk is None:
        raise ServiceError(f"{path}: cannot be opened: No such file or directory")
    yield FakeDevice(host, disk, path)


@dataclass
class WithDisks:
    """The part of a FakeHost that has disks."""

    disks: dict[str, FakeDisk] = field(default_factory=dict, kw_only=True)
    """By name, the kernel's and those under /dev/disk; tools that look at disks are answered for these."""

    def device(self, path: str, *, seconds: float = 30) -> AbstractContextManager[FakeDevice]:  # noqa: ARG002
        """Hold one of `disks`, as `Host.device` says; `seconds` are not waited for."""
        return held(self, path)

    def disk(self, path: str) -> FakeDisk | None:
        """Return the disk that a name leads to now, or that is held open there."""
        nodes = {f"/proc/1/fd/{disk.number}": disk for disk in self.disks.values()}
        return self.disks.get(path) or nodes.get(path)

    def exchange(self, one: str, other: str) -> None:
        """Let two names change places, as at a boot: each leads to the other's disk from now on."""
        self.disks[one], self.disks[other] = self.disks[other], self.disks[one]

    def use(self, what: str) -> None:
        """Raise what this use of the machine shall end with, if anything."""


def kernel_says(disks: Mapping[str, FakeDisk], path: str) -> str | None:
    """Return what the kernel and udev would say of disks at a path; None if it is no such path."""
    for name, disk in disks.items():
        if name.startswith("/dev/disk/"):
            continue
        folder, kernel = f"/sys/dev/block/{disk.number}", name.removeprefix("/dev/")
        known = {
            f"{folder}/uevent": f"DEVNAME={kernel}\nDEVTYPE=disk\n",
            f"{folder}/size": f"{disk.size // 512}\n",
            f"{folder}/wwid": f"{disk.wwn}\n",
            f"/run/udev/data/b{disk.number}": f"E:ID_SERIAL_SHORT={disk.serial}\n",
        }
        if path in known:
            return known[path]
    return None


def disks_answer(host: WithDisks, argv: Sequence[str]) -> Result | str | None:
    """Answer a command about disks as the tools do; None if it is not about one of these."""
    if list(argv[:2]) == ["find", "/dev"]:
        return "".join(_node(name, disk) for name, disk in host.disks.items() if "/dev/disk/" not in name)
    if list(argv[:2]) == ["find", "/dev/disk"]:
        return "".join(_links(host.disks))
    of = next((word.removeprefix("of=") for word in argv if word.startswith("of=")), argv[-1])
    disk = host.disk(of)
    return _tool(argv, disk) if disk is not None else None


def _tool(argv: Sequence[str], disk: FakeDisk) -> Result | str | None:  # noqa: PLR0911 - a case per tool
    match argv[0]:
        case "blkid":
            return _blkid(disk)
        case "wipefs" if "--all" not in argv and "-a" not in argv:
            shown = [{"type": disk.content}] if disk.content not in {"", _UNKNOWN} else []
            return json.dumps({"signatures": shown}) if shown else ""
        case "wipefs" | "dd" | "blkdiscard" | "sgdisk":
            if disk.used:
                return Result(1, "", f"{argv[-1]}: Device or resource busy")
            disk.hold("")
            return ""
        case "lsblk":
            return json.dumps({"blockdevices": [{"name": argv[-1], "type": "disk", "mountpoints": [None]}]})
        case "blockdev":
            return f"{disk.size}\n"
        case "head":
            return disk.head.decode("latin-1")
        case _:
            return None


def _blkid(disk: FakeDisk) -> Result | str:
    if disk.content in {"", _UNKNOWN}:
        return Result(2, "", "")
    table = disk.content in {"gpt", "dos"}
    shown = {"PTTYPE" if table else "TYPE": disk.content, "PTUUID" if table else "UUID": disk.id}
    return "".join(f"{key}={value}\n" for key, value in {**shown, "LABEL": disk.label}.items() if value)


def _node(name: str, disk: FakeDisk) -> str:
    major, minor = (int(part) for part in disk.number.split(":"))
    return f"{major:x} {minor:x} 6 {minor} {name}\n"


def _links(disks: Mapping[str, FakeDisk]) -> Iterator[str]:
    names = {disk.number: name for name, disk in disks.items() if "/dev/disk/" not in name}
    for link, disk in disks.items():
        if "/dev/disk/" in link and disk.number in names:
            yield f"{link}\t{names[disk.number]}\n"

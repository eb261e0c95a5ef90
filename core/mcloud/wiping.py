"""Wipe a disk that is held open until nothing on it can be recognised, and prove it by reading it back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcloud.errors import ServiceError
from mcloud.host import Device, Host, Place
from mcloud.survey.blocks import block_of, partitions
from mcloud.survey.contents import backup_of_gpt
from mcloud.survey.looking import number
from mcloud.survey.samples import COPIES, MIB, places

HEAD = 32 * MIB
"""Bytes: partition tables, LVM, LUKS 2 with its key slots (16 MiB), two labels of ZFS, BlueStore's label."""

TAIL = 10 * MIB
"""Bytes: GPT's copy, the superblocks of MD 0.90 and 1.0, two labels of ZFS."""

_NOTHING_FOUND = 2
"""Exit status of blkid(8) in low-level probing."""

_SECTOR = 512
"""Bytes; /sys counts in these whatever the device's own are."""

_MAPPED = frozenset({"crypt", "lvm", "dm"})


def wipe(host: Host, device: Device) -> None:
    """Destroy all that says that there is something on a whole disk, in its partitions too.

    The start of the disk goes last: until then it still says whose all of it is. Only `disksdoor` calls
    this. Raises ServiceError if the disk is in use (mounted, swap, held by something else), or shows
    anything afterwards.
    """
    inside = [place for start, size in _partitions(host, device) for place in _ends(start, size)]
    between = [(at, count) for at, count in _between(device.size) if at >= HEAD]
    device.zero([*inside, *between, *reversed(list(_ends(0, device.size)))])
    if left := traces(host, device):
        raise ServiceError(
            f"a disk of {host.name} was wiped, and still shows {', '.join(left)}",
            hint="is it sound? `dmesg` and `smartctl -a` tell; if not, take it out",
        )


def traces(host: Host, device: Device) -> tuple[str, ...]:
    """Return what can be recognised on a disk; nothing if it is as good as new."""
    said = host.run(["wipefs", "--no-act", "--json", device.node], seconds=30).stdout
    signatures = json.loads(said)["signatures"] if said.strip() else []
    found = sorted({str(signature["type"]) for signature in signatures})
    if not found and host.run(["blkid", "-p", device.node], check=False, seconds=30).status != _NOTHING_FOUND:
        found.append("something that blkid knows")
    if backup_of_gpt(device):
        found.append("the copy of a GPT")
    ends = list(_ends(0, device.size))
    names = ("its start", "its end") if len(ends) > 1 else ("its start",)
    held = zip(names, device.sample(ends).found, strict=True)
    return (*found, *(f"data at {name}" for name, kind in held if kind != "zeros"))


def close_built_on(host: Host, device: Device) -> None:
    """Close what is built on a disk (LVM, LUKS, MD), what lies on top first.

    Raises ServiceError at once if any of it is mounted or swap: what lies beside it is not to be
    touched either.
    """
    asked = ["lsblk", "--json", "--paths", "--output", "NAME,TYPE,MOUNTPOINTS", device.node]
    said = host.run(asked, seconds=30).stdout
    devices = json.loads(said or '{"blockdevices": []}')["blockdevices"]
    if used := [place for one in devices for place in _mounted(one)]:
        raise ServiceError(
            f"a disk of {host.name} is in use at {', '.join(used)}; nothing on it was changed",
            hint="unmount it (`umount`, `swapoff`), if it may be wiped",
        )
    for name, kind in (built for one in devices for built in _above(one)):
        if kind in _MAPPED:
            host.run(["dmsetup", "remove", "--retry", name], seconds=30)
        elif kind.startswith("raid"):
            host.run(["mdadm", "--stop", name], seconds=30)


def _ends(start: int, size: int) -> Iterator[Place]:
    """Yield start and end of a disk or of a partition on it."""
    head = min(size, HEAD)
    yield start, head
    tail = max(head, size - TAIL)
    if tail < size:
        yield start + tail, size - tail


def _between(size: int) -> Iterator[Place]:
    """Yield where something may be recognised, or is looked for, in between, inside the disk."""
    limit = max(HEAD, size - TAIL)
    wanted = [*places(size), *((at, MIB) for at in COPIES)]
    for at, count in sorted(wanted):
        end = min(at + count, limit)
        if end > at:
            yield at, end - at


def _partitions(host: Host, device: Device) -> Sequence[Place]:
    """Return where the kernel sees partitions on a disk."""
    block = block_of(host, device.number)
    if block is None:
        return ()
    found = []
    for name in partitions(host, block):
        folder = f"{block.folder}/{name}"
        start, size = number(host, f"{folder}/start") * _SECTOR, number(host, f"{folder}/size") * _SECTOR
        found.append((start, max(0, min(size, device.size - start))))
    return found


def _mounted(device: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(place) for place in device.get("mountpoints", ()) if place)
    for child in device.get("children", ()):
        yield from _mounted(child)


def _above(device: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for child in device.get("children", ()):
        yield from _above(child)
        yield str(child["name"]), str(child["type"])

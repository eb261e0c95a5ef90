"""Wipe a disk until nothing on it can be recognised, and prove it by reading it back."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mcloud.errors import ServiceError
from mcloud.host import Host

_MIB, _GIB = 2**20, 2**30

HEAD = 32 * _MIB
"""Bytes: partition tables, LVM, LUKS 2 with its key slots (16 MiB), two labels of ZFS, BlueStore's label."""

TAIL = 10 * _MIB
"""Bytes: GPT's copy, the superblocks of MD 0.90 and 1.0, two labels of ZFS."""

COPIES = (64 * _MIB, _GIB, 10 * _GIB, 100 * _GIB, 256 * _GIB, 1000 * _GIB)
"""Offsets of copies: btrfs' superblock (64 MiB, 256 GiB), BlueStore's label (bluestore_bdev_label_multi)."""

_NOTHING_FOUND = 2
"""Exit status of blkid(8) in low-level probing."""

_MAPPED = frozenset({"crypt", "lvm", "dm"})


def wipe_disk(host: Host, path: str) -> None:
    """Destroy all that says that there is something on a whole disk, in its partitions too.

    What is built on it (LVM, LUKS, MD) is closed first. Raises ServiceError if the disk is gone, is in
    use (mounted, swap, held by something else), or shows anything afterwards.
    """
    found = host.stat(path)
    if found is None or found.kind != "block":
        raise ServiceError(f"{path} is no disk of {host.name}", hint="is it still plugged in?")
    parts = list[str]()
    for name, kind in _built_on(host, path):
        if kind == "part":
            parts.append(name)
        elif kind in _MAPPED:
            host.run(["dmsetup", "remove", "--retry", name], seconds=30)
        elif kind.startswith("raid"):
            host.run(["mdadm", "--stop", name], seconds=30)
    for name in (*parts, path):
        if host.stat(name) is not None:
            _wipe(host, name)
    if parts:
        host.run(["blockdev", "--rereadpt", path], check=False, seconds=30)
    if left := traces(host, path):
        raise ServiceError(
            f"{path} of {host.name} was wiped, and still shows {', '.join(left)}",
            hint="is it sound? `dmesg` and `smartctl -a` tell; if not, take it out",
        )


def traces(host: Host, path: str) -> tuple[str, ...]:
    """Return what can be recognised on a disk; nothing if it is as good as new."""
    said = host.run(["wipefs", "--no-act", "--json", path], seconds=30).stdout
    signatures = json.loads(said)["signatures"] if said.strip() else []
    found = sorted({str(signature["type"]) for signature in signatures})
    if not found and host.run(["blkid", "-p", path], check=False, seconds=30).status != _NOTHING_FOUND:
        found.append("something that blkid knows")
    size = _size(host, path)
    ends = (("start", 0, min(size, HEAD)), ("end", max(0, size - TAIL), min(size, TAIL)))
    return (*found, *(f"data at its {end}" for end, at, count in ends if not _is_zero(host, path, at, count)))


def _wipe(host: Host, path: str) -> None:
    """Wipe one device. `wipefs` opens it exclusively, which the kernel refuses for one that is in use."""
    host.run(["wipefs", "--all", "--quiet", path], seconds=30)
    size = _size(host, path)
    for at, count in _areas(size):
        _zero(host, path, at=at, count=count)


def _areas(size: int) -> Iterator[tuple[int, int]]:
    """Yield the places, as offset and bytes, where something may be recognised on a disk of this size."""
    yield 0, min(size, HEAD)
    for at in COPIES:
        if at >= HEAD and at + _MIB <= size:
            yield at, _MIB
    yield max(0, size - TAIL), min(size, TAIL)


def _size(host: Host, path: str) -> int:
    return int(host.run(["blockdev", "--getsize64", path], seconds=30).stdout)


def _zero(host: Host, path: str, *, at: int, count: int) -> None:
    """Write zeros, in bytes; never makes a file where the device is gone."""
    where = [f"of={path}", f"seek={at}", f"count={count}", "bs=1M", "oflag=seek_bytes", "iflag=count_bytes"]
    host.run(["dd", "if=/dev/zero", *where, "conv=nocreat,notrunc,fsync", "status=none"], seconds=120)


def _is_zero(host: Host, path: str, at: int, count: int) -> bool:
    compared = ["cmp", "--silent", f"--ignore-initial={at}:0", f"--bytes={count}", path, "/dev/zero"]
    return host.run(compared, check=False, seconds=120).ok


def _built_on(host: Host, path: str) -> Iterator[tuple[str, str]]:
    """Yield name and type of all that is built on a disk, what lies on top first.

    Raises ServiceError at once if any of it is mounted or swap: what lies beside it is not to be
    wiped either.
    """
    asked = ["lsblk", "--json", "--paths", "--output", "NAME,TYPE,MOUNTPOINTS", path]
    said = host.run(asked, seconds=30).stdout
    devices = json.loads(said or '{"blockdevices": []}')["blockdevices"]
    if places := [place for device in devices for place in _mounted(device)]:
        raise ServiceError(
            f"{path} of {host.name} is in use at {', '.join(places)}; nothing on it was changed",
            hint="unmount it (`umount`, `swapoff`), if it may be wiped",
        )
    for device in devices:
        yield from _above(device)


def _mounted(device: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(place) for place in device.get("mountpoints", ()) if place)
    for child in device.get("children", ()):
        yield from _mounted(child)


def _above(device: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for child in device.get("children", ()):
        yield from _above(child)
        yield str(child["name"]), str(child["type"])

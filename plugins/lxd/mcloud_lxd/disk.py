"""A machine's disk for the pool `local`: made ready before LXD takes it, freed of labels afterwards."""

import json
import time
from collections.abc import Sequence

from mcloud import DiskChoice, Host, ServiceError
from mcloud_lxd.choice import LOCAL

LETTING_GO = 20.0
"""Seconds that a kernel may take to let go of a disk."""

PAUSE = 0.2


def prepare(host: Host, disk: DiskChoice, *, ours: bool) -> None:
    """Leave the disk blank; LXD takes no other. With `ours` what is on it is of an earlier try.

    Raises ServiceError if it is not there, in use, or holds something that may not be destroyed.
    """
    found = host.stat(disk.path)
    if found is None or found.kind != "block":
        raise ServiceError(
            f"{disk.path} on {host.name} is {'not there' if found is None else 'no block device'}",
            hint="name the disk as `mcloud` lists it, best by its path under /dev/disk/by-id",
        )
    labels = signatures(host, disk.path)
    if not labels:
        return
    if not (disk.wipe or ours):
        raise ServiceError(
            f"{disk.path} on {host.name} holds {', '.join(labels)}",
            hint="set `wipe: true` for it if that may be destroyed, or name another disk",
        )
    # Refuses by itself a disk that is mounted or held by another device.
    host.run(["wipefs", "--all", disk.path])


def signatures(host: Host, path: str) -> Sequence[str]:
    """Return the names of the file systems, partition tables, ... that a disk says it holds."""
    said = host.run(["wipefs", "--json", "--no-act", path]).stdout
    found = json.loads(said)["signatures"] if said.strip() else []
    return sorted({str(one["type"]) for one in found})


def release(host: Host, driver: str, disk: DiskChoice | None, *, pool: str = LOCAL) -> None:
    """Take apart what LXD made for a pool on this machine. LXD is stopped and nothing mounted."""
    path = disk.path if disk is not None else f"/var/lib/lxd/disks/{pool}.img"
    found = host.stat(path)
    if found is None:
        return
    if driver == "lvm":
        _release_lvm(host, path, pool)
    elif driver == "zfs":
        _release_zfs(host, path, pool)
    if found.kind == "block":
        _wipe(host, path)


def _wipe(host: Host, path: str) -> None:
    """Remove the labels of a disk that may be in use for a moment yet.

    What a killed container had mounted goes with its mount namespace, some time after its processes.
    """
    deadline = time.monotonic() + LETTING_GO * host.stretch
    while not host.run(["wipefs", "--all", path], check=False).ok:
        if time.monotonic() > deadline:
            host.run(["wipefs", "--all", path])
            return
        time.sleep(PAUSE)


def close(host: Host, driver: str, pool: str) -> None:
    """Let go of a pool's disk, with all that is on it. LXD is stopped and nothing mounted."""
    if driver == "lvm":
        host.run(["vgchange", "--activate", "n", pool], check=False)
    elif driver == "zfs":
        host.run(["zpool", "export", "-f", pool], check=False)


def _release_lvm(host: Host, path: str, pool: str) -> None:
    """Remove the volume group of a pool, if it is on this very disk or file."""
    groups = host.run(["pvs", "--noheadings", "--options", "vg_name,pv_name"], check=False).stdout
    for line in groups.splitlines():
        group, _, volume = line.strip().partition(" ")
        if group == pool and _is_same(host, volume.strip(), path):
            host.run(["vgremove", "--force", "--force", "--yes", pool])
            host.run(["pvremove", "--force", "--force", "--yes", volume.strip()])


def _release_zfs(host: Host, path: str, pool: str) -> None:
    """Destroy the zpool of a pool, if it is on this very disk or file."""
    shown = host.run(["zpool", "list", "-v", "-H", "-L", "-P", pool], check=False)
    devices = [line.split()[0] for line in shown.stdout.splitlines() if line.strip().startswith("/")]
    if any(_is_same(host, name, path) for device in devices for name in (device, _whole(device))):
        host.run(["zpool", "destroy", "-f", pool])


def _whole(device: str) -> str:
    """Return the disk of a partition that zpool made on it: it names /dev/sdb1 or /dev/nvme0n1p1."""
    stem = device.rstrip("0123456789")
    return stem.removesuffix("p") if stem[:-1].endswith(tuple("0123456789")) else stem


def _is_same(host: Host, one: str, other: str) -> bool:
    real = [host.run(["readlink", "--canonicalize", path]).stdout.strip() for path in (one, other)]
    return real[0] == real[1] or _backing_file(host, real[0]) == real[1]


def _backing_file(host: Host, device: str) -> str:
    """Return the file behind a loop device; "" for any other."""
    name = device.removeprefix("/dev/")
    return (host.read(f"/sys/block/{name}/loop/backing_file") or "").strip() if "/" not in name else ""

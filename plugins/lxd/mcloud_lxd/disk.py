"""Disks with a pool of LXD's on them: told by their labels, and let go of before they are freed."""

from collections.abc import Sequence
from contextlib import suppress

from mcloud import Bears, DiskFound, Host, ServiceError, disks_bearing, free_disks

LETTING_GO = 20.0
"""Seconds that a kernel may take to let go of a disk: what a killed container had mounted goes with its mount
namespace, some time after its processes."""

DRIVERS = {"btrfs": "btrfs", "zfs_member": "zfs", "LVM2_member": "lvm"}
"""LXD's storage drivers that take disks, by the type blkid(8) gives to such a disk."""


def pool_on(host: Host, found: DiskFound) -> tuple[str, str]:
    """Return the driver that a disk is of, and the name of the pool on it; empty if it is of none."""
    content = found.content
    if content.type == "gpt":
        # ZFS makes a table of partitions on a whole disk, and has its label in the first of them.
        return next((("zfs", pool) for pool, disks in _zpools(host) if found.disk.device in disks), ("", ""))
    driver = DRIVERS.get(content.type, "")
    if driver == "lvm":
        return driver, _group(host, content.id)
    return driver, content.label.replace("\\\\ ", " ") if driver else ""


def release(host: Host, bears: Bears) -> Sequence[str]:
    """Free the disks that bear a label of ours, whatever their names. LXD is stopped and nothing mounted.

    Returns the names they have now. Raises ServiceError with those that could not be freed.
    """
    for found in disks_bearing(host, bears):
        close(host, found)
    return free_disks(host, bears, patience=LETTING_GO)


def close(host: Host, found: DiskFound) -> None:
    """Let go of a disk, with all of the pool that is on it. LXD is stopped and nothing mounted."""
    driver, pool = pool_on(host, found)
    if driver == "lvm":
        _deactivate(host, pool)
    elif driver == "zfs" and any(
        name == pool and found.disk.device in disks for name, disks in _zpools(host)
    ):
        _export(host, pool)


def close_file(host: Host, driver: str, pool: str) -> None:
    """Let go of the file that a pool without a disk is in; it goes with LXD's other files."""
    file = f"/var/lib/lxd/disks/{pool}.img"
    if host.stat(file) is None:
        return
    with suppress(ServiceError):  # the tools of a driver that was never used here may be missing
        if driver == "lvm" and any(_backing_file(host, disk) == file for disk in _disks_of(host, pool)):
            _deactivate(host, pool)
        elif driver == "zfs" and any(name == pool and file in disks for name, disks in _zpools(host)):
            _export(host, pool)


def _deactivate(host: Host, group: str) -> None:
    if group:
        host.run(["vgchange", "--activate", "n", group], check=False)


def _export(host: Host, pool: str) -> None:
    host.run(["zpool", "export", "-f", pool], check=False)


def _group(host: Host, uuid: str) -> str:
    """Return the volume group that a disk with this label of LVM is in; "" if in none."""
    for _disk, group, known in _volumes(host):
        if known == uuid:
            return group
    return ""


def _disks_of(host: Host, group: str) -> Sequence[str]:
    return [disk for disk, name, _uuid in _volumes(host) if name == group]


def _volumes(host: Host) -> Sequence[tuple[str, str, str]]:
    """Return disk, volume group and id of all that LVM has a label on."""
    asked = ["pvs", "--noheadings", "--separator", ";", "--options", "pv_name,vg_name,pv_uuid"]
    try:
        lines = host.run(asked, check=False, seconds=20).stdout.splitlines()
    except ServiceError:
        return []
    fields = [line.strip().split(";") for line in lines]
    return [(one[0], one[1], one[2]) for one in fields if len(one) == 3]  # noqa: PLR2004 - as asked


def _zpools(host: Host) -> Sequence[tuple[str, set[str]]]:
    """Return the pools of ZFS that are imported, with the disks and files of each."""
    try:
        names = host.run(["zpool", "list", "-H", "-o", "name"], check=False, seconds=20).stdout.split()
        pools = []
        for name in names:
            shown = host.run(["zpool", "list", "-v", "-H", "-L", "-P", name], check=False, seconds=20).stdout
            devices = [line.split()[0] for line in shown.splitlines() if line.strip().startswith("/")]
            pools.append((name, {*devices, *map(_whole, devices)}))
    except ServiceError:
        return []
    return pools


def _whole(device: str) -> str:
    """Return the disk of a partition that zpool made on it: it names /dev/sdb1 or /dev/nvme0n1p1."""
    stem = device.rstrip("0123456789")
    return stem.removesuffix("p") if stem[:-1].endswith(tuple("0123456789")) else stem


def _backing_file(host: Host, device: str) -> str:
    """Return the file behind a loop device; "" for any other."""
    name = device.removeprefix("/dev/")
    return (host.read(f"/sys/block/{name}/loop/backing_file") or "").strip() if "/" not in name else ""

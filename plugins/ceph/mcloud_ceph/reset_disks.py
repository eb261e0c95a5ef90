"""The disks of OSDs on this machine, told by their labels alone, and wiped by `mcloud reset`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from mcloud import Disk, Host, Offer, ServiceError, StepContext, wipe_disk
from mcloud_ceph.disks import owner


def with_bluestore(host: Host, disks: Sequence[Disk]) -> Iterator[tuple[str, str]]:
    """Yield each disk that BlueStore has labelled, or that LVM gives to an OSD, and in words whose it is."""
    in_lvm = _osds_in_lvm(host)
    for disk in disks:
        osd = None
        with suppress(ServiceError):  # no medium in it, or it cannot be read: nothing of ours to be wiped
            osd = owner(host, disk.device)
        if osd is not None:
            yield disk.device, f"an OSD of Ceph ({osd})"
        elif disk.device in in_lvm:
            yield disk.device, f"an OSD of Ceph ({in_lvm[disk.device]})"


def _osds_in_lvm(host: Host) -> dict[str, str]:
    """Return the OSDs that `ceph-volume` made, by disk: it tags their volumes (`ceph.osd_fsid=...`)."""
    if host.stat("/usr/sbin/lvs") is None and host.stat("/sbin/lvs") is None:
        return {}
    asked = ["lvs", "--noheadings", "--separator", ";", "--options", "lv_tags,devices"]
    found: dict[str, str] = {}
    for line in host.run(asked, check=False, seconds=30).stdout.splitlines():
        tags, _, devices = line.strip().partition(";")
        if osd := re.search(r"ceph\.osd_fsid=([0-9a-f-]{36})", tags):
            found |= {device.partition("(")[0]: osd[1] for device in devices.split(",")}
    return found


def probe_disks(disks: Sequence[Disk], ctx: StepContext, *, wipe: bool) -> Sequence[Offer] | None:
    """Look for disks of OSDs; without `wipe` they only are named."""
    found = list(with_bluestore(ctx.host, disks))
    for path, what in found:
        ctx.report(f"{path}: {what}" if wipe else f"{path} still holds {what}: --wipe-disks wipes it")
    return None if found and wipe else ()


def wipe_all(disks: Sequence[Disk], ctx: StepContext) -> None:
    """Wipe all disks of OSDs. Raises ServiceError that names those that could not be."""
    failed = []
    for path, _what in list(with_bluestore(ctx.host, disks)):
        try:
            wipe_disk(ctx.host, path)
            ctx.host.run(["chown", "root:disk", path])
        except ServiceError as error:
            failed.append(f"{path}: {error}")
    if failed:
        raise ServiceError("; ".join(failed), hint="`lsblk` and `fuser -v` tell who uses a disk; end that")

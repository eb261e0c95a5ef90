"""The disks of OSDs on this machine, told by their labels alone, and wiped by `mcloud reset`."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from mcloud import Disk, Host, Offer, ServiceError, StepContext, wipe_disk
from mcloud_ceph.disks import owner
from mcloud_ceph.files import STATE

_CLUSTER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def clusters_of_cephadm(host: Host) -> Sequence[str]:
    """Return the ids of clusters that cephadm runs here, in containers: none of ours. Each has a folder."""
    return [name for name in host.list(STATE) if _CLUSTER.fullmatch(name)]


def with_bluestore(host: Host, disks: Sequence[Disk]) -> Iterator[tuple[str, str]]:
    """Yield each disk that BlueStore has labelled, or that LVM gives to an OSD, and in words whose it is.

    Not those of a cluster that cephadm runs here.
    """
    others = clusters_of_cephadm(host)
    in_lvm = _osds_in_lvm(host, others)
    for disk in disks:
        osd = None
        with suppress(ServiceError):  # no medium in it, or it cannot be read: nothing of ours to be wiped
            osd = owner(host, disk.device)
        if osd is not None and not (others and _cluster_of(host, disk.device) in others):
            yield disk.device, f"an OSD of Ceph ({osd})"
        elif disk.device in in_lvm:
            yield disk.device, f"an OSD of Ceph ({in_lvm[disk.device]})"


def _cluster_of(host: Host, path: str) -> str:
    """Return the id of the cluster in BlueStore's label of a disk; "" if it cannot be read."""
    shown = host.run(["ceph-bluestore-tool", "show-label", "--dev", path], check=False, seconds=30).stdout
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(shown)[path]["ceph_fsid"])
    return ""


def shared_in_lvm(host: Host) -> Sequence[str]:
    """Return the disks on which LVM keeps volumes of others beside an OSD: never wiped."""
    osds, others = _volumes(host, clusters_of_cephadm(host))
    return sorted(osds.keys() & others)


def _osds_in_lvm(host: Host, clusters: Sequence[str]) -> dict[str, str]:
    """Return the OSDs that `ceph-volume` made, by disk; not on disks that hold anything else."""
    osds, others = _volumes(host, clusters)
    return {disk: osd for disk, osd in osds.items() if disk not in others}


def _volumes(host: Host, clusters: Sequence[str]) -> tuple[dict[str, str], set[str]]:
    """Return OSDs by disk, and the disks with volumes that are no OSD's, or of one of these clusters.

    `ceph-volume` tags what it makes (`ceph.osd_fsid=...`). Hidden volumes count: a thin pool has its
    space by them alone.
    """
    osds, others = dict[str, str](), set[str]()
    if host.stat("/usr/sbin/lvs") is None and host.stat("/sbin/lvs") is None:
        return osds, others
    asked = ["lvs", "--all", "--noheadings", "--separator", ";", "--options", "lv_tags,devices"]
    for line in host.run(asked, check=False, seconds=30).stdout.splitlines():
        tags, _, devices = line.strip().partition(";")
        osd = re.search(r"ceph\.osd_fsid=([0-9a-f-]{36})", tags)
        disks = {device.partition("(")[0] for device in devices.split(",")}
        if osd and not any(f"ceph.cluster_fsid={other}" in tags for other in clusters):
            osds |= dict.fromkeys(disks, osd[1])
        else:
            others |= disks
    return osds, others


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

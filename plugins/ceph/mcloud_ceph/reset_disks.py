"""The disks of OSDs on this machine, told by their labels alone, and wiped by `mcloud reset`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from mcloud import DiskFound, Host, Offer, StepContext, disks_bearing
from mcloud_ceph.conffile import fsid_at
from mcloud_ceph.disks import cluster_of, owner
from mcloud_ceph.files import STATE
from mcloud_ceph.osds import OSDS, give_back
from mcloud_ceph.ownership import ceph_is_ours

_CLUSTER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def clusters_of_cephadm(host: Host) -> Sequence[str]:
    """Return the ids of clusters that cephadm runs here, in containers: none of ours. Each has a folder."""
    return [name for name in host.list(STATE) if _CLUSTER.fullmatch(name)]


class Ours:
    """Which disks are OSDs of this machine's own cluster: by the OSDs' folders here, and by our ceph.conf."""

    def __init__(self, host: Host) -> None:
        """Look at what there is of the cluster on this machine."""
        here = ceph_is_ours(host)
        texts = (host.read(f"{OSDS}/{name}/fsid") for name in host.list(OSDS)) if here else ()
        self._osds = {text.strip() for text in texts if text}
        self._others = clusters_of_cephadm(host)
        self._cluster = (fsid_at(host) or "") if here else ""
        osds, others = _volumes(host, self._is)
        ids = _ids_of_volumes(host) if osds else {}
        self._volumes = {ids[disk]: osd for disk, osd in osds.items() if disk not in others and disk in ids}

    def __call__(self, found: DiskFound) -> bool:
        """Say whether a disk is an OSD's of ours, and nothing of others is on it."""
        osd = owner(found.content)
        return self._is(osd, cluster_of(found.content)) if osd else bool(self.osd_in_lvm(found))

    def osd_in_lvm(self, found: DiskFound) -> str:
        """Return the OSD to which LVM gives a disk; "" if it is not LVM's, or of others, too."""
        return self._volumes.get(found.content.id, "") if found.content.type == "LVM2_member" else ""

    def _is(self, osd: str, cluster: str) -> bool:
        if cluster and cluster in self._others:
            return False
        return osd in self._osds or bool(cluster and cluster == self._cluster)


def shared_in_lvm(host: Host) -> Sequence[str]:
    """Return the disks on which LVM keeps volumes of others beside an OSD: never wiped."""
    osds, others = _volumes(host, lambda _osd, cluster: cluster not in clusters_of_cephadm(host))
    return sorted(osds.keys() & others)


def _volumes(host: Host, is_ours: Callable[[str, str], bool]) -> tuple[dict[str, str], set[str]]:
    """Return our OSDs by disk, and the disks with volumes that are no OSD's, or another's.

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
        cluster = re.search(r"ceph\.cluster_fsid=([0-9a-f-]{36})", tags)
        disks = {device.partition("(")[0] for device in devices.split(",")}
        if osd and is_ours(osd[1], cluster[1] if cluster else ""):
            osds |= dict.fromkeys(disks, osd[1])
        else:
            others |= disks
    return osds, others


def _ids_of_volumes(host: Host) -> Mapping[str, str]:
    """Return the ids in LVM's labels by disk, as blkid(8) tells them."""
    asked = ["pvs", "--noheadings", "--separator", ";", "--options", "pv_name,pv_uuid"]
    lines = host.run(asked, check=False, seconds=30).stdout.splitlines()
    pairs = (line.strip().partition(";") for line in lines)
    return {name: uuid for name, _, uuid in pairs if uuid}


def probe_disks(ctx: StepContext, *, wipe: bool) -> Sequence[Offer] | None:
    """Look for disks of OSDs; without `wipe`, and those of others, they only are named."""
    ours = Ours(ctx.host)
    found = list(_named(ctx.host, ours))
    for path, what, own in found:
        if not own:
            ctx.report(f"{path} holds {what}, of which nothing of ours is here: it stays")
        else:
            ctx.report(f"{path}: {what}" if wipe else f"{path} still holds {what}: --wipe-disks wipes it")
    return None if wipe and any(own for _path, _what, own in found) else ()


def _named(host: Host, ours: Ours) -> Iterator[tuple[str, str, bool]]:
    """Yield path, what it is in words, and whether it is ours, of each disk of an OSD."""
    others = clusters_of_cephadm(host)

    def is_osds(found: DiskFound) -> bool:
        return ours(found) or bool(owner(found.content) and cluster_of(found.content) not in others)

    for found in disks_bearing(host, is_osds):
        osd = owner(found.content) or ours.osd_in_lvm(found)
        yield found.disk.device, f"an OSD of Ceph ({osd})", ours(found)


def wipe_all(ctx: StepContext) -> None:
    """Wipe all disks of OSDs. Raises ServiceError that names those that could not be."""
    give_back(ctx.host, Ours(ctx.host))

"""Who runs what, where, under which name: all that follows from the roster and the settings alone."""

import re
import uuid
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from mcloud import DiskChoice, Node
from mcloud_ceph.settings import CephNode, CephSettings

CLUSTER = "ceph"
"""Ceph's own name for the files in /etc/ceph; other names have been deprecated since Nautilus."""
POOL = "remote"
FILESYSTEM = "remote-fs"
METADATA_POOL = "remote-fs-meta"
DATA_POOL = "remote-fs-data"
CLIENT = "lxd"
"""The client that uses pools and file system: `client.lxd`."""

WANTED_MONITORS = 3
"""Monitors survive the loss of one of three; of two, of none."""


def monitors(nodes: Sequence[Node]) -> Sequence[Node]:
    """Return the machines with a monitor, a manager and a metadata server: the first three, or the first."""
    return nodes[:WANTED_MONITORS] if len(nodes) >= WANTED_MONITORS else nodes[:1]


def runs_monitor(node: Node, nodes: Sequence[Node]) -> bool:
    """Say whether a machine is one of the monitors' machines."""
    return node.name in {monitor.name for monitor in monitors(nodes)}


def disks_of(node: Node, node_settings: Mapping[str, CephNode]) -> Sequence[DiskChoice]:
    """Return the disks that Ceph takes on one machine."""
    return node_settings.get(node.name, CephNode()).disks


def copies(nodes: Sequence[Node], settings: CephSettings, node_settings: Mapping[str, CephNode]) -> int:
    """Return how often data is kept: as set, but never more often than there are machines with disks."""
    hosts = [node for node in nodes if disks_of(node, node_settings)]
    return max(1, min(settings.replicas, len(hosts)))


def least_copies(copies: int) -> int:
    """Return how many copies there must be for data to be written: never one, where two are kept.

    Ceph's own is `size - size // 2`, which is 1 for two copies: what is written then, after the loss of one
    machine, is lost with one more disk, and the cluster goes on without a word.
    """
    return min(copies, max(2, copies - copies // 2))


def has_filesystem(nodes: Sequence[Node], settings: CephSettings) -> bool:
    """Say whether the file system is made: it is wanted, and every kernel can mount it.

    Not where all is encrypted: LXD 5.0 mounts it by mount(2) without `ms_mode`, and then the kernel speaks
    the first messenger, which nobody answers any more.
    """
    able = all("ceph" in node.survey.abilities for node in nodes)
    return settings.cephfs and able and not settings.encrypt_traffic


def address_in(node: Node, network: IPv4Network | IPv6Network | None) -> str | None:
    """Return the machine's address in a network (without one: its own); None if it has none there."""
    if network is None:
        return node.address
    known = [*node.addresses, *(address.ip for nic in node.survey.nics for address in nic.addresses)]
    return next((str(address) for address in known if ip_address(str(address)) in network), None)


def public_address(node: Node, settings: CephSettings) -> str:
    """Return the address that monitors and OSDs of this machine are reached at."""
    return address_in(node, settings.public_network) or node.address


def internal_address(node: Node, settings: CephSettings) -> str:
    """Return the address at which OSDs of this machine are reached by other OSDs."""
    internal = address_in(node, settings.internal_network) if settings.internal_network else None
    return internal or public_address(node, settings)


def osd_uuid(fsid: str, node: Node, disk: DiskChoice) -> str:
    """Return the id of the OSD on a disk: the same whenever the same run is made again."""
    return str(uuid.uuid5(uuid.UUID(fsid), f"{node.name} {disk.path}"))


def osds_of(
    fsid: str, machines: Sequence[Node], node_settings: Mapping[str, CephNode]
) -> Mapping[str, DiskChoice]:
    """Return the disks of some machines by the id of the OSD on each."""
    return {osd_uuid(fsid, node, disk): disk for node in machines for disk in disks_of(node, node_settings)}


def comes_back(node: Node, nodes: Sequence[Node]) -> bool:
    """Say whether a machine comes into a cloud that is there: it may have been in, and written out since."""
    return node.standing == "joining" and any(other.standing == "member" for other in nodes)


def step_name(disk: DiskChoice) -> str:
    """Return a disk's name as part of a step's name, in kebab-case."""
    return "osd-" + re.sub(r"[^a-z0-9]+", "-", disk.path.removeprefix("/dev/").removeprefix("disk/").lower())

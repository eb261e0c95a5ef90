"""Which storage the machines have in common: decided from surveys, before any change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcloud import DiskChoice, Node
from mcloud_lxd.settings import LxdNode, LxdSettings

LOCAL = "local"
"""Name of the pool that each machine has a part of on its own disk."""

BEST_FIRST = ("zfs", "btrfs", "lvm")

KERNEL_NEEDS: Mapping[str, str] = {
    "zfs": "zfs",
    "btrfs": "btrfs",
    "lvm": "dm-thin",
    "ceph": "rbd",
    "cephfs": "ceph",
}
"""What LXD's storage driver of that name cannot use its volumes without: an ability of the kernel."""


@dataclass(frozen=True, slots=True)
class Local:
    """What the pool `local` will be: the same on every machine, each with its own disk or none."""

    driver: str
    disks: Mapping[str, DiskChoice]
    """By machine; a machine without one gives space of its root file system."""
    why: str = ""
    """Why it is not what an operator who gave disks expects; "" if it is."""


def choose_local(
    nodes: Sequence[Node], settings: LxdSettings, node_settings: Mapping[str, LxdNode]
) -> Local | None:
    """Return what `local` will be; None if there shall be none.

    `nodes` are all that were to be in: the pool is there when one falls out, and stays as it is.
    """
    if settings.local == "none":
        return None
    disks = {
        node.name: disk
        for node in nodes
        if (disk := node_settings.get(node.name, LxdNode()).disk) is not None
    }
    if settings.local != "auto":
        return Local(settings.local, disks if settings.local != "dir" else {})
    if not disks:
        return Local("dir", {})
    for driver in BEST_FIRST:
        if not lacking(driver, nodes):
            return Local(driver, disks)
    reasons = "; ".join(f"{driver}: {', '.join(lacking(driver, nodes))}" for driver in BEST_FIRST)
    return Local("dir", {}, why=f"no driver for disks is on every machine (missing on: {reasons})")


def lacking(driver: str, nodes: Sequence[Node]) -> Sequence[str]:
    """Return the machines on which LXD or the kernel lacks a storage driver."""
    return [node.name for node in nodes if not (has_driver(driver, node) and is_mappable(driver, node))]


def has_driver(driver: str, node: Node) -> bool:
    """Whether the LXD of a machine found the driver's tools."""
    state = node.services.get("lxd")
    return state is not None and feature(driver) in state.features


def is_mappable(driver: str, node: Node) -> bool:
    """Whether the kernel of a machine can use volumes of a driver."""
    need = KERNEL_NEEDS.get(driver)
    return need is None or need in node.survey.abilities


def feature(driver: str) -> str:
    """Return how a storage driver is named among the features of a ServiceState."""
    return f"driver-{driver}"

"""What an operator can set of Ceph, for the cloud and for each machine."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mcloud import Ask, Disk, DiskChoice, Network, Settings, Survey

SMALLEST_DISK = 5 * 10**9
"""Bytes; the limit that ceph-volume keeps, below which BlueStore's own overhead fills the disk."""


def stable_path(disk: Disk) -> str:
    """Return the name of a disk that stays the same over reboots, or the one it has now."""
    by_id = [link for link in disk.links if link.startswith("/dev/disk/by-id/")]
    # World wide names are the least readable of several: taken only when nothing else is there.
    return min(by_id, key=lambda link: ("/wwn-" in link or "/nvme-eui." in link, link), default=disk.device)


def _free_disks(survey: Survey) -> Sequence[object]:
    return [
        stable_path(disk)
        for disk in survey.disks
        if not disk.busy and not disk.read_only and not disk.content and disk.size >= SMALLEST_DISK
    ]


class CephSettings(Settings):
    """One Ceph cluster over all machines."""

    public_network: Annotated[Network | None, Ask("Network that clients and monitors use, as CIDR")] = Field(
        default=None,
        description="Network of monitors, OSDs and clients; default: the machines' own addresses",
        examples=["10.10.0.0/24"],
    )
    internal_network: Annotated[
        Network | None, Ask("Network for copies between disks, as CIDR", when=lambda _answers: True)
    ] = Field(
        default=None,
        description="Network for traffic between OSDs (copies, recovery); default: the public network",
        examples=["10.10.1.0/24"],
    )
    replicas: Annotated[int, Ask("Copies of all data, each on another machine")] = Field(
        default=3,
        ge=1,
        le=10,
        description="Copies of all data, each on another machine; never more than machines with disks",
    )
    cephfs: Annotated[bool, Ask("Make a shared file system (CephFS) as well")] = Field(
        default=True,
        description="Also make the file system remote-fs, where the kernels of all machines can mount it",
    )


class CephNode(Settings):
    """One machine's part in the cluster."""

    disks: Annotated[tuple[DiskChoice, ...], Ask("Disks for Ceph", choices=_free_disks)] = Field(
        default=(),
        description="Whole disks that Ceph takes on this machine, one OSD each",
        examples=[["/dev/disk/by-id/nvme-A2"], ["/dev/disk/by-id/nvme-B2"], ["/dev/disk/by-id/nvme-C2"]],
    )

"""What an operator can set of Ceph, for the cloud and for each machine."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import Field

from mcloud import (
    Ask,
    Choice,
    DiskChoice,
    Network,
    Node,
    Settings,
    SoFar,
    Topic,
    blank_disks,
    disk_choices,
    shared_networks,
)

SMALLEST_DISK = 5 * 10**9
"""Bytes; the limit that ceph-volume keeps, below which BlueStore's own overhead fills the disk."""

WHOLE = 3
"""Machines with disks that keep the usual number of copies."""


def offered_disks(node: Node) -> Sequence[Choice]:
    """Return what a machine could give to Ceph: beforehand all its blank disks."""
    blank = blank_disks(node, smallest=SMALLEST_DISK)
    return disk_choices(node, smallest=SMALLEST_DISK, picked=[disk.device for disk in blank])


def _on_few_only(so_far: SoFar) -> str:
    hosts = so_far.by_machine("disks")
    if not hosts or len(hosts) >= min(WHOLE, len(so_far.nodes)):
        return ""
    return (
        f"disks were picked on {', '.join(hosts)} only: data is kept {len(hosts)}x, "
        f"and {WHOLE} machines with disks keep it {WHOLE}x"
    )


def _nowhere(so_far: SoFar) -> str:
    return "" if so_far.by_machine("disks") else "Ceph is left out: no machine gives it a disk."


def _has_choice_of_copies(so_far: SoFar) -> bool:
    return len(so_far.by_machine("disks")) > WHOLE


def _kernels_can_mount(so_far: SoFar) -> bool:
    return all("ceph" in node.survey.abilities for node in so_far.nodes)


def _has_wires(so_far: SoFar) -> bool:
    return len(so_far.nodes) > 1


def _has_wires_to_choose(so_far: SoFar) -> bool:
    return _has_wires(so_far) and _several_networks(so_far)


def _who_listens(so_far: SoFar) -> str:
    if so_far.settings.get("encrypt_traffic"):
        return "No file system remote-fs is made: LXD 5.0 cannot mount one whose traffic is encrypted."
    return "Who can listen on Ceph's networks can read all data." if _has_wires(so_far) else ""


def _several_networks(so_far: SoFar) -> bool:
    return len(shared_networks(so_far.nodes)) > 1


def _networks(so_far: SoFar) -> Sequence[str]:
    return shared_networks(so_far.nodes)


def _cloud_network(so_far: SoFar) -> object:
    return so_far.network if so_far.network in shared_networks(so_far.nodes) else None


def _as_internal(so_far: SoFar) -> object:
    return so_far.settings.get("internal_network") or _cloud_network(so_far)


def _reached_by_all(field: str, so_far: SoFar) -> str:
    network: IPv4Network | IPv6Network | None = so_far.settings.get(field)
    if network is None:
        return ""
    without = [
        node.name
        for node in so_far.nodes
        if not any(own.ip in network for nic in node.survey.nics for own in nic.addresses)
    ]
    if without:
        return f"no address in {network} on {', '.join(without)}"
    return f"{network} has room for one machine only" if network.num_addresses == 1 else ""


def _internal_reached(so_far: SoFar) -> str:
    return _reached_by_all("internal_network", so_far)


def _public_reached(so_far: SoFar) -> str:
    public, internal = (so_far.settings.get(f"{kind}_network") for kind in ("public", "internal"))
    if public and internal and public.version != internal.version:
        return (
            f"{public} is IPv{public.version} and {internal} IPv{internal.version}: Ceph speaks one of them"
        )
    return _reached_by_all("public_network", so_far)


class CephSettings(Settings):
    """One Ceph cluster over all machines."""

    public_network: Annotated[
        Network | None,
        Ask(
            "Ceph's public network, for clients and monitors",
            when=_several_networks,
            topic=Topic.SHARED_STORAGE,
            order=4,
            suggestions=_networks,
            default=_as_internal,
            check=_public_reached,
        ),
    ] = Field(
        default=None,
        description="Network of monitors, OSDs and clients; default: the machines' own addresses",
        examples=["10.10.0.0/24"],
    )
    internal_network: Annotated[
        Network | None,
        Ask(
            "Ceph's internal network, for copies between disks",
            when=_several_networks,
            topic=Topic.SHARED_STORAGE,
            order=3,
            suggestions=_networks,
            default=_cloud_network,
            check=_internal_reached,
        ),
    ] = Field(
        default=None,
        description="Network for traffic between OSDs (copies, recovery); default: the public network",
        examples=["10.10.1.0/24"],
    )
    replicas: Annotated[
        int,
        Ask(
            "Copies of all data, each on another machine",
            when=_has_choice_of_copies,
            topic=Topic.SHARED_STORAGE,
            order=1,
        ),
    ] = Field(
        default=3,
        ge=1,
        le=10,
        description="Copies of all data, each on another machine; never more than machines with disks",
    )
    cephfs: Annotated[
        bool,
        Ask(
            "Make a shared file system (CephFS) as well?",
            when=_kernels_can_mount,
            topic=Topic.SHARED_STORAGE,
            order=2,
        ),
    ] = Field(
        default=True,
        description="Also make the file system remote-fs, where the kernels of all machines can mount it",
    )
    encrypt_traffic: Annotated[
        bool,
        Ask(
            "Encrypt Ceph's traffic between machines?",
            when=_has_wires_to_choose,
            topic=Topic.SHARED_STORAGE,
            order=5,
            remark=_who_listens,
        ),
    ] = Field(
        default=False,
        description="Encrypt all that Ceph says on the wire (messenger 2, secure); no remote-fs is made then",
    )


class CephNode(Settings):
    """One machine's part in the cluster."""

    disks: Annotated[
        tuple[DiskChoice, ...],
        Ask(
            "Which disks does Ceph get?",
            choices=offered_disks,
            topic=Topic.SHARED_STORAGE,
            doubt=_on_few_only,
            drops=_nowhere,
            role="Ceph",
        ),
    ] = Field(
        default=(),
        description="Whole disks that Ceph takes on this machine, one OSD each",
        examples=[["/dev/disk/by-id/nvme-A2"], ["/dev/disk/by-id/nvme-B2"], ["/dev/disk/by-id/nvme-C2"]],
    )

"""What machines offer as answers: their disks, and the networks that all of them are in."""

from collections.abc import Sequence
from ipaddress import ip_network

from mcloud.forms.ask import Choice
from mcloud.model import Disk, DiskChoice, Node

DISK_COLUMNS = ("DISK", "SIZE", "TYPE", "MODEL", "HOLDS")
"""What `disk_choices` says of each disk."""

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"))


def stable_path(disk: Disk) -> str:
    """Return the name of a disk that stays the same over reboots, or the one it has now."""
    by_id = [link for link in disk.links if link.startswith("/dev/disk/by-id/")]
    # World wide names are the least readable of several: taken only when nothing else is there.
    return min(by_id, key=lambda link: ("/wwn-" in link or "/nvme-eui." in link, link), default=disk.device)


def holds(disk: Disk) -> str:
    """Return what would be lost with a disk, in a word; "" if nothing was found on it."""
    return disk.content or (f"{disk.partitions} partitions" if disk.partitions else "")


def find_disk(node: Node, choice: DiskChoice) -> Disk | None:
    """Return the disk that is meant, by its own name or a link to it."""
    return next(
        (disk for disk in node.survey.disks if choice.path == disk.device or choice.path in disk.links), None
    )


def disk_name(disk: Disk) -> str:
    """Return what people call a disk: `/dev/sdb (ata-FAST_1)`."""
    path = stable_path(disk)
    return path if path == disk.device else f"{disk.device} ({path.removeprefix('/dev/disk/by-id/')})"


def disk_loss(node: Node, choice: DiskChoice) -> str:
    """Say in words what wiping a disk loses: `everything on /dev/sdb of n1 (512 GB, ext4, MODEL)`."""
    disk = find_disk(node, choice)
    if disk is None:
        return f"everything on {choice.path} of {node.name}"
    facts = filter(None, (size_text(disk.size), holds(disk), disk.model))
    return f"everything on {disk_name(disk)} of {node.name} ({', '.join(facts)})"


def size_text(size: int) -> str:
    """Return a number of bytes as disks are sold: `512 GB`."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B"


def disk_choices(node: Node, *, smallest: int = 0, picked: Sequence[str] = ()) -> list[Choice]:
    """Return all disks of a machine, those that cannot be taken closed with the reason.

    `smallest` in bytes; `picked` are the devices (`Disk.device`) that are picked beforehand.
    """

    def closed(disk: Disk) -> str:
        if disk.busy or disk.read_only:
            return disk.busy or "can only be read"
        return f"smaller than {size_text(smallest)}" if disk.size < smallest else ""

    return [
        Choice(
            value=stable_path(disk),
            cells=(disk_name(disk), size_text(disk.size), disk.type, disk.model, holds(disk)),
            resource=f"disk:{disk.device}",
            closed=closed(disk),
            picked=disk.device in picked,
        )
        for disk in node.survey.disks
    ]


def blank_disks(node: Node, *, smallest: int = 0) -> list[Disk]:
    """Return the disks that can be taken and on which nothing was found, the smallest first."""
    found = [
        disk
        for disk in node.survey.disks
        if not (disk.busy or disk.read_only or disk.removable or holds(disk)) and disk.size >= smallest
    ]
    return sorted(found, key=lambda disk: disk.size)


def shared_networks(nodes: Sequence[Node]) -> list[str]:
    """Return the networks, as CIDR, in which every machine has an address; none of a single address."""
    of_each = [
        [str(own.network) for nic in node.survey.nics for own in nic.addresses if not own.ip.is_link_local]
        for node in nodes
    ]
    everywhere = [name for name in of_each[0] if all(name in others for others in of_each[1:])]
    return [name for name in dict.fromkeys(everywhere) if ip_network(name).num_addresses > 1]

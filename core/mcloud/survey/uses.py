"""Who uses a block device: mounts, swap, what is built on it, locks, and in the end the kernel's own word."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mcloud.host import Host
from mcloud.survey.blocks import Block
from mcloud.survey.looking import said, shown, text


@dataclass(frozen=True, slots=True)
class Uses:
    """What is known of uses, by what the kernel calls the devices in each place."""

    mounts: Mapping[str, str]
    """Mount point by number, and by the path that was mounted (btrfs has no number of its own)."""
    swaps: frozenset[str]
    """Paths."""
    btrfs: frozenset[str]
    """Kernel names of all devices of mounted btrfs file systems."""
    locks: Mapping[str, str]
    """Process by inode; "-1" is a lock that belongs to an open file (Ceph's OSDs)."""

    def of(self, host: Host, block: Block) -> str:
        """Return who uses this one device, "" if nobody is known to."""
        for name in (block.number, *block.nodes):
            if name in self.mounts:
                return f"mounted on {self.mounts[name]}"
        if self.swaps & set(block.nodes):
            return "used as swap"
        if holders := host.list(f"{block.folder}/holders"):
            return f"held by {', '.join(holders)}"
        if block.name in self.btrfs:
            return "part of a mounted btrfs"
        for inode in block.inodes & self.locks.keys():
            process = self.locks[inode]
            return "locked by a running program" if process == "-1" else f"locked by process {process}"
        return ""


def uses(host: Host, links: Mapping[str, Sequence[str]]) -> Uses:
    """Collect the uses; `links` are the names under /dev/disk of each node."""
    nodes = {link: node for node, names in links.items() for link in names}
    mounts: dict[str, str] = {}
    # Of the command's own mount namespace: /proc seen from outside has no `self`.
    for number, source, point in _mounts(said(host, "cat", "/proc/self/mountinfo")):
        mounts.setdefault(number, point)
        mounts.setdefault(nodes.get(source, source), point)
    swaps = (line.split()[0] for line in text(host, "/proc/swaps").splitlines()[1:] if line.strip())
    return Uses(
        mounts=mounts,
        swaps=frozenset(nodes.get(path, path) for path in swaps),
        btrfs=frozenset(
            name
            for volume in host.list("/sys/fs/btrfs")
            for name in host.list(f"/sys/fs/btrfs/{volume}/devices")
        ),
        locks=dict(_locks(text(host, "/proc/locks"))),
    )


def _mounts(listing: str) -> Iterable[tuple[str, str, str]]:
    """Yield (number, source, mount point) of /proc/PID/mountinfo, proc_pid_mountinfo(5)."""
    for line in listing.splitlines():
        mount, _, rest = line.partition(" - ")
        fields, more = mount.split(" "), rest.split(" ")
        if len(fields) > 4 and len(more) > 1:  # noqa: PLR2004 - the fifth is the mount point, the second the source
            yield fields[2], _plain(more[1]), shown(_plain(fields[4]))


def _plain(path: str) -> str:
    """Undo the kernel's escapes of blanks and the like: a backslash and three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _locks(listing: str) -> Iterable[tuple[str, str]]:
    """Yield (inode, process) of /proc/locks, proc_locks(5): `1: FLOCK ADVISORY WRITE 123 00:06:45 0 EOF`."""
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) == 8:  # noqa: PLR2004 - those that wait for a lock have an arrow in between
            yield fields[5], fields[4]

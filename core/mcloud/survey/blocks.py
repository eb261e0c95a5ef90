"""Block devices that have a node in /dev.

/sys/block is not namespaced: inside a container it shows the disks of the machine around it, of which
nothing may ever be offered. So the nodes are found first, and only then what the kernel says of them.
"""

import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcloud.errors import ServiceError
from mcloud.host import Host
from mcloud.survey.looking import SECONDS, pairs, text, value


@dataclass(frozen=True, slots=True)
class Block:
    """One block device, whole or a partition."""

    number: str
    """`major:minor`."""
    nodes: tuple[str, ...]
    """Its nodes in /dev, the kernel's own name for it first."""
    inodes: frozenset[str]
    """Its nodes as /proc/locks names them: `major:minor:inode` of the file system that /dev is."""
    name: str
    """The kernel's name, `sda`, `loop3`."""
    partition: bool

    @property
    def folder(self) -> str:
        """Where the kernel tells about it."""
        return f"/sys/dev/block/{self.number}"


def blocks(host: Host) -> Sequence[Block]:
    """Return all block devices with a node, by its path."""
    nodes: dict[str, list[tuple[str, str]]] = {}
    for path, number, inode in _nodes(host):
        nodes.setdefault(number, []).append((path, inode))
    found = [_block(host, number, sorted(known)) for number, known in nodes.items()]
    return sorted((block for block in found if block is not None), key=lambda block: block.nodes)


def block_of(host: Host, number: str, *nodes: str) -> Block | None:
    """Return what the kernel tells of a device by its number; None if it is gone. Without its inodes."""
    return _block(host, number, [(node, "") for node in nodes])


def links(host: Host) -> Mapping[str, Sequence[str]]:
    """Return the names under /dev/disk of each node, those by id first."""
    listing = host.run(
        ["find", "/dev/disk", "-type", "l", "-printf", r"%p\t%l\n"], check=False, seconds=SECONDS
    )
    found: dict[str, list[str]] = {}
    for line in listing.stdout.splitlines():
        link, _, target = line.partition("\t")
        node = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
        found.setdefault(node, []).append(link)
    order = ("by-id", "by-path")
    for names in found.values():
        names.sort(
            key=lambda name: (not name.startswith("/dev/disk/by-id/"), name.split("/")[3] not in order, name)
        )
    return found


def partitions(host: Host, block: Block) -> Sequence[str]:
    """Return the kernel's names of a disk's partitions."""
    names = (name for name in host.list(block.folder) if name.startswith(_sys_name(block)))
    return [name for name in names if value(host, f"{block.folder}/{name}/partition")]


def _nodes(host: Host) -> Sequence[tuple[str, str, str]]:
    """Return (path, number, inode) of every block device node in /dev."""
    # No file of /dev other than its own: -xdev keeps out of what is mounted below.
    argv = ["find", "/dev", "-xdev", "-type", "b", "-exec", "stat", "-c", "%t %T %D %i %n", "{}", "+"]
    listing = host.run(argv, check=False, seconds=SECONDS)
    if not listing.stdout and not listing.ok:
        raise ServiceError(f"cannot list /dev: {listing.stderr.strip()[:200]}")
    found = []
    for line in listing.stdout.splitlines():
        major, minor, device, inode, path = line.split(" ", 4)
        on = int(device, 16)
        inode_name = f"{os.major(on):02x}:{os.minor(on):02x}:{inode}"
        found.append((path, f"{int(major, 16)}:{int(minor, 16)}", inode_name))
    return found


def _block(host: Host, number: str, known: Sequence[tuple[str, str]]) -> Block | None:
    event = dict(pairs(text(host, f"/sys/dev/block/{number}/uevent")))
    if not event.get("DEVNAME"):
        return None  # A node without a device: nothing is attached to it.
    name = event["DEVNAME"]
    paths = sorted((path for path, _ in known), key=lambda path: (path != f"/dev/{name}", path))
    return Block(
        number=number,
        nodes=tuple(paths),
        inodes=frozenset(inode for _, inode in known),
        name=name,
        partition=event.get("DEVTYPE") == "partition",
    )


def _sys_name(block: Block) -> str:
    """Return a name as /sys has it: `cciss/c0d0` is `cciss!c0d0` there."""
    return block.name.replace("/", "!")

"""The disks an operator could give away: what they are, what is on them, and who uses them."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from mcloud.errors import McloudError
from mcloud.host import Host
from mcloud.model import Disk
from mcloud.survey.blocks import Block, blocks, links, partitions
from mcloud.survey.looking import SECONDS, number, pairs, shown, text, value
from mcloud.survey.uses import refusal, uses

_NO_DISK = re.compile(r"(ram|zram|sr|scd|fd|nbd|rbd|drbd|zd|mtdblock)\d|mmcblk\d+(boot\d|rpmb)")
"""Kernel names of what is no disk of this machine: memory, removable media, others' volumes, firmware."""

_SECTOR = 512
"""Bytes; /sys counts in these whatever the device's own are."""

_NOTHING_FOUND, _SEVERAL_FOUND = 2, 8
"""Exit statuses of blkid(8) in low-level probing."""

_AT_ONCE = 8


def disks(host: Host) -> tuple[Disk, ...]:
    """Return the whole disks with a node in /dev, by path; reads only.

    A loop device is a disk only under another name than its own (in a lab, or given to a container).
    What cannot be looked at is never said to be empty or free.
    """
    known = blocks(host)
    names = links(host)
    used = uses(host, names)
    by_name = {block.name: block for block in known}

    def disk(block: Block) -> Disk:
        parts = partitions(host, block)
        family = [block, *(by_name[part] for part in parts if part in by_name)]
        busy = next((use for one in family if (use := used.of(host, one))), "")
        content, unreadable = _content(host, block)
        busy = busy or refusal(host, block) or unreadable
        return _described(host, block).model_copy(
            update={
                "partitions": len(parts),
                "content": content or ("partitions" if parts else ""),
                "busy": shown(busy),
                "links": tuple(shown(name) for node in block.nodes for name in names.get(node, ())),
            }
        )

    offered = [block for block in known if _is_disk(host, block)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(disk, offered))


def _is_disk(host: Host, block: Block) -> bool:
    if block.partition or _NO_DISK.match(block.name) or number(host, f"{block.folder}/size") == 0:
        return False
    if block.name.startswith("loop"):
        return block.nodes[0] != f"/dev/{block.name}"
    if block.name.startswith("dm-"):
        # Volumes and encrypted devices are somebody's already; several paths to one disk are that disk.
        return value(host, f"{block.folder}/dm/uuid").startswith("mpath-")
    return True


def _described(host: Host, block: Block) -> Disk:
    """Return what a disk is, without what is on it: by udev, else by the kernel."""
    folder = block.folder
    udev = dict(pairs(text(host, f"/run/udev/data/b{block.number}")))
    model = udev.get("E:ID_MODEL", "").replace("_", " ") or value(host, f"{folder}/device/model")
    serial = udev.get("E:ID_SERIAL_SHORT") or value(host, f"{folder}/device/serial")
    return Disk(
        device=shown(block.nodes[0]),
        size=number(host, f"{folder}/size") * _SECTOR,
        type=_type(host, block),
        model=shown(model),
        serial=shown(serial or value(host, f"{folder}/serial")),
        read_only=value(host, f"{folder}/ro") == "1",
        removable=value(host, f"{folder}/removable") == "1",
    )


def _type(host: Host, block: Block) -> Literal["hdd", "ssd", "nvme", "loop", "other"]:
    if block.name.startswith("nvme"):
        return "nvme"
    if block.name.startswith("loop"):
        return "loop"
    if re.match(r"sd|mmcblk|pmem|cciss|ida|dasd", block.name):
        return "hdd" if value(host, f"{block.folder}/queue/rotational") == "1" else "ssd"
    return "other"  # Virtual disks and arrays say they turn, or do not, whatever is behind them.


def _content(host: Host, block: Block) -> tuple[str, str]:
    """Return the signature found on a disk, and why it could not be looked for."""
    argv = ["blkid", "-p", "-o", "export", block.nodes[0]]
    try:
        said = host.run(argv, check=False, seconds=SECONDS)
    except McloudError as error:
        return "unknown", error.message
    if said.status == _SEVERAL_FOUND:
        return "several signatures", ""
    if said.ok:
        found = dict(pairs(said.stdout))
        return shown(found.get("TYPE") or found.get("PTTYPE") or "unknown"), ""
    if said.status == _NOTHING_FOUND and not said.stderr.strip():
        return "", ""
    return "unknown", f"cannot be read: {said.stderr.strip() or f'blkid ended with status {said.status}'}"

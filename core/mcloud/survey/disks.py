"""The disks an operator could give away: what they are, what is on them, and who uses them."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from mcloud.crew import Crew
from mcloud.errors import McloudError
from mcloud.host import Device, Host
from mcloud.model import Disk
from mcloud.survey.blocks import Block, blocks, links, partitions
from mcloud.survey.contents import UNREADABLE, Content, content
from mcloud.survey.looking import SECONDS, number, pairs, shown, text, value
from mcloud.survey.uses import Uses, uses

_NO_DISK = re.compile(r"(ram|zram|sr|scd|fd|nbd|rbd|drbd|zd|mtdblock)\d|mmcblk\d+(boot\d|rpmb)")
"""Kernel names of what is no disk of this machine: memory, removable media, others' volumes, firmware."""

_SECTOR = 512
"""Bytes; /sys counts in these whatever the device's own are."""

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
        found, busy = _looked_into(host, block, use_of(host, used, family), parts)
        return described(host, block, names).model_copy(
            update={
                "partitions": len(parts),
                "content": found.type or ("partitions" if parts else ""),
                "content_id": found.id,
                "busy": shown(busy or found.trouble),
            }
        )

    return tuple(Crew(_AT_ONCE, "survey").map(disk, [block for block in known if is_disk(host, block)]))


def use_of(host: Host, used: Uses, family: Sequence[Block]) -> str:
    """Return who uses a disk or a partition of it, "" if nobody is known to."""
    return next((use for one in family if (use := used.of(host, one))), "")


def use_now(host: Host, device: Device) -> str:
    """Return who uses a disk that is held open, or a part of it; "" if it can be had."""
    known = {block.number: block for block in blocks(host)}
    block = known.get(device.number)
    names = partitions(host, block) if block is not None else ()
    family = [one for one in known.values() if one is block or one.name in names]
    return use_of(host, uses(host, links(host)), family) or device.refusal()


def has_partitions(host: Host, device: Device) -> bool:
    """Whether the kernel sees partitions on a disk that is held open."""
    block = next((block for block in blocks(host) if block.number == device.number), None)
    return block is not None and bool(partitions(host, block))


def _looked_into(host: Host, block: Block, busy: str, parts: Sequence[str]) -> tuple[Content, str]:
    """Return what is on a disk, and why it cannot be had."""
    try:
        with host.device(block.nodes[0], seconds=SECONDS) as device:
            busy = busy or device.refusal()
            return content(host, device, sampled=not (busy or parts)), busy
    except McloudError as error:
        return Content(UNREADABLE), busy or error.message


def is_disk(host: Host, block: Block) -> bool:
    """Whether a block device is a whole disk of this machine."""
    if block.partition or _NO_DISK.match(block.name) or number(host, f"{block.folder}/size") == 0:
        return False
    if block.name.startswith("loop"):
        return block.nodes[0] != f"/dev/{block.name}"
    if block.name.startswith("dm-"):
        # Volumes and encrypted devices are somebody's already; several paths to one disk are that disk.
        return value(host, f"{block.folder}/dm/uuid").startswith("mpath-")
    return True


def described(host: Host, block: Block, names: Mapping[str, Sequence[str]]) -> Disk:
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
        wwn=shown(_world_wide_name(host, block, udev)),
        read_only=value(host, f"{folder}/ro") == "1",
        removable=value(host, f"{folder}/removable") == "1",
        links=tuple(shown(name) for node in block.nodes for name in names.get(node, ())),
    )


def _world_wide_name(host: Host, block: Block, udev: Mapping[str, str]) -> str:
    """Return what is one disk's alone: the kernel's word first, which is there before udev is."""
    own = (value(host, f"{block.folder}/{place}") for place in ("device/wwid", "wwid", "dm/uuid", "md/uuid"))
    by_udev = (udev.get(f"E:{key}", "") for key in ("ID_WWN_WITH_EXTENSION", "ID_WWN", "MD_UUID"))
    return next(filter(None, (*own, *by_udev)), "")


def _type(host: Host, block: Block) -> Literal["hdd", "ssd", "nvme", "loop", "other"]:
    if block.name.startswith("nvme"):
        return "nvme"
    if block.name.startswith("loop"):
        return "loop"
    if re.match(r"sd|mmcblk|pmem|cciss|ida|dasd", block.name):
        return "hdd" if value(host, f"{block.folder}/queue/rotational") == "1" else "ssd"
    return "other"  # Virtual disks and arrays say they turn, or do not, whatever is behind them.

"""Look at a disk, and wipe it: the only place that destroys data, never on a disk that is in use."""

import json
import re

from mcloud import Host, ServiceError

LABEL = "bluestore block device"
"""First line of a disk that BlueStore took; its second line is the OSD's id (BlueStore.cc, bdev label)."""

_MIB = 2**20
_GIB = 2**30
_HEAD = 10
"""MiB wiped at the start: label, superblock of BlueFS and all partition tables."""

_OTHER_LABELS = (1, 10, 100, 1000)
"""GiB at which newer BlueStore keeps further copies of its label (bluestore_bdev_label_multi)."""


def content(host: Host, path: str) -> tuple[str, ...]:
    """Return the signatures on a disk (`ext4`, `LVM2_member`, ...); ServiceError if it is gone."""
    found = host.stat(path)
    if found is None or found.kind != "block":
        raise ServiceError(
            f"{path} is not a disk of {host.name}" if found else f"there is no disk {path} on {host.name}",
            hint="is it still plugged in? Name another disk in the file, or put it back",
        )
    said = host.run(["wipefs", "--json", path]).stdout
    signatures = json.loads(said)["signatures"] if said.strip() else []
    return tuple(sorted({str(signature["type"]) for signature in signatures}))


def owner(host: Host, path: str) -> str | None:
    """Return the id of the OSD that a disk belongs to; None if BlueStore did not take it."""
    lines = host.run(["head", "--bytes=60", path]).stdout.splitlines()
    if len(lines) > 1 and lines[0] == LABEL and re.fullmatch(r"[0-9a-f-]{36}", lines[1]):
        return lines[1]
    return None


def wipe(host: Host, path: str) -> None:
    """Destroy what says that there is something on a disk, at both ends; refused while it is in use.

    `wipefs` opens the disk exclusively, which the kernel refuses where it, or a partition of it, is
    mounted or held: that is the check, and it is done at the same moment.
    """
    host.run(["wipefs", "--all", "--quiet", path])
    size = int(host.run(["blockdev", "--getsize64", path]).stdout)
    _zero(host, path, at=0, count=min(size, _HEAD * _MIB))
    for at in (gib * _GIB for gib in _OTHER_LABELS):
        if size >= at + _MIB:
            _zero(host, path, at=at, count=_MIB)
    _zero(host, path, at=max(0, size - _MIB), count=min(size, _MIB))


def _zero(host: Host, path: str, *, at: int, count: int) -> None:
    """Write zeros, in bytes; never makes a file where the device is gone."""
    where = [f"of={path}", f"seek={at}", f"count={count}", "bs=1M", "oflag=seek_bytes", "iflag=count_bytes"]
    host.run(["dd", "if=/dev/zero", *where, "conv=nocreat,notrunc,fsync", "status=none"], seconds=120)

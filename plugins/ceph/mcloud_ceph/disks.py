"""Look at a disk: what is on it, and which OSD it belongs to."""

import json
import re

from mcloud import Host, ServiceError

LABEL = "bluestore block device"
"""First line of a disk that BlueStore took; its second line is the OSD's id (BlueStore.cc, bdev label)."""


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

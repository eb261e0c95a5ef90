"""What is on a disk: by its labels, and where there are none by what can be read of it."""

import re
from dataclasses import dataclass, field

from mcloud.errors import McloudError
from mcloud.host import Device, Host
from mcloud.survey.looking import SECONDS, pairs, shown
from mcloud.survey.samples import places

UNKNOWN = "unknown data"
"""Content of a disk on which something is that nobody knows."""

UNREADABLE = "unknown"
"""Content of a disk that could not be read."""

HEAD = 4096
"""Bytes at the start: as much as BlueStore's label takes."""

_NOTHING_FOUND, _SEVERAL_FOUND = 2, 8
"""Exit statuses of blkid(8) in low-level probing."""

_GPT = b"EFI PART"
"""First bytes of a GPT's header (UEFI 2.10, 5.3.2); its copy is in the last sector of the disk."""

_BLUESTORE = re.compile(rb"bluestore block device\n([0-9a-f-]{36})\n")
"""How a disk begins that BlueStore took, and the id of its OSD (BlueStore.cc, bdev label)."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is on a disk; `type` is "" for nothing."""

    type: str = ""
    """`ext4`, `LVM2_member`, ..., `several signatures`, `unknown data`; `unknown` if it cannot be read."""
    id: str = ""
    """What tells it from others of its kind: UUID, label, or a digest of what was read."""
    label: str = ""
    head: bytes = field(default=b"", repr=False)
    """The first 4096 bytes: for labels that no tool knows. May hold a secret: never shown or kept."""
    trouble: str = ""
    """Why it could not be read."""

    def __str__(self) -> str:
        """Say it in words, `ext4 (1234-abcd)`."""
        return f"{self.type} ({self.id})" if self.type and self.id else self.type or "nothing"


def content(host: Host, device: Device, *, sampled: bool = True) -> Content:
    """Return what is on a device that is held open; never that it is empty if it cannot be read.

    Where no label is found both ends and some places in between are read, unless `sampled` is false: on
    a device that is in use somebody writes meanwhile.
    """
    try:
        said = host.run(["blkid", "-p", "-o", "export", device.node], check=False, seconds=SECONDS)
        found = dict(pairs(said.stdout))
        head = device.read(0, HEAD)
        if said.ok:
            return _labelled(device, found, head)
        if said.status == _SEVERAL_FOUND:
            return Content("several signatures", _digest(device, sampled=sampled), head=head)
        if said.status != _NOTHING_FOUND or said.stderr.strip():
            words = said.stderr.strip() or f"blkid ended with status {said.status}"
            return Content(UNREADABLE, trouble=shown(f"cannot be read: {words}"))
        return _unlabelled(device, head) if sampled else Content(head=head)
    except McloudError as error:
        return Content(UNREADABLE, trouble=shown(error.message))


def osd_of(head: bytes) -> str:
    """Return the id of the OSD whose label a disk begins with; "" if it is none's."""
    found = _BLUESTORE.match(head)
    return found[1].decode() if found else ""


def backup_of_gpt(device: Device) -> bool:
    """Whether the copy of a GPT is at a device's end, with either size of sectors."""
    return any(
        device.size >= sector and device.read(device.size - sector, len(_GPT)) == _GPT
        for sector in (512, 4096)
    )


def _labelled(device: Device, found: dict[str, str], head: bytes) -> Content:
    what = found.get("TYPE") or found.get("PTTYPE") or UNREADABLE
    label = shown(found.get("LABEL", ""))
    known = found.get("UUID") or found.get("PTUUID") or osd_of(head) or label
    return Content(shown(what), shown(known) or _digest(device), label, head)


def _unlabelled(device: Device, head: bytes) -> Content:
    if backup_of_gpt(device):
        return Content("gpt (its copy alone)", _digest(device), head=head)
    samples = device.sample(places(device.size))
    if "data" in samples.found:
        return Content(UNKNOWN, _short(samples.digest), head=head)
    return Content(head=head)


def _digest(device: Device, *, sampled: bool = True) -> str:
    return _short(device.sample(places(device.size)).digest) if sampled else ""


def _short(digest: str) -> str:
    return f"sha256:{digest[:32]}"

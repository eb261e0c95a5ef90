"""The labels of OSDs on disks: which OSD, and of which cluster."""

import re

from mcloud import Content, DiskFound

_LABEL = re.compile(rb"bluestore block device\n([0-9a-f-]{36})\n")
"""How a disk begins that BlueStore took, with the OSD's id in its second line (BlueStore.cc, bdev label)."""

_CLUSTER = re.compile(rb"ceph_fsid\x24\0\0\0([0-9a-f-]{36})")
"""The id of the cluster in that label, as Ceph encodes a map of texts: each with its length before it."""


def owner(content: Content) -> str:
    """Return the id of the OSD that a disk belongs to; "" if BlueStore did not take it."""
    found = _LABEL.match(content.head)
    return found[1].decode() if found else ""


def cluster_of(content: Content) -> str:
    """Return the id of the cluster in BlueStore's label; "" if it does not say."""
    found = _CLUSTER.search(content.head) if owner(content) else None
    return found[1].decode() if found else ""


def is_of(uuid: str, found: DiskFound) -> bool:
    """Say whether a disk is that OSD's."""
    return owner(found.content) == uuid

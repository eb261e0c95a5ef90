"""The places of a disk that are read to tell whether anything is on it, and that a wipe has to clear."""

from collections.abc import Iterator

from mcloud.host import Place

KIB, MIB, GIB = 2**10, 2**20, 2**30

END = 4 * MIB
"""Bytes read at each end."""

SHORT = 64 * KIB
"""Bytes read at each place in between."""

EVENLY = 64
"""Places in between, at even distances: among them the quarters, where XFS has its copies."""

COPIES = (64 * MIB, GIB, 10 * GIB, 100 * GIB, 256 * GIB, 1000 * GIB)
"""Offsets of copies: btrfs' superblock (64 MiB, 256 GiB), BlueStore's label (bluestore_bdev_label_multi)."""

_EXT_GROUP = 128 * MIB
_EXT_COPIES = (1, 3, 5, 7, 9, 25, 27, 49)
"""Groups of ext4 with a copy of its superblock (sparse_super), of 128 MiB each with blocks of 4 KiB."""


def places(size: int) -> list[Place]:
    """Return the places to read on a disk of so many bytes, in their order on it: 13 MiB at most."""
    return list(_places(size))


def _places(size: int) -> Iterator[Place]:
    yield 0, min(size, END)
    evenly = (size * number // EVENLY // 4096 * 4096 for number in range(1, EVENLY))
    groups = (_EXT_GROUP * number for number in _EXT_COPIES)
    last = size - END
    for at in sorted({*evenly, *groups, *COPIES}):
        if END <= at <= last - SHORT:
            yield at, SHORT
    if last > 0:
        yield max(last, END), size - max(last, END)

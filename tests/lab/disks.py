"""What is on the lab's disks, whatever they are called: told by their files and not by machines."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcloud.lab import Lab, Machine
from mcloud.lab.disks import image

BLOCK = 4096
SOMEBODYS = b"somebody's data\n" * 256
"""One block of a file that nobody but its owner may touch."""


def give_to_somebody(machine: Machine, disk: str, *, file_system: str = "ext4") -> None:
    """Make a file system with somebody's file on a disk, as an operator would; `local` is its label."""
    make = {
        "ext4": "mkfs.ext4 -q -F -L local",
        "btrfs": "mkfs.btrfs -q -f -L local",
    }[file_system]
    script = f"{make} /dev/{disk} && mount /dev/{disk} /mnt && cat > /mnt/data && umount /mnt"
    machine.run(["sh", "-c", script], input=SOMEBODYS.decode() * 16, timeout=60)


def contents(lab: Lab, machine: str) -> Mapping[str, str]:
    """Return a digest of what is on each disk of a machine, by its name when the lab was made."""
    layout = lab.layout().machine(machine)
    if lab.machine(machine).pid is not None:
        for disk in layout.disks:  # what the kernel has not yet written through
            lab.machine(machine).run(["blockdev", "--flushbufs", f"/dev/{disk.name}"], check=False)
    return {disk.unit: _digest(image(lab.name, layout, disk.name)) for disk in layout.disks}


def _digest(file: Path) -> str:
    """Return a digest of what is not zeros, with its place; "" if all is."""
    digest, empty = hashlib.sha256(), True
    with file.open("rb") as opened:
        for start, end in _extents(opened.fileno()):
            for at in range(start, end, BLOCK):
                block = os.pread(opened.fileno(), BLOCK, at)
                if block.strip(b"\0"):
                    digest.update(at.to_bytes(8) + block)
                    empty = False
    return "" if empty else digest.hexdigest()


def _extents(file: int) -> Iterator[tuple[int, int]]:
    """Yield where a sparse file has anything, in bytes (lseek(2), SEEK_DATA)."""
    at = 0
    while True:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing comes any more
            return
        at = os.lseek(file, start, os.SEEK_HOLE)
        yield start, at

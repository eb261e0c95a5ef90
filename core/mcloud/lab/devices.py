"""The program inside a lab machine that makes its disks' nodes and links, and does for them what udev would.

It runs as the machine's first service, alone and without the rest of mcloud. It touches the loop devices
named in its file and nothing else: a real udevd would make nodes for the disks of the host.
"""

import ctypes
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

LOOP_MAJOR = 7  # Linux, Documentation/admin-guide/devices.txt
IN_CLOSE_WRITE = 0x8  # inotify(7)
LINKS = Path("/dev/disk")


def main(file: str) -> None:
    """Make nodes and links, say so to systemd, then follow what is written on the disks."""
    disks: dict[str, dict[str, object]] = json.loads(Path(file).read_text())
    for name, disk in disks.items():
        _make_node(Path("/dev", name), int(str(disk["major"])), int(str(disk["minor"])))
        _link(LINKS / "by-id" / str(disk["id"]), name)
    links = {name: _follow(name, set()) for name in disks}
    watch, names = _watch(disks)
    _ready()
    while True:
        for name in _written(watch, names):
            links[name] = _follow(name, links[name])


def _make_node(node: Path, major: int, minor: int) -> None:
    if major != LOOP_MAJOR:
        raise SystemExit(f"{node}: {major}:{minor} is not the lab's device")
    node.unlink(missing_ok=True)
    os.mknod(node, 0o60660, os.makedev(major, minor))
    os.chown(node, 0, _group("disk"))
    node.chmod(0o660)


def _group(name: str) -> int:
    for line in Path("/etc/group").read_text().splitlines():
        found, _, number, *_ = line.split(":")
        if found == name:
            return int(number)
    return 0


def _link(link: Path, name: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../{name}")


def _follow(name: str, before: set[Path]) -> set[Path]:
    """Make the links that fit what is on the disk now; `before` are those made last time."""
    said = subprocess.run(
        ["/usr/sbin/blkid", "--probe", "--output", "export", f"/dev/{name}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    wanted = {
        LINKS / folder / found[key]
        for folder, key in (("by-uuid", "UUID"), ("by-label", "LABEL"))
        if key in found and "/" not in found[key]
    }
    for link in before - wanted:
        link.unlink(missing_ok=True)
    for link in wanted - before:
        _link(link, name)
    return wanted


def _watch(disks: Iterable[str], folder: Path = Path("/dev")) -> tuple[int, dict[int, str]]:
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_CLOEXEC)
    names = {
        libc.inotify_add_watch(watch, os.fsencode(folder / name), IN_CLOSE_WRITE): name for name in disks
    }
    if watch < 0 or -1 in names:
        raise OSError(ctypes.get_errno(), "inotify")
    return watch, names


def _written(watch: int, names: dict[int, str]) -> set[str]:
    """Wait until something closes a disk that it had open for writing; return the disks' names."""
    select.select([watch], [], [])
    events = os.read(watch, 4096)
    numbers = [int.from_bytes(events[at : at + 4], sys.byteorder) for at in range(0, len(events), 16)]
    return {names[number] for number in numbers if number in names}


def _ready() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


if __name__ == "__main__":
    main(sys.argv[1])

"""The program inside a lab machine that makes its disks' nodes and links, and does for them what udev would.

It runs as the machine's first service, alone and without the rest of mcloud. It touches the loop devices
named in its file and nothing else: a real udevd would make nodes for the disks of the host.
"""

import ctypes
import hashlib
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
UDEV = Path("/run/udev/data")
"""What udev knows of devices: a file each, `b7:3`, with `E:KEY=VALUE` (systemd, src/libsystemd/sd-device)."""
MODEL = "LAB_DISK"

Disk = dict[str, object]


def main(file: str) -> None:
    """Make nodes and links, say so to systemd, then follow what is written on the disks."""
    disks: dict[str, Disk] = json.loads(Path(file).read_text())
    _clear_links(set(disks))
    for name, disk in disks.items():
        _make_node(Path("/dev", name), int(str(disk["major"])), int(str(disk["minor"])))
        _link(LINKS / "by-path" / f"lab-{name}", name)
        if disk["serial"]:
            _link(LINKS / "by-id" / f"lab-{disk['serial']}", name)
    links = {name: _follow(name, disk, set()) for name, disk in disks.items()}
    watch, names = _watch(disks)
    _ready()
    while True:
        for name in _written(watch, names):
            links[name] = _follow(name, disks[name], links[name])


def _make_node(node: Path, major: int, minor: int) -> None:
    if major != LOOP_MAJOR:
        raise SystemExit(f"{node}: {major}:{minor} is not the lab's device")
    if node.is_block_device() and node.stat().st_rdev == os.makedev(major, minor):
        return  # in the middle of a boot: whoever has it open or locked is known by this very node
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


def _clear_links(names: set[str]) -> None:
    """Take away what an earlier start of this program in the same boot linked to the disks."""
    for link in LINKS.glob("*/*"):
        if link.is_symlink() and link.readlink().name in names:
            link.unlink()


def _link(link: Path, name: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../{name}")


def _follow(name: str, disk: Disk, before: set[Path]) -> set[Path]:
    """Make links and udev's file fit what is on the disk now; `before` are the links made last time."""
    said = subprocess.run(
        ["/usr/sbin/blkid", "--probe", "--output", "udev", f"/dev/{name}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    wanted = {
        LINKS / folder / found[key]
        for folder, key in (("by-uuid", "ID_FS_UUID"), ("by-label", "ID_FS_LABEL"))
        if key in found and "/" not in found[key]
    }
    for link in before - wanted:
        link.unlink(missing_ok=True)
    for link in wanted - before:
        _link(link, name)
    _tell(f"b{disk['major']}:{disk['minor']}", _identity(str(disk["serial"])) | found)
    return wanted


def _identity(serial: str) -> dict[str, str]:
    """Return what udev's rules ask a disk itself; nothing of a disk that does not tell."""
    if not serial:
        return {}
    # The first digit is NAA 5, as of disks that a maker numbered (SPC-4, 7.8.6.5).
    wwn = f"0x5{hashlib.sha256(serial.encode()).hexdigest()[:15]}"
    return {
        "ID_MODEL": MODEL,
        "ID_SERIAL": f"{MODEL}_{serial}",
        "ID_SERIAL_SHORT": serial,
        "ID_WWN": wwn,
    }


def _tell(device: str, properties: dict[str, str]) -> None:
    UDEV.mkdir(parents=True, exist_ok=True)
    new = UDEV / f".{device}"
    new.write_text("".join(f"E:{key}={value}\n" for key, value in properties.items()))
    new.replace(UDEV / device)


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

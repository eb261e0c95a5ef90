"""The lab's disks: sparse files behind loop devices, the only block devices its machines ever see."""

import json
import os
import time
from pathlib import Path

from mcloud.errors import ServiceError
from mcloud.lab.commands import execute, succeeds
from mcloud.lab.layout import IMAGES, MachineLayout

PATIENCE = 20  # seconds until a loop device is let go by the kernel


def image(lab: str, machine: MachineLayout, name: str) -> Path:
    """Return the file that holds the content of the disk that has this name now."""
    return IMAGES / lab / f"{machine.name}-{machine.disk(name).unit}.img"


def attach(lab: str, machine: MachineLayout) -> dict[str, tuple[int, int]]:
    """Make what is missing of a machine's disks; return the device numbers by disk name."""
    (IMAGES / lab).mkdir(parents=True, exist_ok=True, mode=0o700)
    attached = _attached(lab)
    numbers: dict[str, tuple[int, int]] = {}
    for disk in machine.disks:
        file = image(lab, machine, disk.name)
        if not file.exists():
            execute(["truncate", "--size", disk.size, str(file)])
        device = attached.get(str(file)) or execute(["losetup", "--find", "--show", str(file)]).strip()
        number = Path(device).stat().st_rdev
        numbers[disk.name] = (os.major(number), os.minor(number))
    return numbers


def detach(lab: str) -> None:
    """Take away all loop devices and files of a lab; what still holds one is waited for."""
    deadline = time.monotonic() + PATIENCE
    while devices := _attached(lab):
        for device in devices.values():
            succeeds(["losetup", "--detach", device])
        if not _attached(lab):
            break
        if time.monotonic() > deadline:
            raise ServiceError(
                f"still in use: {', '.join(devices.values())}",
                hint="see who holds them (lsof), then `lab down` again",
            )
        time.sleep(0.1)
    for file in (IMAGES / lab).glob("*.img"):
        file.unlink()
    if (IMAGES / lab).exists():
        (IMAGES / lab).rmdir()


def fail(lab: str, machine: MachineLayout, disk: str) -> None:
    """Let a disk die: from now on nothing on it can be reached, reading and writing fail."""
    _resize(lab, machine, disk, "0")


def renew(lab: str, machine: MachineLayout, disk: str) -> None:
    """Put an empty disk of the same size in the place of another, which may have failed before."""
    for size in ("0", machine.disk(disk).size):
        _resize(lab, machine, disk, size)


def _resize(lab: str, machine: MachineLayout, disk: str, size: str) -> None:
    """Change a disk's size under whoever uses it: what lies behind its end cannot be reached."""
    file = image(lab, machine, disk)
    device = _attached(lab).get(str(file))
    if device is None:
        raise ServiceError(f"{machine.name} was never on", hint=f"mcloud lab boot {machine.name}")
    execute(["truncate", "--size", size, str(file)])
    execute(["losetup", "--set-capacity", device])


def _attached(lab: str) -> dict[str, str]:
    listed = execute(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"])
    devices = json.loads(listed)["loopdevices"] if listed.strip() else []
    own = f"{IMAGES / lab}/"
    return {
        file.removesuffix(" (deleted)"): device["name"]
        for device in devices
        if (file := device["back-file"] or "").startswith(own)
    }

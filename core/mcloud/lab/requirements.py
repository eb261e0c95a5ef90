"""What the lab needs of this machine: root, a few packages, and kernel limits that bear several inits."""

import os
import shutil
from pathlib import Path

from mcloud.errors import McloudError

PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "losetup": "mount",
    "ip": "iproute2",
    "nft": "nftables",
    "ethtool": "ethtool",
    "/lib/systemd/systemd": "systemd-sysv",
    "dbus-daemon": "dbus",
}
FOLDERS = (Path("/usr"), Path("/etc"), Path("/var"), Path("/root"))
# One user's limits are shared by all machines of all labs.
LIMITS = {
    "fs/inotify/max_user_instances": 4096,
    "kernel/keys/maxkeys": 2000,
    "fs/aio-max-nr": 1048576,  # what the package ceph-osd sets on a real machine
}


def check_root() -> None:
    """Refuse to go on as anybody but root."""
    if os.geteuid() != 0:
        raise McloudError("the lab makes namespaces, mounts and loop devices", hint="run it as root")


def check() -> None:
    """Refuse to go on where something is missing, with the command that installs all of it."""
    check_root()
    missing = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if missing:
        raise McloudError(
            f"missing packages: {', '.join(missing)}",
            hint=f"apt-get install --no-install-recommends {' '.join(missing)}",
        )
    _check_file_system()


def _check_file_system() -> None:
    root = Path("/").stat().st_dev
    elsewhere = [str(folder) for folder in FOLDERS if folder.stat().st_dev != root]
    if elsewhere:
        raise McloudError(
            f"{', '.join(elsewhere)}: not on the root file system, of which the machines are copies",
            hint="use a machine with one file system for all of these",
        )


def raise_kernel_limits() -> None:
    """Raise what would run out with a few inits on one kernel; a limit already higher stays."""
    for name, least in LIMITS.items():
        file = Path("/proc/sys", name)
        if file.exists() and int(file.read_text()) < least:
            file.write_text(str(least))

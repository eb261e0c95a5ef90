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
# One user's limits are shared by all machines of all labs.
LIMITS = {"fs/inotify/max_user_instances": 4096, "kernel/keys/maxkeys": 2000}


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


def raise_kernel_limits() -> None:
    """Raise what would run out with a few inits on one kernel; a limit already higher stays."""
    for name, least in LIMITS.items():
        file = Path("/proc/sys", name)
        if file.exists() and int(file.read_text()) < least:
            file.write_text(str(least))

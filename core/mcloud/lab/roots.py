"""A machine's file system: this machine's own, copy on write, with what must differ made different."""

import json
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path

from mcloud.lab.commands import execute, succeeds
from mcloud.lab.layout import STATE, Layout, MachineLayout

# What a cloud is made of stays enabled, as its packages left it; whatever else the host runs does not.
SERVICES = re.compile(r"(lxd|lxcfs|ceph|rbdmap|ovn|ovs|openvswitch)[.@-].*|dbus[.-].*")
# Kernel-wide, about hardware, or slow and of no use here. udevd above all: it would make nodes for
# the disks of the host.
MASKED = (
    *("systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket"),
    *("systemd-udev-trigger.service", "systemd-udev-settle.service", "systemd-modules-load.service"),
    *("systemd-sysctl.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("sys-kernel-config.mount", "systemd-firstboot.service", "systemd-repart.service"),
    *("systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-random-seed.service"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-logind.service"),
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service"),
    *("systemd-resolved.service", "systemd-hostnamed.service", "networking.service"),
    *("systemd-ask-password-wall.path", "systemd-journald-audit.socket"),
    *("getty.target", "getty-static.service", "console-getty.service"),
)
DEVICES = "mcloud-lab-devices.service"
UNIT = """\
[Unit]
Description=Disk nodes and links of the lab
DefaultDependencies=no
Before=sysinit.target local-fs-pre.target systemd-tmpfiles-setup-dev.service
[Service]
Type=notify
ExecStart={python} -I -S {folder}/devices.py {folder}/disks.json
[Install]
WantedBy=sysinit.target
"""
PATIENCE = 5
"""Seconds until what keeps a mount busy is taken for something that stays."""

FOLDER = Path("usr/local/lib/mcloud-lab")

HIDDEN = (Path("var/lib/mcloud"), Path("var/log/journal"))
"""What this machine has, or may come to have later, and none of the lab's machines sees."""


def root(lab: str, machine: str) -> Path:
    """Return where a machine's file system is mounted."""
    return STATE / lab / "machines" / machine / "root"


def make_state(lab: str) -> None:
    """Make the lab's state folder: a tmpfs, since an overlay's upper layer must not lie on its lower one."""
    folder = STATE / lab
    folder.mkdir(mode=0o700)
    execute(["mount", "-t", "tmpfs", "-o", "mode=0700,size=75%", f"mcloud-lab-{lab}", str(folder)])


def build(layout: Layout, machine: MachineLayout) -> None:
    """Mount a machine's file system and make it a machine of its own."""
    top = root(layout.name, machine.name)
    for folder in ("upper", "work", "root"):
        (top.with_name(folder)).mkdir(parents=True, exist_ok=True)
    for path in HIDDEN:
        _hide(top.with_name("upper"), path)
    layers = f"lowerdir=/,upperdir={top.with_name('upper')},workdir={top.with_name('work')}"
    execute(["mount", "-t", "overlay", f"mcloud-lab-{machine.name}", "-o", layers, str(top)])
    _write_identity(top, layout, machine)
    _mask(top)
    _install_devices(top)


def write_disks(lab: str, machine: MachineLayout, numbers: dict[str, tuple[int, int]]) -> None:
    """Tell the machine's first service which device numbers its disks have in this boot."""
    disks = {
        name: {"major": major, "minor": minor, "serial": machine.disk(name).serial}
        for name, (major, minor) in numbers.items()
    }
    (root(lab, machine.name) / FOLDER / "disks.json").write_text(json.dumps(disks) + "\n")


def search_path() -> str:
    """Return PATH for commands inside: the folder of the interpreter that runs this, then the usual ones."""
    return f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment() -> dict[str, str]:
    """Return the environment of commands inside: a root login's, nothing of the caller's."""
    person = {"HOME": "/root", "USER": "root", "LOGNAME": "root"}
    return {"PATH": search_path(), "LANG": "C.UTF-8", "TERM": "dumb", **person}


def shared() -> list[Path]:
    """Return the folders that every machine sees as they are here, read only.

    These are the sources of mcloud that are no part of an installation (on an overlay, a file changed
    below is not always seen above), and a Python that the machine's own file system does not show.
    """
    prefixes = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    folders = [Path(entry).resolve() for entry in sys.path if entry]
    sources = {
        folder
        for folder in folders
        if any(folder.glob("mcloud*/")) and not any(folder.is_relative_to(prefix) for prefix in prefixes)
    }
    return sorted(sources | {prefix for prefix in prefixes if _is_hidden(prefix)})


def _is_hidden(folder: Path) -> bool:
    covered = any(folder.is_relative_to(place) for place in ("/tmp", "/run", "/dev"))  # noqa: S108 - by a tmpfs
    return covered or folder.stat().st_dev != Path("/").stat().st_dev


def _write_identity(top: Path, layout: Layout, machine: MachineLayout) -> None:
    hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    hosts += [f"{other.address} {other.name}" for other in layout.machines]
    contents = {
        "etc/hostname": machine.name,
        "etc/hosts": "\n".join(hosts),
        "etc/fstab": "# a lab machine mounts nothing of its own",
        "etc/tmpfiles.d/tmp.conf": "# /tmp is new in every boot, and sources may be mounted in it",
        "etc/profile.d/mcloud-lab.sh": f'PATH="{search_path()}"',
    }
    for path, text in contents.items():
        _replace(top / path, text + "\n")
    _replace(top / "etc/machine-id", "")  # empty: systemd gives each machine its own
    (top / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (top / "usr/sbin/policy-rc.d").unlink(missing_ok=True)  # on a real machine, services may start


def _hide(upper: Path, path: Path) -> None:
    """Let something not be there, whether or not the layer below has it, or gets it while the lab is up."""
    for folder in reversed(path.parents[:-1]):
        (upper / folder).mkdir(exist_ok=True)
        like = Path("/", folder).stat()  # the upper layer's owner and mode are those that are seen
        os.chown(upper / folder, like.st_uid, like.st_gid)
        (upper / folder).chmod(stat.S_IMODE(like.st_mode))
    # A whiteout (Linux, Documentation/filesystems/overlayfs.rst).
    os.mknod(upper / path, stat.S_IFCHR, os.makedev(0, 0))


def _mask(top: Path) -> None:
    units = top / "etc/systemd/system"
    enabled = {link.name for kind in ("wants", "requires") for link in units.glob(f"*.{kind}/*")}
    # Old init scripts, for which systemd makes units: S01cron.
    enabled |= {f"{script.name[3:]}.service" for script in top.glob("etc/rc[S2-5].d/S[0-9][0-9]*")}
    unrelated = {name for name in enabled if not SERVICES.fullmatch(name) and not name.endswith(".target")}
    for name in unrelated | set(MASKED):
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")


def _install_devices(top: Path) -> None:
    folder = top / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("devices.py"), folder / "devices.py")
    unit = top / "etc/systemd/system" / DEVICES
    _replace(unit, UNIT.format(python=os.path.realpath(sys.executable), folder=f"/{FOLDER}"))
    wants = unit.parent / "sysinit.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / unit.name).symlink_to(f"../{unit.name}")


def _replace(file: Path, text: str) -> None:
    # Never through a link: /etc/hosts and the like may point elsewhere.
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(text)


def drop(lab: str) -> None:
    """Unmount everything under the lab's state folder, its own tmpfs included, and remove the folder."""
    folder = STATE / lab
    deadline = time.monotonic() + PATIENCE
    while _has_mounts(folder):
        if succeeds(["umount", "--recursive", str(folder)]):
            continue
        if time.monotonic() > deadline:  # a shell of the host may stand in it
            execute(["umount", "--recursive", "--lazy", str(folder)])
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def _has_mounts(folder: Path) -> bool:
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return any(Path(place).is_relative_to(folder) for place in places)

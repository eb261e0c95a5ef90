"""LXD on this machine as a service of the system: its units, and how to empty it."""

from collections.abc import Callable
from contextlib import suppress

from mcloud import CommandError, Host, ServiceError, StepContext
from mcloud_lxd.client import SNAP_SOCKET, socket_path

FOLDER = "/var/lib/lxd"
"""Where Debian's LXD keeps everything; the package makes it."""

UNITS = ("lxd.socket", "lxd-containers.service")
"""What starts LXD: on the first call, and at boot if it is clustered or has instances to start."""

STOPS = 3
"""How often LXD is stopped, if it is started anew meanwhile."""

_LEFT_RUNNING = (
    r"^dnsmasq .*/var/lib/lxd/networks/|^/usr/bin/lxd fork|^\S*qemu-system-\S+ .*-readconfig /var/log/lxd/"
)
"""Command lines of what LXD's unit leaves running when it stops (`KillMode=process`)."""

_MONITOR = r"^\[lxc monitor\] /var/lib/lxd/containers"
"""Command line of the parent of a container's first process."""


def is_snap(host: Host) -> bool:
    """Whether the LXD that is here is the snap's; snapd looks after its units."""
    return socket_path(host) == SNAP_SOCKET


def pool_folder(host: Host, name: str) -> str:
    """Return where LXD keeps, or mounts, a storage pool."""
    return f"{socket_path(host).rpartition('/')[0]}/storage-pools/{name}"


def clear_half_made(ctx: StepContext, pool: str) -> None:
    """Remove the folder of a pool that LXD began to make in an earlier try and knows nothing of any more.

    A power cut in the middle leaves it so, and LXD makes no pool where there is a folder of its name. One
    that was there before the first try is left alone.
    """
    folder = pool_folder(ctx.host, pool)
    there = ctx.host.stat(folder) is not None
    if ctx.keep(f"folder {pool}", "there" if there else "") or not there:
        return
    ctx.report(f"{folder} is left of an earlier try; it is removed")
    ctx.host.run(["umount", folder], check=False)
    ctx.host.run(["rm", "-rf", "--one-file-system", folder])


def switch_on(host: Host) -> None:
    """See that LXD runs, now and after every boot."""
    if is_snap(host):
        return
    shown = host.run(["systemctl", "show", "--property=UnitFileState,ActiveState", *UNITS]).stdout
    if shown.count("UnitFileState=enabled") < len(UNITS) or shown.count("ActiveState=active") < len(UNITS):
        # A start limit reached by earlier failures would refuse the start for good.
        host.run(["systemctl", "reset-failed", *UNITS, "lxd.service"], check=False)
        host.run(["systemctl", "enable", "--now", *UNITS])


def restart(host: Host) -> None:
    """Start LXD anew; instances run on."""
    if is_snap(host):
        host.run(["systemctl", "reload", "snap.lxd.daemon.service"], seconds=90)
    else:
        host.run(["systemctl", "restart", "lxd.service"], seconds=90)


def empty(host: Host, dismantle: Callable[[Host], None]) -> None:
    """Make LXD what it was when it was installed: no cluster, instances, pools, networks, keys.

    Asks nobody: a member without quorum answers nothing, and this has to work on it. What instances
    held on this machine is lost. `dismantle` is called when LXD has stopped and nothing of it is
    mounted. Raises ServiceError if something still is.
    """
    if is_snap(host):
        raise ServiceError(
            "the snap's LXD cannot be emptied from outside",
            hint="`snap remove --purge lxd`, then `snap install lxd`",
        )
    stop(host)
    bridges = _own_bridges(host)
    _end_processes(host)
    _unmount(host)
    dismantle(host)
    # Before the files, which tell which bridges are LXD's.
    _remove_bridges(host, bridges)
    names = host.list(FOLDER)
    host.run(["rm", "-rf", "--one-file-system", *(f"{FOLDER}/{name}" for name in names)], seconds=120)
    host.run(["systemctl", "reset-failed", *UNITS, "lxd.service"], check=False)
    host.run(["systemctl", "start", *UNITS])


def stop_kindly(host: Host) -> None:
    """Stop an LXD without instances in good order, and what would start it."""
    host.run(["systemctl", "stop", *UNITS, "lxd.service"], seconds=90)


def stop(host: Host) -> None:
    """Stop LXD at once: asked kindly, one without quorum takes the 30 s that its unit allows.

    The socket goes last: it takes lxd-containers.service along, which asks a running LXD to stop
    all instances, and waits ten minutes for that.
    """
    for _ in range(STOPS):
        # Who calls its socket at this moment starts it anew, and that cancels the stop.
        host.run(["systemctl", "stop", "--no-block", "lxd.service"], check=False)
        host.run(["systemctl", "kill", "--kill-who=main", "--signal=KILL", "lxd.service"], check=False)
        if host.run(["systemctl", "stop", "lxd.service"], check=False, seconds=90).ok:
            break
    host.run(["systemctl", "stop", *UNITS], seconds=90)
    host.run(["systemctl", "stop", "lxd.service"], seconds=90)


def _end_processes(host: Host) -> None:
    """End instances and what serves them; LXD's unit leaves all of that running."""
    monitors = host.run(["pgrep", "-f", _MONITOR], check=False).stdout.split()
    if monitors:
        first = host.run(["pgrep", "--parent", ",".join(monitors)], check=False).stdout.split()
        # The monitor first: it would give the interfaces back to the machine, and call an LXD that is gone.
        host.run(["kill", "-KILL", *monitors, *first], check=False)
        for pid in first:
            wait = ["tail", "--sleep-interval=0.1", f"--pid={pid}", "--follow", "/dev/null"]
            host.run(wait, check=False, seconds=30)
    # Only in our own namespace: an LXD inside a container of somebody else's is not ours.
    host.run(["pkill", "-KILL", "--ns", "1", "--nslist", "pid", "-f", _LEFT_RUNNING], check=False)


def _unmount(host: Host) -> None:
    """Unmount all that LXD mounted below its folder, the innermost first."""
    for path in reversed(_mounts(host)):
        if not _is_unmounted(host, path):
            host.run(["umount", "--lazy", path], check=False)
    if left := _mounts(host):
        raise ServiceError(
            f"cannot unmount {', '.join(left)} on {host.name}",
            hint="see who uses it with `fuser -vm`, end that, then run the same command again",
        )


def _is_unmounted(host: Host, path: str) -> bool:
    """Unmount one path; False if it is busy, or on storage that does not answer any more."""
    try:
        return host.run(["umount", path], check=False, seconds=15).ok
    except CommandError:
        return False


def _mounts(host: Host) -> list[str]:
    shown = host.run(["findmnt", "--raw", "--noheadings", "--output", "TARGET"]).stdout
    return [path for path in shown.splitlines() if path.startswith(f"{FOLDER}/")]


def _own_bridges(host: Host) -> list[str]:
    """Return the interfaces of LXD's own networks: each has a folder, its OVN uplinks `lxdovn*`."""
    return [
        name
        for name in host.list(f"{FOLDER}/networks")
        if host.stat(f"/sys/class/net/{name}/bridge") is not None
    ]


def _remove_bridges(host: Host, names: list[str]) -> None:
    for name in names:
        host.run(["ip", "link", "delete", name], check=False)
    # No nft, no Open vSwitch, or none that answers: then there is nothing of ours in it.
    with suppress(ServiceError):
        host.run(["nft", "delete", "table", "inet", "lxd"], check=False, seconds=10)
    with suppress(ServiceError):
        for name in switches(host):
            host.run([*_vsctl(host), "--if-exists", "del-br", name], check=False, seconds=10)


def switches(host: Host) -> list[str]:
    """Return the bridges in Open vSwitch that LXD made for its uplinks; ServiceError without it."""
    listed = host.run([*_vsctl(host), "list-br"], check=False, seconds=10).stdout
    return [name for name in listed.split() if name.startswith("lxdovn")]


def _vsctl(host: Host) -> tuple[str, str]:
    return "ovs-vsctl", f"--timeout={max(1, 5 * host.stretch):.0f}"

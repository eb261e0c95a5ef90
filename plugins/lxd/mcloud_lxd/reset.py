"""Steps of `mcloud reset`: LXD is empty again on this machine, without being asked."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from mcloud import (
    Disk,
    DiskChoice,
    Host,
    NetworkAccess,
    NetworkUplink,
    Node,
    Offer,
    ServiceError,
    Step,
    StepContext,
    StorageAccess,
    StoragePool,
    VirtualNetworks,
    wipe_disk,
)
from mcloud_lxd.choice import LOCAL
from mcloud_lxd.client import SNAP_SOCKET
from mcloud_lxd.disk import close, release
from mcloud_lxd.machine import FOLDER, empty, switches
from mcloud_lxd.settings import LxdNode

DRIVERS = {"btrfs": "btrfs", "zfs_member": "zfs", "LVM2_member": "lvm"}
"""LXD's storage drivers that take disks, by the type blkid(8) gives to such a disk."""

_SNAPS = SNAP_SOCKET.rpartition("/")[0]

_READ = """
import json, sqlite3, sys
with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=3) as database:
    ask = lambda words: [list(row) for row in database.execute(words)]
    print(json.dumps([ask("SELECT key, value FROM config"), ask("SELECT name FROM raft_nodes")]))
"""
"""LXD's database of one member (internal/server/db/node/schema.go), read while nobody answers."""


def steps(node: Node, own: LxdNode | None, *, wipe: bool) -> Iterator[Step]:
    """Yield all that ends LXD's part here, before the services that it uses."""
    given = own.disk if own is not None else None
    yield Step(
        name="server",
        run=partial(_empty, node.survey.disks, given, wipe=wipe),
        probe=_used,
        wants=(StoragePool, StorageAccess, NetworkUplink, VirtualNetworks, NetworkAccess),
        destroys=(
            "all that LXD holds on this machine: instances, images, volumes, profiles, projects, settings",
        ),
    )
    yield Step(
        name="disks",
        run=partial(_wipe, node.survey.disks, given),
        probe=partial(_disks, node.survey.disks, given, wipe=wipe),
        destroys=("all that LXD keeps on the disks named above",),
    )


# ---- the server ------------------------------------------------------------------------------------------


def _used(ctx: StepContext) -> Sequence[Offer] | None:
    host = ctx.host
    folder = _SNAPS if host.stat(SNAP_SOCKET) is not None else FOLDER
    found = [*_cluster(host, folder), *_contents(host, folder)]
    with suppress(ServiceError):  # no Open vSwitch here
        found += [f"bridge {name} in Open vSwitch" for name in switches(host)]
    for line in found:
        ctx.report(line)
    return None if found else ()


def _cluster(host: Host, folder: str) -> Iterator[str]:
    """Yield what this LXD's own database says, without LXD."""
    clustered = host.stat(f"{folder}/cluster.crt") is not None
    settings, names = list[str](), list[str]()
    if host.stat(f"{folder}/database/local.db") is not None:
        try:
            read = host.run([sys.executable, "-I", "-c", _READ, f"{folder}/database/local.db"], seconds=20)
            config, members = json.loads(read.stdout)
            settings = [f"{key} {value}" for key, value in config]
            names = sorted(name for (name,) in members if name)
        except (ServiceError, ValueError):
            yield f"{folder}/database, which cannot be read"
    if clustered:
        yield "membership in a cluster" + (f" of {', '.join(names)}" if names else "")
    if settings:
        yield f"settings: {', '.join(settings)}"


def _contents(host: Host, folder: str) -> Iterator[str]:
    """Yield what LXD has on this machine, by the names of its folders."""
    kinds = {"containers": "containers", "virtual-machines": "virtual machines", "networks": "networks"}
    for place, kind in kinds.items():
        if names := host.list(f"{folder}/{place}"):
            yield f"{kind} {', '.join(names)}"
    for pool in host.list(f"{folder}/storage-pools"):
        volumes = host.list(f"{folder}/storage-pools/{pool}/custom")
        yield f"pool {pool}" + (f" with volumes {', '.join(volumes)}" if volumes else "")


def _empty(disks: Sequence[Disk], given: DiskChoice | None, ctx: StepContext, *, wipe: bool) -> None:
    pools = {*ctx.host.list(f"{FOLDER}/storage-pools"), LOCAL}

    def dismantle(host: Host) -> None:
        for driver in set(DRIVERS.values()):
            for pool in pools:
                with suppress(ServiceError):  # no such pool, or not of this driver: its tools may not be here
                    release(host, driver, None, pool=pool)
        found = _of_pools(host, disks, given, pools)
        for driver, pool in found.values():
            with suppress(ServiceError):
                close(host, driver, pool)
        if wipe:
            _wipe_all(host, found)

    # While it is here, it tells which disks were LXD's; so it goes last.
    empty(ctx.host, dismantle)


# ---- disks -----------------------------------------------------------------------------------------------


def _of_pools(
    host: Host, disks: Sequence[Disk], given: DiskChoice | None, pools: set[str]
) -> Mapping[str, tuple[str, str]]:
    """Return driver and pool by disk: of the one that was given to us, and of those with a pool's label.

    A label alone does not make a disk ours: its name has to be that of a pool LXD has here, or the
    disk has to be the one that this machine gave.
    """
    found = {}
    for disk in disks:
        named = given is not None and (given.path == disk.device or given.path in disk.links)
        wanted = pools if named else pools & set(host.list(f"{FOLDER}/storage-pools"))
        driver, pool = _label(host, disk.device)
        if driver and (pool in wanted):
            found[disk.device] = (driver, pool)
    return found


def _label(host: Host, path: str) -> tuple[str, str]:
    """Return the driver that a disk is of, and the name of the pool; empty if it is of none."""
    said = host.run(["blkid", "-p", "-o", "export", path], check=False, seconds=20).stdout
    fields = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    driver = DRIVERS.get(fields.get("TYPE", ""), "")
    if driver != "lvm":
        return driver, fields.get("LABEL", "").replace("\\\\ ", " ")
    asked = ["pvs", "--noheadings", "--options", "vg_name", path]
    with suppress(ServiceError):
        return driver, host.run(asked, check=False, seconds=20).stdout.strip()
    return driver, ""


def _disks(
    disks: Sequence[Disk], given: DiskChoice | None, ctx: StepContext, *, wipe: bool
) -> Sequence[Offer] | None:
    found = _of_pools(ctx.host, disks, given, {*ctx.host.list(f"{FOLDER}/storage-pools"), LOCAL})
    for path, (driver, pool) in found.items():
        what = f"a part of LXD's pool {pool} ({driver})"
        ctx.report(f"{path}: {what}" if wipe else f"{path} still holds {what}: --wipe-disks wipes it")
    return None if found and wipe else ()


def _wipe(disks: Sequence[Disk], given: DiskChoice | None, ctx: StepContext) -> None:
    _wipe_all(ctx.host, _of_pools(ctx.host, disks, given, {LOCAL}))


def _wipe_all(host: Host, found: Mapping[str, tuple[str, str]]) -> None:
    failed = []
    for path, (driver, pool) in found.items():
        try:
            release(host, driver, DiskChoice(path=path), pool=pool)
            wipe_disk(host, path)
        except ServiceError as error:
            failed.append(f"{path}: {error}")
    if failed:
        raise ServiceError("; ".join(failed), hint="`lsblk` and `fuser -vm` tell who uses a disk; end that")

"""Steps of `mcloud reset`: LXD is empty again on this machine, without being asked."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from mcloud import (
    Bears,
    DiskFound,
    Host,
    NetworkAccess,
    NetworkUplink,
    Offer,
    ServiceError,
    Step,
    StepContext,
    StorageAccess,
    StoragePool,
    VirtualNetworks,
    disks_bearing,
)
from mcloud_lxd.choice import LOCAL
from mcloud_lxd.client import SNAP_SOCKET
from mcloud_lxd.disk import DRIVERS, close, close_file, pool_on, release
from mcloud_lxd.machine import FOLDER, empty, switches

_SNAPS = SNAP_SOCKET.rpartition("/")[0]

_READ = """
import json, sqlite3, sys
with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=3) as database:
    ask = lambda words: [list(row) for row in database.execute(words)]
    print(json.dumps([ask("SELECT key, value FROM config"), ask("SELECT name FROM raft_nodes")]))
"""
"""LXD's database of one member (internal/server/db/node/schema.go), read while nobody answers."""


def steps(*, wipe: bool) -> Iterator[Step]:
    """Yield all that ends LXD's part here, before the services that it uses."""
    yield Step(
        name="server",
        run=partial(_empty, wipe=wipe),
        probe=_used,
        wants=(StoragePool, StorageAccess, NetworkUplink, VirtualNetworks, NetworkAccess),
        destroys=(
            "all that LXD holds on this machine: instances, images, volumes, profiles, projects, settings",
        ),
    )
    yield Step(
        name="disks",
        run=_wipe,
        probe=partial(_disks, wipe=wipe),
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


def _empty(ctx: StepContext, *, wipe: bool) -> None:
    pools = ctx.host.list(f"{FOLDER}/storage-pools")

    def dismantle(host: Host) -> None:
        for driver in sorted(set(DRIVERS.values())):
            for pool in {*pools, LOCAL}:
                close_file(host, driver, pool)
        found, _others = of_pools(host, pools)
        if wipe:
            release(host, partial(_is_one_of, found))
        else:
            for one in disks_bearing(host, partial(_is_one_of, found)):
                with suppress(ServiceError):
                    close(host, one)

    # While it is here, it tells which disks were LXD's; so it goes last.
    empty(ctx.host, dismantle)


# ---- disks -----------------------------------------------------------------------------------------------


def of_pools(
    host: Host, pools: Sequence[str]
) -> tuple[Mapping[str, tuple[str, str]], Mapping[str, tuple[str, str]]]:
    """Return driver and pool of disks by the id of what is on them: those of LXD's pools here, and others.

    A disk is LXD's if it bears the name of a pool that LXD has here, and no other disk does. One that bears
    the name of the pool we make, where LXD knows of none, is told as one of the others.
    """
    labels = {found.content.id: pool_on(host, found) for found in disks_bearing(host, _has_pool(host))}
    names = [pool for _driver, pool in labels.values()]
    ours = {one: label for one, label in labels.items() if label[1] in pools and names.count(label[1]) == 1}
    others = {one: label for one, label in labels.items() if one not in ours and label[1] in {*pools, LOCAL}}
    return ours, others


def _has_pool(host: Host) -> Bears:
    return lambda found: bool(pool_on(host, found)[1])


def _is_one_of(ids: Mapping[str, object], found: DiskFound) -> bool:
    return bool(found.content.id) and found.content.id in ids


def _disks(ctx: StepContext, *, wipe: bool) -> Sequence[Offer] | None:
    host = ctx.host
    ours, others = of_pools(host, host.list(f"{FOLDER}/storage-pools"))
    for found in disks_bearing(host, partial(_is_one_of, {**ours, **others})):
        path, (driver, pool) = found.disk.device, {**ours, **others}[found.content.id]
        what = f"a part of LXD's pool {pool} ({driver})"
        if found.content.id in others:
            ctx.report(f"{path} holds a pool {pool} ({driver}) that is not surely LXD's here: it stays")
        else:
            ctx.report(f"{path}: {what}" if wipe else f"{path} still holds {what}: --wipe-disks wipes it")
    return None if ours and wipe else ()


def _wipe(ctx: StepContext) -> None:
    ours, _others = of_pools(ctx.host, ctx.host.list(f"{FOLDER}/storage-pools"))
    release(ctx.host, partial(_is_one_of, ours))

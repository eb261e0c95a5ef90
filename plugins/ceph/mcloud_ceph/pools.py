"""Steps for what clients use: the pool of block devices and the shared file system."""

from mcloud import ServiceError, Step, StepContext, StoragePool
from mcloud_ceph import client
from mcloud_ceph.layout import CLIENT, CLUSTER, DATA_POOL, FILESYSTEM, METADATA_POOL, POOL

PLACEMENT_GROUPS = "32"
"""Per pool to begin with, Ceph's own default; the autoscaler, which stays on, makes more with the data."""

_SURE = "--yes-i-really-really-mean-it"


def pool() -> Step:
    """Return the step that makes the pool of block devices."""
    return Step(
        name="pool",
        run=_make_pool,
        probe=_see_pool,
        undo=_drop_pool,
        offers=(StoragePool,),
        loses=(f"the pool {POOL} with every volume in it",),
    )


def filesystem() -> Step:
    """Return the step that makes the file system, out of a pool for its tree and one for its files."""
    return Step(
        name="filesystem",
        run=_make_filesystem,
        probe=_see_filesystem,
        undo=_drop_filesystem,
        offers=(StoragePool,),
        loses=(f"the file system {FILESYSTEM} with every file in it",),
    )


def _make_pool(ctx: StepContext) -> None:
    client.tell(ctx.host, [_create(POOL)])
    # Also marks the pool as one for block devices; both bear to be done again.
    ctx.host.run(["rbd", "pool", "init", POOL], seconds=60)


def _see_pool(ctx: StepContext) -> tuple[StoragePool] | None:
    pools = {pool["pool_name"]: pool for pool in client.ask(ctx.host, ["osd", "dump"])[0]["pools"]}
    if "rbd" not in pools.get(POOL, {}).get("application_metadata", {}):
        return None
    options = {
        "ceph.cluster_name": CLUSTER,
        "ceph.osd.pool_name": POOL,
        "ceph.user.name": CLIENT,
    }
    return (StoragePool(name="remote", driver="ceph", source=POOL, options=options),)


def _drop_pool(ctx: StepContext) -> None:
    _delete(ctx, before=[], pools=[POOL])


def _make_filesystem(ctx: StepContext) -> None:
    client.tell(ctx.host, [_create(METADATA_POOL), _create(DATA_POOL)])
    if not _filesystem_is_there(ctx):
        client.tell(ctx.host, [("fs", "new", FILESYSTEM, METADATA_POOL, DATA_POOL)])


def _see_filesystem(ctx: StepContext) -> tuple[StoragePool] | None:
    if not _filesystem_is_there(ctx):
        return None
    options = {"cephfs.cluster_name": CLUSTER, "cephfs.user.name": CLIENT}
    return (
        StoragePool(
            name="remote-fs", driver="cephfs", source=FILESYSTEM, purpose="filesystem", options=options
        ),
    )


def _filesystem_is_there(ctx: StepContext) -> bool:
    return FILESYSTEM in {found["name"] for found in client.ask(ctx.host, ["fs", "ls"])[0]}


def _drop_filesystem(ctx: StepContext) -> None:
    gone = [("fs", "fail", FILESYSTEM), ("fs", "rm", FILESYSTEM, "--yes-i-really-mean-it")]
    _delete(ctx, before=gone if _filesystem_is_there(ctx) else [], pools=[METADATA_POOL, DATA_POOL])


def _create(name: str) -> client.Command:
    return ("osd", "pool", "create", name, PLACEMENT_GROUPS)


def _delete(ctx: StepContext, *, before: list[tuple[str, ...]], pools: list[str]) -> None:
    """Delete pools, which Ceph allows only while it is told to."""
    if not client.answers(ctx.host):
        raise ServiceError("the cluster does not answer", hint="its pools end with it")
    allowed = {("mon", "mon_allow_pool_delete"): "true"}
    deletions = [("osd", "pool", "delete", name, name, _SURE) for name in pools]
    try:
        client.tell(ctx.host, [*client.set_options(allowed), *before, *deletions], seconds=15)
    finally:
        client.tell(ctx.host, client.drop_options(allowed), seconds=5)

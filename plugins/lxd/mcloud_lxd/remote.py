"""Pools that every machine reaches, out of what other services offer."""

from collections.abc import Mapping, Sequence
from functools import partial

from mcloud import Host, Node, Offer, ServiceError, Step, StepContext, StoragePool
from mcloud_lxd.choice import KERNEL_NEEDS, LOCAL, is_mappable
from mcloud_lxd.client import LxdError, call, look, server
from mcloud_lxd.everywhere import MARK, Wanted, is_made, make_everywhere, remove_everywhere
from mcloud_lxd.machine import clear_half_made
from mcloud_lxd.placeholder import clear_placeholder
from mcloud_lxd.users import remove_users

PRISTINE = "volatile.pool.pristine"
"""Key of a pool of Ceph's: whether it was empty when LXD was given it."""

NEEDS_KERNEL_TO_BE_MADE = frozenset({"cephfs"})
"""Drivers whose pool is mounted when it is made; a pool of the others can wait for a better kernel."""


def remote_step(nodes: Sequence[Node]) -> Step:
    """Make an LXD pool of each storage pool that was offered."""
    return Step(
        name="remote-pools",
        run=partial(_make, nodes),
        probe=partial(_see, nodes),
        undo=partial(_remove, nodes),
        wants=(StoragePool,),
        loses=("all instances and volumes in LXD's pools on shared storage",),
    )


def makeable(pools: Sequence[StoragePool], nodes: Sequence[Node]) -> Sequence[StoragePool]:
    """Return the offered pools that LXD can make on every machine's kernel."""
    return [
        pool
        for pool in pools
        if pool.driver not in NEEDS_KERNEL_TO_BE_MADE or all(is_mappable(pool.driver, node) for node in nodes)
    ]


def root_pool(pools: Sequence[StoragePool], nodes: Sequence[Node]) -> str:
    """Return the first offered pool that instances can have their root disk on; "" if there is none."""
    return next(
        (
            pool.name
            for pool in pools
            if pool.purpose == "volumes" and all(is_mappable(pool.driver, node) for node in nodes)
        ),
        "",
    )


def _wanted(pool: StoragePool, nodes: Sequence[Node], extensions: frozenset[str]) -> Wanted:
    """Return what LXD shall have of an offered pool; its name in the storage service is `source`."""
    if pool.name == LOCAL:
        raise ServiceError(
            f"a storage pool is offered under the name {LOCAL!r}, which is that of the machines' own disks",
            hint="give it another name in the settings of the service that offers it",
        )
    own: Mapping[str, str] = {"source": pool.source}
    if "storage_remote_drop_source" in extensions:
        own = {}
    return Wanted(
        kind="storage-pools",
        name=pool.name,
        type=pool.driver,
        description="Storage that all machines share",
        config=pool.options,
        member_config={node.name: own for node in nodes},
    )


def _all_wanted(nodes: Sequence[Node], ctx: StepContext) -> Sequence[Wanted]:
    pools = makeable(ctx.offers(StoragePool), nodes)
    extensions = server(ctx.host, seconds=10).extensions if pools else frozenset[str]()
    return [_wanted(pool, nodes, extensions) for pool in pools]


def _make(nodes: Sequence[Node], ctx: StepContext) -> None:
    offered = ctx.offers(StoragePool)
    can = makeable(offered, nodes)
    for pool in offered:
        if pool not in can:
            ctx.report(f"{pool.name} left out: {_why_not(pool, nodes)}")
    for pool, wanted in zip(can, _all_wanted(nodes, ctx), strict=True):
        make_everywhere(ctx.host, wanted, clear=partial(_clear, ctx, pool))


def _clear(ctx: StepContext, pool: StoragePool) -> None:
    clear_half_made(ctx, pool.name)
    clear_placeholder(ctx, pool)


def _why_not(pool: StoragePool, nodes: Sequence[Node]) -> str:
    lacking = [node.name for node in nodes if not is_mappable(pool.driver, node)]
    return f"the kernel of {', '.join(lacking)} lacks {KERNEL_NEEDS[pool.driver]!r}"


def _see(nodes: Sequence[Node], ctx: StepContext) -> Sequence[Offer] | None:
    names = [node.name for node in nodes]
    try:
        made = all(is_made(ctx.host, wanted, names) for wanted in _all_wanted(nodes, ctx))
    except LxdError:
        return None
    return () if made else None


def _remove(nodes: Sequence[Node], ctx: StepContext) -> None:
    for wanted in reversed(_all_wanted(nodes, ctx)):
        remove_users(ctx, wanted)
        _leave_to_its_maker(ctx.host, wanted)
        remove_everywhere(ctx.host, wanted)


def _leave_to_its_maker(host: Host, wanted: Wanted) -> None:
    """Have LXD delete its own part of a pool, and not the pool in Ceph, which others made and take back.

    LXD takes a pool that was empty for one of its own making, and would delete it there
    (lxd/storage/drivers/driver_ceph.go), which its key does not allow.
    """
    there = look(host, f"/1.0/{wanted.path}", seconds=30)
    if there is not None and MARK in there["config"] and there["config"].get(PRISTINE) == "true":
        call(host, "PATCH", f"/1.0/{wanted.path}", {"config": {PRISTINE: "false"}}, seconds=30)

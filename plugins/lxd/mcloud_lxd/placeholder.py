"""The mark that LXD sets in a pool of Ceph: LXD that was killed may leave it without a pool of its own."""

from mcloud import CommandError, StepContext, StoragePool


def clear_placeholder(ctx: StepContext, pool: StoragePool) -> None:
    """Remove the mark of an earlier try, if there was none before the first one; LXD must not know the pool.

    With such a mark LXD takes the pool for that of another LXD and refuses it. Its name is from LXD's
    `getPlaceholderVolume` (lxd/storage/drivers/driver_ceph_utils.go): `lxd_` and the pool's name in Ceph.
    """
    if pool.driver != "ceph":
        return
    there = _is_there(ctx, pool)
    before = ctx.keep(f"mark of {pool.name}", there)
    if before == "no" and there == "yes":
        ctx.report(f"LXD's mark in Ceph's pool {pool.source} is left of an earlier try; it is removed")
        ctx.host.run([*_rbd(pool), "remove", "--no-progress", _name(pool)])


def _is_there(ctx: StepContext, pool: StoragePool) -> str:
    """Return yes, no, or unknown."""
    try:
        status = ctx.host.run([*_rbd(pool), "info", _name(pool)], check=False, seconds=20).status
    except CommandError:
        return "unknown"
    return {0: "yes", 2: "no"}.get(status, "unknown")


def _rbd(pool: StoragePool) -> list[str]:
    user, cluster = pool.options.get("ceph.user.name", "admin"), pool.options.get("ceph.cluster_name", "ceph")
    return ["rbd", "--id", user, "--cluster", cluster, "--pool", pool.source]


def _name(pool: StoragePool) -> str:
    return f"lxd_{pool.source}"

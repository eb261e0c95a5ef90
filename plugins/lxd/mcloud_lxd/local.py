"""The pool `local`, a part of it on each machine, and LXD's own volumes on it."""

from collections.abc import Mapping, Sequence
from functools import partial

from mcloud import Host, Node, Offer, Step, StepContext, disk_loss
from mcloud_lxd.choice import LOCAL, Local
from mcloud_lxd.client import LxdError, call, look, remove, server, set_config
from mcloud_lxd.everywhere import Wanted, is_made, make_everywhere
from mcloud_lxd.given import free_given, given_disk
from mcloud_lxd.leaving import leave

VOLUMES = {"storage.images_volume": "images", "storage.backups_volume": "backups"}
"""LXD's own volumes on `local`, by the key of the server's configuration that names them."""

PATIENCE = 5.0
"""Seconds for a plain question, also after the others have gone: then LXD does not answer at all."""


class LocalPool(Offer):
    """The pool `local` is whole on the founder: machines that join now get their part of it by joining."""

    driver: str


def pool_step(node: Node, local: Local) -> Step:
    """Make `local` while the founder is alone; each joiner adds its part when it joins."""
    disk = local.disks.get(node.name)
    return Step(
        name="local-pool",
        run=partial(_make_pool, node, local),
        probe=partial(_see_pool, node.name, local),
        undo=partial(_leave_pool, node, local),
        offers=(LocalPool,),
        destroys=destroyed(node, local),
        loses=(
            f"all instances and volumes of pool {LOCAL} on {node.name}" + (f" ({disk.path})" if disk else ""),
        ),
    )


def volumes_step(node: Node) -> Step:
    """Give LXD its volumes for images and backups on this machine's part of `local`."""
    return Step(
        name="local-volumes",
        run=partial(_make_volumes, node.name),
        probe=partial(_see_volumes, node.name),
        undo=partial(_remove_volumes, node.name),
    )


def destroyed(node: Node, local: Local | None) -> tuple[str, ...]:
    """Return what taking a machine's disk destroys, in words."""
    disk = local.disks.get(node.name) if local is not None else None
    return (disk_loss(node, disk),) if disk is not None and disk.wipe else ()


def leave_with_disk(ctx: StepContext, node: Node, local: Local | None) -> None:
    """Leave the cluster, empty LXD, and free the disk that it has its pool on."""

    def dismantle(host: Host) -> None:
        free_given(ctx, node, local, host)

    leave(ctx, node.name, dismantle)


def _wanted(name: str, local: Local, part: Mapping[str, str]) -> Wanted:
    return Wanted(
        kind="storage-pools",
        name=LOCAL,
        type=local.driver,
        description="Storage of each machine",
        member_config={name: part},
    )


def _make_pool(node: Node, local: Local, ctx: StepContext) -> None:
    wanted = _wanted(node.name, local, {})
    there = look(ctx.host, f"/1.0/{wanted.path}")
    if there is not None and there["status"] == "Created":
        make_everywhere(ctx.host, wanted)
        return
    if there is not None:
        remove(ctx.host, wanted.path)
    with given_disk(ctx, node, local) as part:
        make_everywhere(ctx.host, _wanted(node.name, local, part))


def _see_pool(name: str, local: Local, ctx: StepContext) -> Sequence[Offer] | None:
    try:
        made = is_made(ctx.host, _wanted(name, local, {}), [name])
    except LxdError:
        return None
    return (LocalPool(driver=local.driver),) if made else None


def _leave_pool(node: Node, local: Local, ctx: StepContext) -> None:
    """Take this machine's part away. The pool is all members', so that is to leave them."""
    leave_with_disk(ctx, node, local)


def _make_volumes(name: str, ctx: StepContext) -> None:
    """Make the volumes and have LXD use them, as soon as the others take our word for it.

    While another machine joins, a member may not know our certificate yet and refuse to be told of
    the change ("Cluster notification isn't using trusted server certificate").
    """
    ctx.wait(lambda: _with_volumes(ctx.host, name), what=f"LXD on {name} to take its volumes", patience=30)


def _with_volumes(host: Host, name: str) -> bool:
    there = _volumes(host, name)
    for volume in VOLUMES.values():
        if volume not in there:
            path = f"/1.0/storage-pools/{LOCAL}/volumes/custom?target={name}"
            call(host, "POST", path, {"name": volume, "content_type": "filesystem"})
    set_config(host, {key: f"{LOCAL}/{volume}" for key, volume in VOLUMES.items()}, member=name)
    return True


def _see_volumes(name: str, ctx: StepContext) -> Sequence[Offer] | None:
    try:
        config = server(ctx.host, member=name, seconds=PATIENCE).config
    except LxdError:
        return None
    return () if all(config.get(key) == f"{LOCAL}/{volume}" for key, volume in VOLUMES.items()) else None


def _remove_volumes(name: str, ctx: StepContext) -> None:
    here = server(ctx.host, member=name, seconds=PATIENCE)
    set_config(ctx.host, {key: "" for key in VOLUMES if here.config.get(key)}, member=name, seconds=15)
    for volume in set(VOLUMES.values()) & _volumes(ctx.host, name):
        remove(ctx.host, f"storage-pools/{LOCAL}/volumes/custom/{volume}?target={name}", seconds=15)


def _volumes(host: Host, name: str) -> set[str]:
    """Return the names of this machine's own volumes on `local`."""
    found = look(host, f"/1.0/storage-pools/{LOCAL}/volumes/custom?recursion=1&target={name}", seconds=15)
    return {volume["name"] for volume in found or ()}

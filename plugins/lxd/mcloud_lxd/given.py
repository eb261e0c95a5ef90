"""The disk that a machine gives to the pool `local`: given blank, known later by what LXD made on it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from mcloud import (
    Bears,
    DiskChoice,
    DiskFound,
    HeldDisk,
    Host,
    Node,
    ServiceError,
    StepContext,
    disks_bearing,
    find_disk,
    hold_disk,
    is_same_disk,
)
from mcloud_lxd.choice import LOCAL, Local
from mcloud_lxd.disk import close_file, pool_on, release
from mcloud_lxd.machine import clear_half_made

_BEGAN = "disk"
"""Under it the journal has the disk's name from the moment on at which LXD may write on it."""


@contextmanager
def given_disk(ctx: StepContext, node: Node, local: Local | None) -> Iterator[Mapping[str, str]]:
    """Give this machine's own part of the pool's configuration, while LXD makes the pool of it.

    Its disk, if it gives one, is blank then, and held, so that the name LXD is told stays that disk's. What
    LXD makes on it is journalled: by that it is ours later, whatever its name.
    """
    if local is not None:
        clear_half_made(ctx, LOCAL)
    disk = local.disks.get(node.name) if local is not None else None
    if local is None or disk is None:
        yield {}
        return
    with hold_disk(ctx, node, disk, ours=_ours(ctx, node, disk, local.driver)) as held:
        held.clear()
        ctx.keep(_BEGAN, held.path)
        held.refuse_other(held.lasting)
        try:
            yield {"source": held.lasting}
        finally:
            with suppress(ServiceError):
                _note(ctx, held)
        held.refuse_other(held.lasting)


def free_given(ctx: StepContext, node: Node, local: Local | None, host: Host) -> None:
    """Free what LXD made for the pool on this machine. LXD is stopped and nothing mounted."""
    if local is None:
        return
    disk = local.disks.get(node.name)
    if disk is None:
        close_file(host, local.driver, LOCAL)
        return
    pinned = find_disk(node, disk)
    known = {disk.path, *((pinned.device, *pinned.links) if pinned else ())}
    for path in release(host, _ours(ctx, node, disk, local.driver)):
        if path not in known:
            ctx.report(f"the disk of pool {LOCAL} is {path} now, and was freed under that name")


def _note(ctx: StepContext, held: HeldDisk) -> None:
    """Journal what is on the disk now: several tries leave several ids."""
    made = held.content()
    if made.type and made.id and made.id not in _made(ctx):
        ctx.keep(f"pool {len(_made(ctx))}", made.id)


def _made(ctx: StepContext) -> list[str]:
    """Return the ids of all that LXD made on this machine's disk in this run."""
    found = list[str]()
    while made := ctx.kept(f"pool {len(found)}"):
        found.append(made)
    return found


def _ours(ctx: StepContext, node: Node, disk: DiskChoice, driver: str) -> Bears:
    """Return what tells a disk with a pool of this run: by the id of what LXD made.

    A power cut may come before we know that id. Then it is the one disk with a label of this pool that was
    on no disk of this machine when the plan was made, if LXD was given a disk in this run at all.
    """
    made = set(_made(ctx))
    if ctx.has_kept(_BEGAN):
        begun = disks_bearing(ctx.host, partial(_is_begun, ctx.host, node, disk, driver))
        made |= {begun[0].content.id} if len(begun) == 1 else set()

    def bears(found: DiskFound) -> bool:
        return bool(found.content.id) and found.content.id in made

    return bears


def _is_begun(host: Host, node: Node, disk: DiskChoice, driver: str, found: DiskFound) -> bool:
    pinned = find_disk(node, disk)
    if pinned is None or found.content.id in {one.content_id for one in node.survey.disks}:
        return False
    told = pinned.serial or pinned.wwn
    same = is_same_disk(pinned, found.disk) if told else found.disk.size == pinned.size
    return same and pool_on(host, found) == (driver, LOCAL)

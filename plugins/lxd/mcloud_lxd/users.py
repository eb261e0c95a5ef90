"""Instances and volumes that are lost with a pool or network, as an undo said and its operator confirmed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mcloud import Host, StepContext
from mcloud_lxd.client import call, look, remove, server
from mcloud_lxd.everywhere import MARK, Wanted

_INSTANCE = re.compile(r"/1\.0/(?:instances|containers|virtual-machines)/[^/?]+(?:\?.*)?")
_VOLUME = re.compile(r"/1\.0/storage-pools/[^/]+/volumes/custom/[^/?]+(?:\?.*)?")


def remove_users(ctx: StepContext, wanted: Wanted, *, here_only: bool = False) -> None:
    """Stop and delete the instances that use a thing of ours, then the volumes in it; each one is told.

    `here_only`: instances on this machine alone, no others' and no volumes. What LXD will not delete
    (`security.protection.delete`) stays, as profiles of the operator's do: the thing is in use then.
    """
    there = look(ctx.host, f"/1.0/{wanted.path}", seconds=30)
    if there is None or MARK not in there["config"]:
        return
    used: Sequence[str] = there.get("used_by") or ()
    me = server(ctx.host, seconds=10).name if here_only else ""
    for url in filter(_INSTANCE.fullmatch, used):
        _remove_instance(ctx, url, me)
    for url in filter(_VOLUME.fullmatch, () if here_only else used):
        ctx.report(f"the volume {_name(url)} goes, as was said before")
        remove(ctx.host, url.removeprefix("/1.0/"), seconds=60)


def _remove_instance(ctx: StepContext, url: str, me: str) -> None:
    instance: Mapping[str, Any] | None = look(ctx.host, url)
    if instance is None or (me and instance["location"] != me):
        return
    ctx.report(f"the instance {_name(url)} on {instance['location']} goes, as was said before")
    if instance["status"] != "Stopped":
        _stop(ctx.host, url)
    remove(ctx.host, url.removeprefix("/1.0/"), seconds=60)


def _stop(host: Host, url: str) -> None:
    path, sign, project = url.partition("?")
    call(host, "PUT", f"{path}/state{sign}{project}", {"action": "stop", "force": True}, seconds=60)


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]

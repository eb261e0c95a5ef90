"""Instances and volumes that are lost with a pool or network, as an undo said and its operator confirmed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mcloud import Host, ServiceError, StepContext, UsedElsewhereError
from mcloud_lxd.client import LxdError, call, look, remove, server
from mcloud_lxd.everywhere import MARK, Wanted

_INSTANCE = re.compile(r"/1\.0/(?:instances|containers|virtual-machines)/[^/?]+(?:\?.*)?")
_VOLUME = re.compile(r"/1\.0/storage-pools/[^/]+/volumes/custom/[^/?]+(?:\?.*)?")

_PROTECTED = "security.protection.delete"


def remove_users(ctx: StepContext, wanted: Wanted, *, here_only: bool = False) -> None:
    """Stop and delete the instances that use a thing of ours, then the volumes in it; each one is told.

    `here_only`: instances on this machine alone, no others' and no volumes. One that its operator protects
    from that (`security.protection.delete`) is an error, and not stopped either; profiles of the operator's
    stay, too: the thing is in use then.
    """
    there = look(ctx.host, f"/1.0/{wanted.path}", seconds=30)
    if there is None or MARK not in there["config"]:
        return
    used: Sequence[str] = there.get("used_by") or ()
    remove_instances(ctx, used, here_only=here_only)
    for url in filter(_VOLUME.fullmatch, () if here_only else used):
        ctx.report(f"the volume {_name(url)} goes, as was said before")
        remove(ctx.host, url.removeprefix("/1.0/"), seconds=60)


def remove_instances(ctx: StepContext, used: Sequence[str], *, here_only: bool) -> None:
    """Stop and delete the instances among those that use something; ServiceError if one is protected."""
    me = server(ctx.host, seconds=10).name if here_only else ""
    for url, instance in _instances(ctx.host, used):
        if not me or instance["location"] == me:
            _remove_instance(ctx, url, instance)


@contextmanager
def used_elsewhere(host: Host, path: str) -> Iterator[None]:
    """Turn LXD's word that something is in use into UsedElsewhereError, if only others' instances use it."""
    try:
        yield
    except LxdError as error:
        used: Sequence[str] = (look(host, path, seconds=30) or {}).get("used_by") or ()
        places = {instance["location"] for _url, instance in _instances(host, used)}
        if not places or server(host, seconds=10).name in places:
            raise
        raise UsedElsewhereError(
            f"{_name(path)} is in use by instances on {', '.join(sorted(places))}, and is theirs: {error}",
            hint="it goes with the last machine of the cloud",
        ) from error


def _instances(host: Host, used: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for url in filter(_INSTANCE.fullmatch, used):
        instance: Mapping[str, Any] | None = look(host, url)
        if instance is not None:
            yield url, instance


def _remove_instance(ctx: StepContext, url: str, instance: Mapping[str, Any]) -> None:
    if instance.get("expanded_config", {}).get(_PROTECTED) in {"true", "1", "yes", "on"}:
        raise ServiceError(
            f"the instance {_name(url)} on {instance['location']} is protected from being deleted",
            hint=f"`lxc config unset {_name(url)} {_PROTECTED}` (or of its profile), if it may go",
        )
    ctx.report(f"the instance {_name(url)} on {instance['location']} goes, as was said before")
    if instance["status"] != "Stopped":
        _stop(ctx.host, url)
    remove(ctx.host, url.removeprefix("/1.0/"), seconds=60)


def _stop(host: Host, url: str) -> None:
    path, sign, project = url.partition("?")
    call(host, "PUT", f"{path}/state{sign}{project}", {"action": "stop", "force": True}, seconds=60)


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]

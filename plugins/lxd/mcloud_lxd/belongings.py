"""What an LXD holds that its operator made: seen and named before, kept whole, and put back by undo.

A machine that joins loses all of it: the cluster's database takes the place of its own. One that founds a
cluster keeps it there, and would lose it when the cluster is taken apart.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex
from typing import Any

from mcloud import Host, Node, StepContext
from mcloud_lxd.client import look, server
from mcloud_lxd.machine import FOLDER, UNITS, is_snap, stop, stop_kindly

OWN = "own:"
"""Before what an operator made in an LXD, among the features of a ServiceState."""

ADDRESSES = ("core.https_address", "cluster.https_address")
"""Where LXD listens. The second one stays when a machine has left a cluster, and goes before the first."""

_PARTS = ("database", "server.crt", "server.key")
"""All that an LXD without pools, networks and instances is, below its folder; it makes the rest."""

_SEEN = "own"
_NAME = "archive"


def belongings(host: Host, *, seconds: float = 10) -> Sequence[str]:
    """Return in words what is not as LXD was installed, addresses aside. Raises LxdError."""
    return sorted(_all_of(host, seconds))


def lost_by_joining(node: Node) -> Sequence[str]:
    """Return in words what a machine's own LXD loses when it joins; nothing if that is as installed."""
    state = node.services.get("lxd")
    found = [one.removeprefix(OWN) for one in (state.features if state else ()) if one.startswith(OWN)]
    end = "the cloud's take its place, `mcloud undo` brings it back"
    return [f"{what} of LXD on {node.name}: {end}" for what in found]


def keep_whole(ctx: StepContext) -> None:
    """Keep addresses, and all of an LXD in which somebody has made something, before it is changed.

    For a moment LXD does not run: what it writes would not be in the archive.
    """
    config = server(ctx.host).config
    for key in ADDRESSES:
        ctx.keep(key, config.get(key, ""))
    if ctx.has_kept(_SEEN):
        return
    found = belongings(ctx.host)
    if found and not is_snap(ctx.host):
        ctx.report(f"kept for an undo: {', '.join(found)}")
        stop_kindly(ctx.host)
        ctx.keep(_NAME, token_hex(4))
        archive = _archive(ctx)
        ctx.host.write(archive, "", mode=0o600)
        ctx.host.run(["tar", "-czf", archive, f"--directory={FOLDER}", *_PARTS], seconds=60)
        ctx.host.run(["systemctl", "start", *UNITS])
        ctx.keep_file(archive)
        ctx.host.write(archive, None)
    ctx.keep(_SEEN, json.dumps(found))


def put_back(ctx: StepContext) -> bool:
    """Make an LXD that is in no cluster what it was before; return whether it had to be put back whole."""
    host, before = ctx.host, json.loads(ctx.kept(_SEEN) or "[]")
    if not ctx.has_kept(_NAME):
        return False
    archive = _archive(ctx)
    lost = bool(before) and not is_snap(host) and list(belongings(host)) != before
    if lost:
        stop(host)
        ctx.restore_file(archive)
        host.run(["rm", "-rf", *(f"{FOLDER}/{part}" for part in _PARTS)])
        host.run(["tar", "-xzf", archive, f"--directory={FOLDER}"], seconds=60)
        host.run(["systemctl", "start", *UNITS])
    else:
        # What is kept and not put back, the core puts back: here it is not wanted.
        ctx.restore_file(archive)
    host.write(archive, None)
    return lost


def _archive(ctx: StepContext) -> str:
    """Return where the archive is while it is made or put back; in between it is kept beside the journal."""
    return f"/var/lib/lxd-before-mcloud-{ctx.kept(_NAME)}.tar.gz"


def _all_of(host: Host, seconds: float) -> Iterator[str]:
    profiles = _things(host, "profiles", seconds)
    yield from (f"profile {one['name']}" for one in profiles if one["name"] != "default")
    for default in (one for one in profiles if one["name"] == "default"):
        if default["devices"] or default["config"]:
            yield "what is set in the default profile"
    yield from (
        f"project {one['name']}" for one in _things(host, "projects", seconds) if one["name"] != "default"
    )
    yield from (
        f"certificate {one['name'] or one['fingerprint'][:12]}"
        for one in _things(host, "certificates", seconds)
    )
    yield from (f"network ACL {one['name']}" for one in _things(host, "network-acls", seconds))
    yield from (f"network zone {one['name']}" for one in _things(host, "network-zones", seconds))
    yield from (f"setting {key}" for key in server(host, seconds=seconds).config if key not in ADDRESSES)


def _things(host: Host, kind: str, seconds: float) -> Sequence[Mapping[str, Any]]:
    """Return all of a kind; nothing where this LXD does not know the kind."""
    found: Sequence[Mapping[str, Any]] | None = look(host, f"/1.0/{kind}?recursion=1", seconds=seconds)
    return found or ()

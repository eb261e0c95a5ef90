"""How a machine leaves its LXD cluster: politely where the others can go on, and empty in any case."""

from collections.abc import Callable

from mcloud import Host, ServiceError, StepContext
from mcloud_lxd.belongings import ADDRESSES, put_back
from mcloud_lxd.client import server, set_config, things
from mcloud_lxd.cluster_client import members, membership, remove_member
from mcloud_lxd.machine import empty

SMALLEST_TO_LEAVE_AS_LEADER = 3
"""Members. Of two, LXD keeps one voter: if that one leaves, LXD 5.0 fails half-way ("lost leadership")."""

PATIENCE = 5.0
"""Seconds: with a quorum LXD answers in far less, without one it does not answer at all."""


def leave(ctx: StepContext, name: str, dismantle: Callable[[Host], None]) -> None:
    """Leave the cluster and empty this machine's LXD; also if it is out already, or the others are dead."""
    host = ctx.host
    if _is_out(ctx, name):
        dismantle(host)
    else:
        empty(host, dismantle)
    if put_back(ctx):
        return
    now = server(host, seconds=PATIENCE).config
    before = {key: ctx.kept(key) or "" for key in ADDRESSES if ctx.has_kept(key)}
    if changed := {key: value for key, value in before.items() if now.get(key, "") != value}:
        set_config(host, changed)


def _is_out(ctx: StepContext, name: str) -> bool:
    """Whether this LXD holds nothing that could be left; if it does, tell the others that it leaves."""
    try:
        if not membership(ctx.host, seconds=PATIENCE):
            return not things(ctx.host, "storage-pools", seconds=PATIENCE)
        _sign_off(ctx.host, name)
    except ServiceError as error:
        # Without quorum, or with a broken cluster: the others learn it when they look.
        ctx.report(f"left without the others' knowledge: {error}")
    return False


def _sign_off(host: Host, name: str) -> None:
    """Have the others write this machine out, so that they do not wait for it for ever."""
    roster = members(host, seconds=PATIENCE)
    others = [member for member in roster if member.name != name]
    leads = any(member.leader for member in roster if member.name == name)
    if others and not (leads and len(roster) < SMALLEST_TO_LEAVE_AS_LEADER):
        remove_member(host, name)

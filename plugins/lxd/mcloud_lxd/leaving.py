"""How a machine leaves its LXD cluster: politely where the others can go on, and empty in any case."""

from collections.abc import Callable

from mcloud import Host, ServiceError, StepContext
from mcloud_lxd.client import things
from mcloud_lxd.cluster_client import members, membership, remove_member
from mcloud_lxd.machine import empty

SMALLEST_TO_LEAVE_AS_LEADER = 3
"""Members. Of two, LXD keeps one voter: if that one leaves, LXD 5.0 fails half-way ("lost leadership")."""

PATIENCE = 5.0
"""Seconds: with a quorum LXD answers in far less, without one it does not answer at all."""


def leave(ctx: StepContext, name: str, dismantle: Callable[[Host], None]) -> None:
    """Leave the cluster and empty this machine's LXD; also if it is out already, or the others are dead."""
    host = ctx.host
    try:
        if not membership(host, seconds=PATIENCE) and not things(host, "storage-pools", seconds=PATIENCE):
            dismantle(host)
            return
        _sign_off(host, name)
    except ServiceError as error:
        # Without quorum, or with a broken cluster: the others learn it when they look.
        ctx.report(f"left without the others' knowledge: {error}")
    empty(host, dismantle)


def _sign_off(host: Host, name: str) -> None:
    """Have the others write this machine out, so that they do not wait for it for ever."""
    roster = members(host, seconds=PATIENCE)
    others = [member for member in roster if member.name != name]
    leads = any(member.leader for member in roster if member.name == name)
    if others and not (leads and len(roster) < SMALLEST_TO_LEAVE_AS_LEADER):
        remove_member(host, name)

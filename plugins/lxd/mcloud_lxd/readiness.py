"""LXD up and at rest, and what a joiner tells the founder about that when it asks for its token."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from mcloud import Node, Offer, ServiceError, Step, StepContext, wait_with_units
from mcloud_lxd.client import server
from mcloud_lxd.cluster_client import is_at_rest, is_member, membership
from mcloud_lxd.machine import is_snap, switch_on

PATIENCE = 45.0
"""Seconds for LXD to start, or to end a join: 0.4 and 2 on an idle machine, ten times that on a busy one."""

IN = "in"
OUT = "out"
UNSURE = "unsure"


class Readiness(Offer):
    """This machine's LXD runs, and the founder will hear whether it is a member: asked anew on every run."""

    volatile: ClassVar[bool] = True


def ready_step(node: Node) -> Step:
    """See that LXD runs and has ended what an earlier try began, and send along whether it is in.

    Only the joiner knows: the founder lists a machine that is just joining, and must not write
    that one out, as little as it may invite one that is in.
    """
    return Step(name="ready", run=partial(_get_ready, node.name), offers=(Readiness,))


def await_lxd(ctx: StepContext, *, patience: float = PATIENCE) -> None:
    """Switch LXD on and wait until it answers (the first call starts it) and ends what it began.

    Raises ServiceError if it does not.
    """
    switch_on(ctx.host)
    name = ctx.host.name
    seconds = min(patience, 20)
    wait_with_units(
        ctx,
        lambda: server(ctx.host, seconds=seconds),
        units=() if is_snap(ctx.host) else ("lxd.service", "lxd.socket"),
        what=f"LXD on {name} to answer",
        patience=patience,
    )
    ctx.wait(
        lambda: is_at_rest(ctx.host) or None, what=f"LXD on {name} to end what it began", patience=patience
    )


def _get_ready(name: str, ctx: StepContext) -> Iterable[Offer]:
    ctx.apply(_standing(name, ctx).encode())
    return [Readiness()]


def _standing(name: str, ctx: StepContext) -> str:
    """Return whether this machine is in the cluster under its name."""
    try:
        await_lxd(ctx)
        if membership(ctx.host) != name:
            return OUT
        return IN if is_member(ctx.host, name) else OUT
    except ServiceError as error:
        ctx.report(f"the founder has to look for itself: {error}")
        return UNSURE

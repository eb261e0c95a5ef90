"""What the cloud has already works on a machine that comes into it, too."""

from collections.abc import Sequence
from functools import partial

from mcloud import Host, Node, Offer, Step, StepContext
from mcloud_lxd.client import LxdError, look, things
from mcloud_lxd.machine import restart

PATIENCE = 30.0
"""Seconds for LXD to start its networks and pools; it tries again by itself only once a minute."""


def availability_step(node: Node) -> Step:
    """See that all networks and pools work on this machine.

    LXD 5.0 starts them while it joins, before it has read where OVN's databases are, and tries those of
    this machine: where that is not their leader the network stays "unavailable on this server".
    """
    return Step(name="availability", run=partial(_make_available, node.name), probe=partial(_see, node.name))


def _make_available(name: str, ctx: StepContext) -> None:
    if _unavailable(ctx.host, name):
        restart(ctx.host)
    ctx.wait(
        lambda: None if _unavailable(ctx.host, name) else True,
        what=f"LXD's networks and pools on {name} to be available",
        patience=PATIENCE,
    )


def _see(name: str, ctx: StepContext) -> Sequence[Offer] | None:
    try:
        return None if _unavailable(ctx.host, name) else ()
    except LxdError:
        return None


def _unavailable(host: Host, name: str) -> Sequence[str]:
    """Return what does not work on one member; its status is told only where that member is asked."""
    there = [
        *(f"networks/{one['name']}" for one in things(host, "networks") if one["managed"]),
        *(f"storage-pools/{one['name']}" for one in things(host, "storage-pools")),
    ]
    states = {path: look(host, f"/1.0/{path}?target={name}", seconds=10) for path in there}
    return [path for path, state in states.items() if state is None or state["status"] != "Created"]

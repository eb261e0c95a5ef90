"""The default profile: what every new instance gets."""

import json
from collections.abc import Mapping, Sequence
from functools import partial

from mcloud import NetworkUplink, Node, Offer, Step, StepContext, StoragePool, VirtualNetworks
from mcloud_lxd.choice import LOCAL, Local
from mcloud_lxd.client import LxdError, call
from mcloud_lxd.networks import default_network
from mcloud_lxd.remote import root_pool
from mcloud_lxd.settings import ProfilePolicy

PATH = "/1.0/profiles/default"

Devices = dict[str, Mapping[str, str]]


def profile_step(nodes: Sequence[Node], policy: ProfilePolicy, local: Local | None) -> Step:
    """Give new instances a network interface and a root disk."""
    return Step(
        name="default-profile",
        run=partial(_set, nodes, policy, local),
        probe=partial(_see, nodes, policy, local),
        undo=_restore,
        wants=(StoragePool, VirtualNetworks, NetworkUplink),
    )


def _wanted(nodes: Sequence[Node], local: Local | None, ctx: StepContext) -> Devices:
    network = default_network(ctx.offers(VirtualNetworks), ctx.offers(NetworkUplink))
    devices: Devices = {"eth0": {"type": "nic", "name": "eth0", "network": network}}
    pool = root_pool(ctx.offers(StoragePool), nodes) or (LOCAL if local is not None else "")
    if pool:
        devices["root"] = {"type": "disk", "path": "/", "pool": pool}
    return devices


def _set(nodes: Sequence[Node], policy: ProfilePolicy, local: Local | None, ctx: StepContext) -> None:
    there = call(ctx.host, "GET", PATH)
    before: Devices = json.loads(ctx.keep("devices", json.dumps(there["devices"])) or "{}")
    wanted = _wanted(nodes, local, ctx)
    if "root" not in wanted:
        ctx.report("no pool can hold root disks: the default profile gets none")
    devices = {**there["devices"], **wanted} if policy == "replace" else {**wanted, **before}
    _put(ctx, there, devices, seconds=30)


def _see(
    nodes: Sequence[Node], policy: ProfilePolicy, local: Local | None, ctx: StepContext
) -> Sequence[Offer] | None:
    wanted = _wanted(nodes, local, ctx)
    try:
        there: Devices = call(ctx.host, "GET", PATH, seconds=10)["devices"]
    except LxdError:
        return None
    if policy == "replace":
        return () if all(there.get(name) == device for name, device in wanted.items()) else None
    return () if wanted.keys() <= there.keys() else None


def _restore(ctx: StepContext) -> None:
    """Put back the devices that were there; what others changed meanwhile under other names stays."""
    there = call(ctx.host, "GET", PATH, seconds=10)
    before: Devices = json.loads(ctx.kept("devices") or "{}")
    devices = {name: device for name, device in there["devices"].items() if name not in ("eth0", "root")}
    _put(
        ctx,
        there,
        {**devices, **{name: before[name] for name in ("eth0", "root") if name in before}},
        seconds=15,
    )


def _put(ctx: StepContext, there: Mapping[str, object], devices: Devices, *, seconds: float) -> None:
    body = {"description": there["description"], "config": there["config"], "devices": devices}
    call(ctx.host, "PUT", PATH, body, seconds=seconds)

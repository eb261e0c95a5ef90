"""The default profile: what every new instance gets."""

import json
from collections.abc import Mapping, Sequence
from functools import partial

from mcloud import NetworkUplink, Node, Offer, Step, StepContext, StoragePool, VirtualNetworks
from mcloud_lxd.choice import LOCAL, Local
from mcloud_lxd.client import LxdError, call
from mcloud_lxd.everywhere import MARK
from mcloud_lxd.networks import default_network
from mcloud_lxd.remote import root_pool
from mcloud_lxd.settings import ProfilePolicy
from mcloud_lxd.users import remove_instances, used_elsewhere

PATH = "/1.0/profiles/default"

OURS = ("eth0", "root")
"""Names of the devices that we add."""

OUR_PLACES = (("nic", "eth0"), ("disk", "/"))
"""What they are in the guest: kind of device, and its name or path there."""

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


def clashing(devices: Mapping[str, Mapping[str, str]]) -> Sequence[str]:
    """Return what devices are in the guest what ours would be, under other names: `nic0=eth0`."""
    return [
        f"{name[:64]}={_place(name, device)[1][:64]}"
        for name, device in sorted(devices.items())
        if _place(name, device) in OUR_PLACES and name not in OURS
    ]


def _place(name: str, device: Mapping[str, str]) -> tuple[str, str]:
    """Return what a device is in the guest: two of one place in one profile, and no instance can be made.

    LXD finds a free name for a NIC that has none.
    """
    kind = device.get("type", "")
    key = {"nic": "name", "disk": "path"}.get(kind, "")
    return kind, device.get(key) or f"device {name}"


def _wanted(nodes: Sequence[Node], local: Local | None, ctx: StepContext) -> Devices:
    network = default_network(ctx.offers(VirtualNetworks), ctx.offers(NetworkUplink))
    devices: Devices = {"eth0": {"type": "nic", "name": "eth0", "network": network}}
    pool = root_pool(ctx.offers(StoragePool), nodes) or (LOCAL if local is not None else "")
    if pool:
        devices["root"] = {"type": "disk", "path": "/", "pool": pool}
    return devices


def _in_place_of(device: str, wanted: Devices, there: Devices) -> Sequence[str]:
    """Return the devices that are there and in the guest what one of ours would be, whatever their names."""
    place = _place(device, wanted[device])
    return [name for name, other in there.items() if name == device or _place(name, other) == place]


def _set(nodes: Sequence[Node], policy: ProfilePolicy, local: Local | None, ctx: StepContext) -> None:
    there = call(ctx.host, "GET", PATH)
    before: Devices = json.loads(ctx.keep("devices", json.dumps(there["devices"])) or "{}")
    wanted = _wanted(nodes, local, ctx)
    if "root" not in wanted:
        ctx.report("no pool can hold root disks: the default profile gets none")
    devices: Devices = dict(there["devices"] if policy == "replace" else before)
    for name, device in wanted.items():
        others = _in_place_of(name, wanted, devices)
        if others and policy != "replace":
            ctx.report(f"{name} left out of the default profile: {', '.join(others)} is there")
            continue
        devices = {key: value for key, value in devices.items() if key not in others}
        devices[name] = {**device, MARK: "yes"}
    _put(ctx, there, devices, seconds=30)


def _see(
    nodes: Sequence[Node], policy: ProfilePolicy, local: Local | None, ctx: StepContext
) -> Sequence[Offer] | None:
    wanted = _wanted(nodes, local, ctx)
    try:
        there: Devices = call(ctx.host, "GET", PATH, seconds=10)["devices"]
    except LxdError:
        return None
    for name, device in wanted.items():
        others = _in_place_of(name, wanted, there)
        # What is of the same place beside it would keep instances from being made.
        if not others or (len(others) > 1 and any(MARK in there[other] for other in others)):
            return None
        if policy == "replace" and (others != [name] or _plain(there[name]) != device):
            return None
    return ()


def _plain(device: Mapping[str, str]) -> Mapping[str, str]:
    return {key: value for key, value in device.items() if key != MARK}


def _restore(ctx: StepContext) -> None:
    """Take our devices out by their mark, and put back those that were there and are not any more."""
    if not ctx.has_kept("devices"):
        return
    # Those on this machine go with its LXD, as that step says; others' keep the profile, and may.
    remove_instances(ctx, call(ctx.host, "GET", PATH, seconds=10).get("used_by") or (), here_only=True)
    there = call(ctx.host, "GET", PATH, seconds=10)
    before: Devices = json.loads(ctx.kept("devices") or "{}")
    devices = {name: device for name, device in there["devices"].items() if MARK not in device}
    gone = {
        name: device
        for name, device in before.items()
        if name not in devices and (name in OURS or _place(name, device) in OUR_PLACES)
    }
    with used_elsewhere(ctx.host, PATH):
        _put(ctx, there, {**devices, **gone}, seconds=15)


def _put(ctx: StepContext, there: Mapping[str, object], devices: Devices, *, seconds: float) -> None:
    body = {"description": there["description"], "config": there["config"], "devices": devices}
    call(ctx.host, "PUT", PATH, body, seconds=seconds)

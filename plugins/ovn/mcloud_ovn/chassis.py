"""The step that makes a machine take part in virtual networks: its ovn-controller and its tunnels."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mcloud import Host, NetworkAccess, Node, Offer, Step, StepContext, wait_with_units
from mcloud_ovn.client import (
    PATIENCE,
    SB,
    active,
    daemon_status,
    ensure_enabled,
    external_ids,
    set_external_ids,
    systemctl,
    vsctl,
)
from mcloud_ovn.files import AUTHORITY, CERTIFICATE, HOST_DEFAULTS, KEY, defaults
from mcloud_ovn.kept import keep, kept
from mcloud_ovn.mark import BEFORE, MARK, foreign_ports, mark_of_run, marks, patches
from mcloud_ovn.others import MAPPINGS, as_before, disturbing, while_here
from mcloud_ovn.roles import INTEGRATION_BRIDGE, remotes

HOST = "ovn-host.service"
CONTROLLER = "ovn-controller.service"
SWITCH = "openvswitch-switch.service"

REMOTE = "ovn-remote"


class Chassis(Offer):
    """This machine is registered in OVN under `system_id`, with tunnels from `tunnel_address`."""

    system_id: str
    tunnel_address: str


def take_part(
    *, tunnel_address: str, userspace: bool, servers: Sequence[Node], uplinks: Mapping[str, str]
) -> Step:
    """Run ovn-controller, connected to these servers; `uplinks` are this machine's, by network."""
    ids = {
        REMOTE: remotes(servers, SB),
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": tunnel_address,
        "ovn-bridge-datapath-type": "netdev" if userspace else None,
    }
    return Step(
        name="controller",
        run=partial(_start, ids),
        probe=partial(_takes_part, ids, uplinks),
        undo=_stop,
        offers=(NetworkAccess, Chassis),
    )


def _start(ids: dict[str, str | None], ctx: StepContext) -> None:
    host = ctx.host
    ctx.keep_file(HOST_DEFAULTS)
    keep(ctx, "active", active(host, (HOST, CONTROLLER)))
    ensure_enabled(host, SWITCH, HOST)
    systemctl(host, "start", SWITCH)
    before = _keep_ids(ids, ctx)
    tls = "--ovn-controller-ssl"
    # Ahead of the stop: by this file a reset knows that it was us who stopped it.
    host.write(
        HOST_DEFAULTS,
        defaults([f"{tls}-key={KEY}", f"{tls}-cert={CERTIFICATE}", f"{tls}-ca-cert={AUTHORITY}"]),
    )
    systemctl(host, "stop", CONTROLLER)
    _take_switch(ids, before, ctx)
    systemctl(host, "reset-failed", CONTROLLER, check=False)
    systemctl(host, "start", HOST, CONTROLLER)
    wait_with_units(
        ctx,
        lambda: _connected(ctx),
        units=(CONTROLLER,),
        what="ovn-controller to reach the southbound database",
        patience=PATIENCE,
    )


def _keep_ids(ids: Mapping[str, str | None], ctx: StepContext) -> Mapping[str, str | None]:
    """Keep what was set before of all keys that we set, and of those that would break us; return it."""
    now = external_ids(ctx.host)
    keys = (*ids, MAPPINGS, *(key for key in disturbing(now) if key not in ids))
    keep(ctx, "ids", {key: now.get(key) for key in keys})
    keep(ctx, INTEGRATION_BRIDGE, INTEGRATION_BRIDGE in marks(ctx.host))
    found: Mapping[str, str | None] = kept(ctx, "ids", {})
    return found


def _take_switch(ids: dict[str, str | None], before: Mapping[str, str | None], ctx: StepContext) -> None:
    """Set what our controller needs, put aside what would break it, and mark both as ours."""
    host, mark = ctx.host, mark_of_run(ctx)
    others = {key: value for key, value in before.items() if value is not None}
    now = external_ids(host)
    # Once it is ours, LXD has its own mapping there.
    mappings = now.get(MAPPINGS) if MARK in now else while_here(now.get(MAPPINGS, ""))
    wanted = dict.fromkeys((*before, *disturbing(now))) | {MAPPINGS: mappings} | ids
    memory = json.dumps(others, separators=(",", ":")) if others else None
    set_external_ids(host, {**wanted, MARK: mark, BEFORE: memory})
    datapath = ids["ovn-bridge-datapath-type"]
    _set_bridge(host, f"external_ids:{MARK}={mark}", *([f"datapath_type={datapath}"] if datapath else []))


def _set_bridge(host: Host, *settings: str) -> None:
    """Make the integration bridge, if it is not there, as ovn-controller does, and set things at it."""
    usual = ("fail_mode=secure", "other_config:disable-in-band=true")
    made = ["--may-exist", "add-br", INTEGRATION_BRIDGE]
    vsctl(host, *made, "--", "set", "Bridge", INTEGRATION_BRIDGE, *usual, *settings)


def _takes_part(
    wanted: Mapping[str, str | None], uplinks: Mapping[str, str], ctx: StepContext
) -> Sequence[Offer] | None:
    ids = external_ids(ctx.host)
    if not ids.get(REMOTE, "").startswith("ssl:"):
        return None
    # Not the servers: a later step tells of all.
    if any(ids.get(key) != value for key, value in wanted.items() if key != REMOTE):
        return None
    if not set(disturbing(ids)) <= wanted.keys() or not _connected(ctx):
        return None
    return (
        NetworkAccess(driver="ovn", uplinks=uplinks),
        Chassis(system_id=ids.get("system-id", ""), tunnel_address=ids["ovn-encap-ip"]),
    )


def _connected(ctx: StepContext) -> bool | None:
    return daemon_status(ctx.host, "ovn-controller", "connection-status") == "connected" or None


def _stop(ctx: StepContext) -> None:
    before = kept(ctx, "active")
    if before is None:
        return
    host = ctx.host
    systemctl(host, "stop", CONTROLLER)
    ctx.restore_file(HOST_DEFAULTS)
    give_back(host, ctx.kept(MARK) or "", kept(ctx, "ids", {}), ctx.report)
    if kept(ctx, INTEGRATION_BRIDGE) and INTEGRATION_BRIDGE not in marks(host):
        # Not left to the controller: another OVN's settings may have it use another bridge.
        _set_bridge(host, "datapath_type=system")
    if before:
        systemctl(host, "start", *before)


def give_back(host: Host, mark: str, before: Mapping[str, str | None], report: Callable[[str], None]) -> None:
    """Take our settings and the integration bridge out of Open vSwitch, and give back what others had set.

    Only what bears the mark. A bridge to which others have added ports since stays, without the mark.
    """
    ids = external_ids(host)
    if not mark:
        return
    if ids.get(MARK) == mark:
        for port in patches(host):  # in an operator's bridge, too, which was our uplink
            vsctl(host, "--if-exists", "del-port", port)
        mappings = as_before(host, ids.get(MAPPINGS, ""), before.get(MAPPINGS))
        set_external_ids(host, {**before, MAPPINGS: mappings, MARK: None, BEFORE: None})
    if marks(host).get(INTEGRATION_BRIDGE) != mark:
        return
    if strangers := foreign_ports(host, INTEGRATION_BRIDGE):
        report(f"bridge {INTEGRATION_BRIDGE} stays: it has ports of others, {', '.join(strangers)}")
        vsctl(host, "remove", "Bridge", INTEGRATION_BRIDGE, "external_ids", MARK)
    else:
        vsctl(host, "--if-exists", "del-br", INTEGRATION_BRIDGE)

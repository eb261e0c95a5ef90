"""The step that makes a machine take part in virtual networks: its ovn-controller and its tunnels."""

from collections.abc import Mapping, Sequence
from functools import partial

from mcloud import NetworkAccess, Node, Offer, Step, StepContext
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
from mcloud_ovn.kept import keep, keep_file, kept, restore_file
from mcloud_ovn.roles import INTEGRATION_BRIDGE, remotes

HOST = "ovn-host.service"
CONTROLLER = "ovn-controller.service"
SWITCH = "openvswitch-switch.service"

REMOTE = "ovn-remote"
MAPPINGS = "ovn-bridge-mappings"
"""Not set by us, but by whoever uses the networks; without OVN it means nothing, so undo clears it too."""


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
        probe=partial(_takes_part, tunnel_address, uplinks),
        undo=_stop,
        offers=(NetworkAccess, Chassis),
    )


def _start(ids: dict[str, str | None], ctx: StepContext) -> None:
    host = ctx.host
    keep_file(ctx, HOST_DEFAULTS)
    keep(ctx, "active", active(host, (HOST, CONTROLLER)))
    ensure_enabled(host, SWITCH, HOST)
    systemctl(host, "start", SWITCH)
    before = external_ids(host)
    keep(ctx, "ids", {key: before.get(key) for key in (*ids, MAPPINGS)})
    tls = "--ovn-controller-ssl"
    # Ahead of the stop: by this file a reset knows that it was us who stopped it.
    host.write(
        HOST_DEFAULTS,
        defaults([f"{tls}-key={KEY}", f"{tls}-cert={CERTIFICATE}", f"{tls}-ca-cert={AUTHORITY}"]),
    )
    systemctl(host, "stop", CONTROLLER)
    set_external_ids(host, ids)
    systemctl(host, "reset-failed", CONTROLLER, check=False)
    systemctl(host, "start", HOST, CONTROLLER)
    ctx.wait(
        lambda: _connected(ctx), what="ovn-controller to reach the southbound database", patience=PATIENCE
    )


def _takes_part(tunnel_address: str, uplinks: Mapping[str, str], ctx: StepContext) -> Sequence[Offer] | None:
    ids = external_ids(ctx.host)
    if not ids.get(REMOTE, "").startswith("ssl:") or ids.get("ovn-encap-ip") != tunnel_address:
        return None
    if not _connected(ctx):
        return None
    return (
        NetworkAccess(driver="ovn", uplinks=uplinks),
        Chassis(system_id=ids.get("system-id", ""), tunnel_address=tunnel_address),
    )


def _connected(ctx: StepContext) -> bool | None:
    return daemon_status(ctx.host, "ovn-controller", "connection-status") == "connected" or None


def _stop(ctx: StepContext) -> None:
    before = kept(ctx, "active")
    if before is None:
        return
    host = ctx.host
    systemctl(host, "stop", CONTROLLER)
    restore_file(ctx, HOST_DEFAULTS)
    set_external_ids(host, kept(ctx, "ids", {}))
    vsctl(host, "--if-exists", "del-br", INTEGRATION_BRIDGE)
    if before:
        systemctl(host, "start", *before)

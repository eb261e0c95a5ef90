"""What others have in Open vSwitch: told by `inspect`, judged by `preflight`, put aside while OVN is here."""

import json
from collections.abc import Iterator, Mapping, Sequence

from mcloud import Check, Host, Node
from mcloud_ovn.client import external_ids, vsctl
from mcloud_ovn.mark import MARK, foreign_ports, marks
from mcloud_ovn.roles import (
    BRIDGE,
    INTEGRATION_BRIDGE,
    LXDS,
    TUNNEL_BRIDGE,
    UPLINK,
    UPLINK_BRIDGE,
    operators_bridges,
    settings_of,
    tunnels_by_bridge,
    uplink_by_bridge,
)
from mcloud_ovn.settings import OvnNode

MAPPINGS = "ovn-bridge-mappings"
"""By which bridge each physical network is reached. LXD adds its own to it; those of others stay."""

SYSTEM_ID = "system-id"
IDENTITY = "system-id:"
"""Before Open vSwitch's identity, among a machine's features."""

SETTING = "set-by-others:"
"""Before a setting of another OVN that would break ours, among a machine's features."""

IN_THE_WAY = "in-br-int:"
"""Before a port of others in the integration bridge, among a machine's features."""

OUR_BRIDGE = "bridge-of-mcloud:"
"""Before the name of a bridge that bears our mark, of an earlier run, among a machine's features."""

_DISTURBING = frozenset(
    {
        *("ovn-remote", "ovn-bridge", "ovn-bridge-datapath-type", "ovn-encap-type", "ovn-encap-ip"),
        *("ovn-encap-ip-default", "ovn-encap-csum", "ovn-encap-tos", "ovn-encap-df_default"),
        *("ovn-set-local-ip", "ovn-transport-zones", "ovn-is-interconn"),
    }
)
"""Settings of ovn-controller that decide which switch and which tunnels it uses (ovn-controller(8))."""


def look(host: Host) -> Iterator[str]:
    """Yield features: the switch's identity, bridges of others, and settings of others that break us."""
    ids = external_ids(host)
    if SYSTEM_ID in ids:
        yield f"{IDENTITY}{ids[SYSTEM_ID]}"[:255]
    if MARK not in ids:
        for key in disturbing(ids):
            yield f"{SETTING}{key}={ids[key]}"[:255]
        for entry in of_uplink(ids.get(MAPPINGS, "")):
            yield f"{SETTING}{MAPPINGS}={entry}"[:255]
    for bridge, mark in marks(host).items():
        if bridge == INTEGRATION_BRIDGE and MARK not in ids:
            yield from (f"{IN_THE_WAY}{port}" for port in foreign_ports(host, bridge, instances=True))
        elif bridge != INTEGRATION_BRIDGE and not bridge.startswith(LXDS):
            yield f"{OUR_BRIDGE if mark else BRIDGE}{bridge}"


def without_carrier(host: Host) -> Sequence[str]:
    """Return the interfaces that are up and have no cable, or nothing at its other end."""
    links = json.loads(host.run(["ip", "-j", "link"], seconds=10).stdout or "[]")
    return [link["ifname"] for link in links if "NO-CARRIER" in link.get("flags", ())]


def disturbing(ids: Mapping[str, str]) -> Sequence[str]:
    """Return the keys that would break our OVN, also those that are for this machine's identity alone.

    Since OVN 22.12 a key with `-` and the system-id behind it goes before the one without.
    """
    of_this = f"-{ids.get(SYSTEM_ID, '')}"
    return sorted(key for key in ids if key in _DISTURBING or key.removesuffix(of_this) in _DISTURBING)


def of_uplink(mappings: str) -> Sequence[str]:
    """Return the entries of bridge mappings for the network that is to be ours."""
    return [entry for entry in _entries(mappings) if entry.partition(":")[0] == UPLINK]


def while_here(mappings: str) -> str | None:
    """Return bridge mappings as they have to be for our OVN: without those of our own network's name."""
    taken = of_uplink(mappings)
    return ",".join(entry for entry in _entries(mappings) if entry not in taken) or None


def as_before(host: Host, now: str, before: str | None) -> str | None:
    """Return bridge mappings when our OVN has gone: what was there before, and what others added since."""
    there = set(vsctl(host, "list-br").split())
    kept = _entries(before or "")
    added = [
        entry
        for entry in _entries(now)
        for network, _, bridge in [entry.partition(":")]
        if entry not in kept and network != UPLINK and bridge in there and not bridge.startswith(LXDS)
    ]
    return ",".join([before, *added] if before else added) or None


def check_cloud(nodes: Sequence[Node]) -> Iterator[Check]:
    """Find machines with the same identity: clones of one image."""
    by_identity: dict[str, list[str]] = {}
    for node in nodes:
        for identity in _features(node, IDENTITY):
            by_identity.setdefault(identity, []).append(node.name)
    for identity, names in by_identity.items():
        if len(names) > 1:
            yield Check(
                level="error",
                message=f"{', '.join(names)} have one and the same identity in Open vSwitch ({identity}), "
                "as clones of one machine have: OVN would take them for one",
                hint=f"on {', '.join(names[1:])}: `rm -f /etc/openvswitch/system-id.conf && "
                "systemctl restart openvswitch-switch` makes a new one",
            )


def check_machine(node: Node, node_settings: Mapping[str, OvnNode]) -> Iterator[Check]:
    """Find what is in the way on one machine, and what is put aside or used as it is."""
    as_uplink = f", or use it as it is for the uplink (`uplink_interface: {UPLINK_BRIDGE}`)"
    wanted = [UPLINK_BRIDGE] if uplink_by_bridge(node, node_settings) else []
    wanted += [TUNNEL_BRIDGE] if tunnels_by_bridge(node, node_settings) else []
    for bridge in wanted:
        by_name = any(nic.name == bridge for nic in node.survey.nics)
        if bridge in operators_bridges(node) or (by_name and bridge not in _features(node, OUR_BRIDGE)):
            yield Check(
                level="error",
                machine=node.name,
                message=f"there is a {bridge} already that mcloud did not make, and OVN needs that name",
                hint=f"give yours another name{as_uplink if bridge == UPLINK_BRIDGE else ''}",
            )
    if ports := _features(node, IN_THE_WAY):
        yield Check(
            level="error",
            machine=node.name,
            message=f"the bridge {INTEGRATION_BRIDGE} has ports that are not OVN's: {', '.join(ports)}",
            hint=f"OVN takes {INTEGRATION_BRIDGE} for itself alone: move these to a bridge of another name",
        )
    if settings := _features(node, SETTING):
        yield Check(
            level="warning",
            machine=node.name,
            message=f"Open vSwitch holds settings of another OVN: {', '.join(settings)}",
            hint="they are put aside as long as mcloud's OVN is here; `mcloud undo` brings them back",
        )
    if (uplink := settings_of(node, node_settings).uplink_interface) in operators_bridges(node):
        yield Check(
            level="warning",
            machine=node.name,
            message=f"the uplink is the bridge {uplink} of Open vSwitch, which is used as it is",
            hint="virtual networks add ports to it, and take them away again",
        )


def _entries(mappings: str) -> list[str]:
    return [entry for entry in mappings.split(",") if entry]


def _features(node: Node, start: str) -> Sequence[str]:
    state = node.services.get("ovn")
    return [one.removeprefix(start) for one in (state.features if state else ()) if one.startswith(start)]

"""What must be right on all machines before anything is changed."""

from collections.abc import Iterator, Mapping, Sequence

from mcloud import Check, Node, obstacle_checks
from mcloud_ovn import others
from mcloud_ovn.inspection import NO_CARRIER, ROUTED_BY, SERVERS_ONLY, SWITCH_RUNS
from mcloud_ovn.roles import (
    SERVERS,
    is_server,
    nic_with,
    operators_bridges,
    servers,
    settings_of,
    tunnel_address,
    tunnels_by_bridge,
    userspace,
)
from mcloud_ovn.settings import OvnNode, OvnSettings
from mcloud_ovn.uplink import PORT, range_ends

TAKEN = "give addresses of the uplink network that nobody has"


def check_all(
    nodes: Sequence[Node], settings: OvnSettings, node_settings: Mapping[str, OvnNode]
) -> Iterator[Check]:
    """Yield every finding, the cloud's first."""
    yield from _safety(nodes)
    yield from _datapath(nodes)
    yield from _gateways(settings)
    yield from _taken(nodes, settings)
    yield from _uplinks(nodes, settings, node_settings)
    yield from _one_network(nodes, node_settings)
    yield from others.check_cloud(nodes)
    for node in nodes:
        yield from _service(node, nodes)
        yield from others.check_machine(node, node_settings)
        yield from _tunnels(node, nodes, node_settings)
        yield from _uplink(node, node_settings)


def _error(message: str, hint: str, machine: str = "") -> Check:
    return Check(level="error", message=message, hint=hint, machine=machine)


def _warning(message: str, hint: str = "", machine: str = "") -> Check:
    return Check(level="warning", message=message, hint=hint, machine=machine)


def _safety(nodes: Sequence[Node]) -> Iterator[Check]:
    if len(nodes) < SERVERS:
        alone = servers(nodes)[0].name
        yield _warning(
            f"OVN's databases run on {alone} alone: while it is down networks cannot be changed, "
            "and if it is lost they are",
            f"with {SERVERS} machines one may be lost",
        )


def _datapath(nodes: Sequence[Node]) -> Iterator[Check]:
    slow = [node.name for node in nodes if userspace(node)]
    if not slow:
        yield Check(level="ok", message="packets are switched in the kernel")
        return
    yield _warning(
        f"on {', '.join(slow)} the kernel lacks openvswitch or geneve: packets are switched in userspace, "
        "several times slower, and TCP and UDP work only in instances that compute their own checksums",
        "boot a kernel with both modules, or give `ethtool -K eth0 tx off` in each instance",
    )


def _service(node: Node, nodes: Sequence[Node]) -> Iterator[Check]:
    state = node.services.get("ovn")
    if state is None:
        yield _error("what there is of OVN could not be seen", "look at this machine's log", node.name)
        return
    missing = [package for package in state.missing if package != "ovn-central" or is_server(node, nodes)]
    if missing:
        yield _error(
            f"not installed: {', '.join(missing)}",
            f"apt-get install {' '.join(missing)}, or give --install",
            node.name,
        )
    if state.standing in {"alone", "clustered"}:
        yield _error(
            f"OVN is in use here already: {state.note}",
            "mcloud takes over no OVN that it did not make; remove what was found, or leave this machine out",
            node.name,
        )
    elif state.installed and SWITCH_RUNS not in state.features:
        yield _error(
            "Open vSwitch does not run",
            "systemctl status openvswitch-switch ovs-vswitchd says why; does the kernel have its module?",
            node.name,
        )
    if state.standing == "idle":
        yield from obstacle_checks(node, state, without=() if is_server(node, nodes) else SERVERS_ONLY)


def _gateways(settings: OvnSettings) -> Iterator[Check]:
    gateway, given = settings.ipv4_gateway, settings.ipv4_range
    if bool(gateway) != bool(given):
        yield _error(
            "of ovn.ipv4_gateway and ovn.ipv4_range only one is set",
            "virtual routers take their addresses from the range, beside the gateway: set both, or neither",
        )
    if gateway and given:
        first, last = range_ends(given)
        if first not in gateway.network or last not in gateway.network:
            yield _error(
                f"ovn.ipv4_range {given} is not inside the gateway's network {gateway.network}",
                "give a range of that network that nobody else takes addresses from",
            )
        elif first <= gateway.ip <= last:
            yield _error(
                f"ovn.ipv4_range {given} holds the gateway {gateway.ip} itself", "give a range without it"
            )
    for name, one in (("ipv4_gateway", gateway), ("ipv6_gateway", settings.ipv6_gateway)):
        if one and one.network.num_addresses > 2 and one.ip == one.network.network_address:  # noqa: PLR2004 - /31
            yield _error(
                f"ovn.{name} {one} is a network, not an address in it", "give the gateway's own address"
            )


def _taken(nodes: Sequence[Node], settings: OvnSettings) -> Iterator[Check]:
    """Find addresses of machines where virtual networks would have theirs."""
    gateways = [gateway.ip for gateway in (settings.ipv4_gateway, settings.ipv6_gateway) if gateway]
    first, last = range_ends(settings.ipv4_range) if settings.ipv4_range else (None, None)
    for node in nodes:
        for own in (address.ip for nic in node.survey.nics for address in nic.addresses):
            if own in gateways:
                yield _error(f"the uplink's gateway {own} is an address of this machine", TAKEN, node.name)
            elif first and last and own.version == first.version and first <= own <= last:
                yield _error(f"ovn.ipv4_range holds {own}, an address of this machine", TAKEN, node.name)


def _uplinks(
    nodes: Sequence[Node], settings: OvnSettings, node_settings: Mapping[str, OvnNode]
) -> Iterator[Check]:
    with_one = [node.name for node in nodes if settings_of(node, node_settings).uplink_interface]
    without = [node.name for node in nodes if node.name not in with_one]
    gateway = settings.ipv4_gateway or settings.ipv6_gateway
    if gateway and without:
        yield _error(
            f"an uplink gateway is set, but {', '.join(without)} has no ovn.uplink_interface",
            "virtual networks move to any machine when one is lost: give each an interface, or no gateway",
        )
    elif not gateway:
        yield _warning(
            "no ovn.ipv4_gateway and no ovn.ipv6_gateway: without an uplink there is no virtual network, and "
            "instances get a network of each machine's own",
            "set a gateway, its range and each machine's uplink_interface",
        )


def _one_network(nodes: Sequence[Node], node_settings: Mapping[str, OvnNode]) -> Iterator[Check]:
    networks: dict[str, list[str]] = {}
    for node in nodes:
        address = tunnel_address(node, node_settings)
        nic = nic_with(node, address)
        for own in nic.addresses if nic else ():
            if str(own.ip) == address:
                networks.setdefault(str(own.network), []).append(node.name)
    if len(networks) > 1:
        found = "; ".join(f"{network}: {', '.join(names)}" for network, names in networks.items())
        yield _warning(
            f"tunnel addresses are in different networks ({found})",
            "give each machine an ovn.underlay_ip in one network, unless these are routed to each other",
        )


def _tunnels(node: Node, nodes: Sequence[Node], node_settings: Mapping[str, OvnNode]) -> Iterator[Check]:
    address = tunnel_address(node, node_settings)
    nic = nic_with(node, address)
    if nic is None:
        yield _error(
            f"the tunnel address {address} is on no interface",
            "set ovn.underlay_ip to an address of this machine",
            node.name,
        )
        return
    if not userspace(node):
        return
    beside = {str(own.ip) for own in nic.addresses} & {node.address}
    if beside and (len(nodes) > 1 or tunnels_by_bridge(node, node_settings)):
        yield _error(
            f"in userspace {nic.name} has to become a port of a bridge, and it carries {node.address}, "
            "by which this machine is reached",
            "give the machine an ovn.underlay_ip on another interface",
            node.name,
        )
    if tunnels_by_bridge(node, node_settings) and f"{ROUTED_BY}{nic.name}" in _features(node):
        yield _error(
            f"in userspace {nic.name} has to become a port of a bridge, and routes lead through it",
            "give the machine an ovn.underlay_ip on an interface that has only its own network",
            node.name,
        )


def _uplink(node: Node, node_settings: Mapping[str, OvnNode]) -> Iterator[Check]:
    name = settings_of(node, node_settings).uplink_interface
    if not name:
        return
    nic = next((nic for nic in node.survey.nics if nic.name == name), None)
    addresses = [str(own) for own in nic.addresses if not own.ip.is_link_local] if nic else []
    is_bridge = name in operators_bridges(node)
    hint = "give an interface that is connected to the uplink network and used for nothing else"
    if nic is None and not is_bridge:
        there = ", ".join(nic.name for nic in node.survey.nics) or "none"
        yield _error(f"there is no interface {name} (there are: {there})", hint, node.name)
    elif addresses:
        yield _error(f"the uplink interface {name} carries {', '.join(addresses)}", hint, node.name)
    elif nic and (nic.used_by or f"{PORT}{name}" in _features(node)) and not is_bridge:
        yield _error(
            f"the uplink interface {name} is in use by {nic.used_by or 'an Open vSwitch bridge'}",
            hint,
            node.name,
        )
    elif f"{NO_CARRIER}{name}" in _features(node):
        yield _warning(
            f"the uplink interface {name} has no carrier: no cable, or nothing at its other end",
            "virtual networks reach nothing outside until it has",
            node.name,
        )


def _features(node: Node) -> Sequence[str]:
    state = node.services.get("ovn")
    return state.features if state else ()

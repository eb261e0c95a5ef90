"""Who does what, and where OVN is reached: follows from the roster alone, the same on every machine."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address

from mcloud import Nic, Node
from mcloud_ovn.client import Database
from mcloud_ovn.settings import OvnNode

SERVERS = 3
"""Database servers in one raft, one of which may be lost. With fewer machines there is one server."""

TUNNEL_BRIDGE = "br-underlay"
UPLINK_BRIDGE = "br-uplink"
INTEGRATION_BRIDGE = "br-int"
LXDS = "lxdovn"
"""How the names of bridges begin that LXD makes for its uplinks, and removes itself."""

UPLINK = "UPLINK"
"""Name of the network that virtual networks reach the world through."""

BRIDGE = "bridge:"
"""Before the name of a bridge in Open vSwitch that mcloud did not make, among a machine's features."""


def servers(nodes: Sequence[Node]) -> Sequence[Node]:
    """Return the machines that run the databases and northd: the first three, or the first alone."""
    return nodes[:SERVERS] if len(nodes) >= SERVERS else nodes[:1]


def comes_back(node: Node, nodes: Sequence[Node]) -> bool:
    """Return whether a machine comes into a cloud that is there: it may have been in, and put out since."""
    return node.standing == "joining" and any(other.standing == "member" for other in nodes)


def is_server(node: Node, nodes: Sequence[Node]) -> bool:
    """Return whether a machine runs the databases."""
    return node.name in {server.name for server in servers(nodes)}


def keeps_authority(node: Node, nodes: Sequence[Node]) -> bool:
    """Return whether a machine holds the CA's key: the first three do, each may become the seat."""
    return node.name in {keeper.name for keeper in nodes[:SERVERS]}


def bracketed(address: str) -> str:
    """Return an address as Open vSwitch takes it before a port: IPv6 in brackets."""
    return f"[{address}]" if isinstance(ip_address(address), IPv6Address) else address


def remotes(nodes: Iterable[Node], database: Database) -> str:
    """Return how clients reach a database: `ssl:ADDRESS:PORT,...`."""
    return ",".join(f"ssl:{bracketed(node.address)}:{database.port}" for node in nodes)


def first_peer(node: Node, nodes: Sequence[Node]) -> Node | None:
    """Return the server that a server joins through if it has lost its databases; None if it is alone."""
    return next((server for server in servers(nodes) if server.name != node.name), None)


def settings_of(node: Node, node_settings: Mapping[str, OvnNode]) -> OvnNode:
    """Return a machine's settings; defaults if it has none."""
    return node_settings.get(node.name) or OvnNode()


def tunnel_address(node: Node, node_settings: Mapping[str, OvnNode]) -> str:
    """Return the address between which instances' traffic is encapsulated."""
    return str(settings_of(node, node_settings).underlay_ip or node.address)


def nic_with(node: Node, address: str) -> Nic | None:
    """Return the interface that has an address; None if the machine has no such address."""
    return next((nic for nic in node.survey.nics if address in {str(own.ip) for own in nic.addresses}), None)


def userspace(node: Node) -> bool:
    """Return whether packets are switched in userspace, because the kernel lacks what it takes."""
    return not {"openvswitch", "geneve"} <= set(node.survey.abilities)


def tunnels_by_bridge(node: Node, node_settings: Mapping[str, OvnNode]) -> bool:
    """Return whether the tunnel address has to sit on a bridge: tunnels in userspace leave by one only.

    Never if it is the address that carries the cloud's own traffic (`preflight` lets that pass for a
    machine alone, which has no tunnels).
    """
    return userspace(node) and tunnel_address(node, node_settings) != node.address


def uplinks(node: Node, node_settings: Mapping[str, OvnNode]) -> Mapping[str, str]:
    """Return a machine's own part of the uplink network, by its name; empty if it has none."""
    parent = uplink_parent(node, node_settings)
    return {UPLINK: parent} if parent else {}


def uplink_by_bridge(node: Node, node_settings: Mapping[str, OvnNode]) -> bool:
    """Return whether a machine's uplink becomes a port of a bridge of ours, as it has to in userspace.

    One that is a bridge of the operator's in Open vSwitch is used as it is.
    """
    interface = settings_of(node, node_settings).uplink_interface or ""
    return bool(interface) and userspace(node) and interface not in operators_bridges(node)


def operators_bridges(node: Node) -> Sequence[str]:
    """Return the bridges in a machine's Open vSwitch that mcloud did not make."""
    state = node.services.get("ovn")
    features = state.features if state else ()
    return [one.removeprefix(BRIDGE) for one in features if one.startswith(BRIDGE)]


def uplink_parent(node: Node, node_settings: Mapping[str, OvnNode]) -> str:
    """Return what virtual networks reach the world through on a machine; "" if it has no uplink."""
    interface = settings_of(node, node_settings).uplink_interface or ""
    return UPLINK_BRIDGE if uplink_by_bridge(node, node_settings) else interface

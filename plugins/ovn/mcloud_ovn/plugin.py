"""OVN: virtual networks across all machines. The hooks; the work is in the modules beside."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mcloud import API, Check, Host, Manifest, Node, ServiceState, Step, hookimpl
from mcloud_ovn import (
    adaptation,
    bridges,
    certificates,
    chassis,
    checks,
    cloudwide,
    databases,
    inspection,
    northd,
    recognition,
    roles,
)
from mcloud_ovn.reset import steps
from mcloud_ovn.settings import OvnNode, OvnSettings

Machines = Mapping[str, OvnNode]


@hookimpl
def manifest() -> Manifest:
    """Say what this plugin is."""
    return Manifest(
        api=API,
        summary="OVN: virtual networks across all machines, over TLS",
        settings=OvnSettings,
        node_settings=OvnNode,
        release_parts=2,
        facts=(chassis.Chassis,),
        packages={"debian": ("ovn-central", "ovn-host", "openvswitch-switch")},
        units=("ovn-*", "ovs-*", "ovsdb-server.*", "openvswitch-switch.*", "mcloud-ovn-*"),
        shows=(("ovn-sbctl", "--timeout=10", "--no-leader-only", "show"),),
    )


@hookimpl
def inspect(host: Host) -> ServiceState:
    """Look for OVN and Open vSwitch on this machine."""
    return inspection.look(host)


@hookimpl
def preflight(nodes: Sequence[Node], settings: OvnSettings, node_settings: Machines) -> Iterable[Check]:
    """Check settings, interfaces and what is there already."""
    return checks.check_all(nodes, settings, node_settings)


@hookimpl
def bootstrap(node: Node) -> Iterator[Step]:
    """Make the CA, both databases as rafts of one, and northd, which fills them before others come."""
    yield certificates.found_authority()
    yield certificates.certify_founder(node)
    yield databases.serve(node, peer=None)
    yield northd.first_northd(node)


@hookimpl
def issue_token(node: Node, nodes: Sequence[Node]) -> Iterator[Step]:
    """Sign the joiner's request for a certificate."""
    yield certificates.issue(node, with_authority_key=roles.keeps_authority(node, nodes))


@hookimpl
def join(node: Node, nodes: Sequence[Node], node_settings: Machines) -> Iterator[Step]:
    """Get a certificate, run a server where the roster wants one, and take part in networks."""
    founder, serves = nodes[0], roles.is_server(node, nodes)
    # Only servers that listen by then: who meets another first waits a second and more.
    listening = [founder, node] if serves and not node.founder else [founder]
    address = roles.tunnel_address(node, node_settings)
    if not node.founder:
        yield certificates.make_key(node)
    if ports := bridges.ports(node, node_settings):
        yield recognition.recognise([port.nic for port in ports])
        yield bridges.connect(ports)
    if not node.founder:
        yield certificates.take_certificate(with_authority_key=roles.keeps_authority(node, nodes))
        if serves:
            yield databases.serve(node, peer=founder, back=roles.comes_back(node, nodes))
            yield northd.standby_northd(roles.servers(nodes))
    yield chassis.take_part(
        tunnel_address=address,
        userspace=roles.userspace(node),
        servers=listening,
        uplinks=roles.uplinks(node, node_settings),
    )


@hookimpl
def configure(
    nodes: Sequence[Node], settings: OvnSettings, node_settings: Machines, fallen: Sequence[Node]
) -> Iterator[Step]:
    """See that all are in, and offer the networks."""
    yield cloudwide.gather_servers(fallen)
    if len(roles.servers(nodes)) > 1:
        yield adaptation.find_leaders(nodes)
    yield cloudwide.gather_chassis(nodes, node_settings)
    yield cloudwide.open_networks(nodes, settings, node_settings)


@hookimpl
def adapt(node: Node, nodes: Sequence[Node]) -> Iterator[Step]:
    """Tell this machine of all servers."""
    return adaptation.fit(node, nodes)


@hookimpl
def reset() -> Iterator[Step]:
    """End OVN on this machine."""
    return steps()

"""OVN's settings, and what is checked of all machines before any change."""

import pytest
from pydantic import ValidationError

from mcloud import Nic, Node, ServiceState, Survey
from mcloud_ovn import plugin
from mcloud_ovn.settings import OvnNode, OvnSettings

GATEWAY = {"ipv4_gateway": "192.0.2.1/24", "ipv4_range": "192.0.2.100-192.0.2.254"}
IDLE = ServiceState(installed=True, standing="idle", features=("switch-runs",))


def machine(number, *, abilities=("openvswitch", "geneve"), ovn=IDLE, uplink=(), used_by=""):
    nics = (
        Nic(name="eth0", addresses=(f"10.10.0.{number}/24",)),
        Nic(name="eth1", addresses=uplink, used_by=used_by),
        Nic(name="eth2", addresses=(f"10.10.2.{number}/24",)),
    )
    return Node(
        name=f"n{number}",
        addresses=(f"10.10.0.{number}",),
        founder=number == 1,
        survey=Survey(abilities=abilities, nics=nics),
        services={"ovn": ovn},
    )


THREE = (machine(1), machine(2), machine(3))


def settings_of(nodes, **more):
    return {node.name: OvnNode(uplink_interface="eth1", **more) for node in nodes}


def found(nodes=THREE, settings=GATEWAY, node_settings=None, level="error"):
    chosen = settings_of(nodes) if node_settings is None else node_settings
    checks = plugin.preflight(nodes, OvnSettings(**settings), chosen)
    return [f"{check.machine}: {check.message}" for check in checks if check.level == level]


def test_three_machines_with_an_uplink_pass_without_a_word():
    assert found() == []
    assert found(level="warning") == []
    assert found(level="ok") == [": packets are switched in the kernel"]


@pytest.mark.parametrize(
    "text",
    ["192.0.2.100", "192.0.2.100-", "a-b", "192.0.2.9-192.0.2.1", "2001:db8::1-2001:db8::2", "1-2-3"],
)
def test_a_range_that_is_none_is_refused_when_it_is_read(text):
    with pytest.raises(ValidationError, match="ipv4_range"):
        OvnSettings(ipv4_range=text)


def test_a_range_may_be_written_with_blanks():
    assert OvnSettings(ipv4_range="192.0.2.1 - 192.0.2.9").ipv4_range == "192.0.2.1-192.0.2.9"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ipv4_gateway": "192.0.2.1/24"}, "only one is set"),
        ({"ipv4_range": "192.0.2.1-192.0.2.9"}, "only one is set"),
        (GATEWAY | {"ipv4_range": "192.0.3.1-192.0.3.9"}, "not inside"),
        (GATEWAY | {"ipv4_range": "192.0.2.250-192.0.3.9"}, "not inside"),
        (GATEWAY | {"ipv4_range": "192.0.2.1-192.0.2.9"}, "holds the gateway"),
        (GATEWAY | {"ipv4_gateway": "192.0.2.0/24"}, "a network, not an address"),
        ({"ipv6_gateway": "2001:db8::/64"}, "a network, not an address"),
    ],
)
def test_gateways_and_ranges_have_to_fit(settings, said):
    (message,) = found(settings=settings)
    assert said in message


def test_an_uplink_for_some_machines_only_is_refused():
    chosen = settings_of(THREE) | {"n3": OvnNode()}
    assert found(node_settings=chosen) == [": an uplink gateway is set, but n3 has no ovn.uplink_interface"]


def test_without_a_gateway_it_says_what_is_missing_then():
    assert found(settings={}) == []
    (message,) = found(settings={}, level="warning")
    assert "instances get a network of each machine's own" in message


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (machine(1, uplink=("192.0.2.7/24",)), "n1: the uplink interface eth1 carries 192.0.2.7/24"),
        (machine(1, used_by="br0"), "n1: the uplink interface eth1 is in use by br0"),
        (
            machine(1, ovn=IDLE.model_copy(update={"features": ("switch-runs", "port:eth1")})),
            "n1: the uplink interface eth1 is in use by an Open vSwitch bridge",
        ),
        (machine(1, uplink=("fe80::1/64",)), None),
    ],
)
def test_an_uplink_interface_is_used_for_nothing_else(node, said):
    assert found(nodes=(node, *THREE[1:])) == ([said] if said else [])


def test_an_interface_that_is_not_there_is_named_with_those_that_are():
    chosen = settings_of(THREE) | {"n2": OvnNode(uplink_interface="enp9s0")}
    assert found(node_settings=chosen) == ["n2: there is no interface enp9s0 (there are: eth0, eth1, eth2)"]


def test_a_tunnel_address_has_to_be_the_machines_own():
    chosen = settings_of(THREE) | {"n2": OvnNode(uplink_interface="eth1", underlay_ip="10.10.9.9")}
    assert found(node_settings=chosen) == ["n2: the tunnel address 10.10.9.9 is on no interface"]


def test_tunnel_addresses_in_two_networks_are_a_warning_that_names_them():
    chosen = settings_of(THREE) | {"n2": OvnNode(uplink_interface="eth1", underlay_ip="10.10.2.2")}
    (message,) = found(node_settings=chosen, level="warning")
    assert "10.10.0.0/24: n1, n3; 10.10.2.0/24: n2" in message


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_machines_are_told_what_it_costs(count):
    (message,) = found(nodes=THREE[:count], level="warning")
    assert "on n1 alone" in message


USERSPACE = tuple(machine(number, abilities=("geneve",)) for number in (1, 2, 3))


def test_userspace_must_not_take_the_address_by_which_a_machine_is_reached():
    messages = found(nodes=USERSPACE)
    assert [message.partition(":")[0] for message in messages] == ["n1", "n2", "n3"]
    assert "it carries 10.10.0.1, by which this machine is reached" in messages[0]


def test_userspace_with_an_interface_for_tunnels_passes_and_says_what_it_costs():
    chosen = {
        node.name: OvnNode(uplink_interface="eth1", underlay_ip=f"10.10.2.{node.name[1:]}")
        for node in USERSPACE
    }
    assert found(nodes=USERSPACE, node_settings=chosen) == []
    (message,) = found(nodes=USERSPACE, node_settings=chosen, level="warning")
    assert "on n1, n2, n3 the kernel lacks openvswitch or geneve" in message


def test_userspace_must_not_take_an_interface_that_routes_lead_through():
    routed = machine(
        1, abilities=(), ovn=IDLE.model_copy(update={"features": ("switch-runs", "routed-by:eth2")})
    )
    chosen = settings_of([routed], underlay_ip="10.10.2.1")
    (message,) = found(nodes=[routed], node_settings=chosen)
    assert "eth2" in message
    assert "routes lead through it" in message


def test_a_machine_alone_is_not_cut_off_by_an_address_beside_its_own():
    alone = machine(1, abilities=())
    nics = (Nic(name="eth0", addresses=("10.10.0.1/24", "10.10.2.1/24")), Nic(name="eth1"))
    alone = alone.model_copy(update={"survey": Survey(nics=nics)})
    (message,) = found(nodes=[alone], node_settings=settings_of([alone], underlay_ip="10.10.2.1"))
    assert "it carries 10.10.0.1, by which this machine is reached" in message


def test_a_machine_alone_has_no_tunnels_and_may_be_in_userspace_with_one_interface():
    assert found(nodes=USERSPACE[:1]) == []


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            ServiceState(installed=False, missing=("ovn-host", "ovn-central")),
            "not installed: ovn-host, ovn-central",
        ),
        (
            ServiceState(installed=True, standing="clustered", note="a clustered OVN_Northbound database"),
            "OVN is in use here already: a clustered OVN_Northbound database",
        ),
        (ServiceState(installed=True, standing="idle"), "Open vSwitch does not run"),
    ],
)
def test_a_machine_that_cannot_take_part_is_refused_with_what_was_found(state, said):
    assert found(nodes=(*THREE[:2], machine(3, ovn=state))) == [f"n3: {said}"]


def test_a_machine_that_serves_no_database_needs_no_server():
    state = IDLE.model_copy(update={"missing": ("ovn-central",)})
    assert found(nodes=(*THREE, machine(4, ovn=state))) == []
    assert found(nodes=(*THREE[:2], machine(3, ovn=state))) == ["n3: not installed: ovn-central"]


def test_a_machine_that_could_not_be_looked_at_is_refused():
    blind = THREE[2].model_copy(update={"services": {}})
    assert found(nodes=(*THREE[:2], blind)) == ["n3: what there is of OVN could not be seen"]


def test_addresses_of_machines_are_not_given_to_virtual_networks():
    inside = {"ipv4_gateway": "10.10.2.1/24", "ipv4_range": "10.10.2.2-10.10.2.9"}
    assert found(settings=inside) == [
        "n1: the uplink's gateway 10.10.2.1 is an address of this machine",
        "n2: ovn.ipv4_range holds 10.10.2.2, an address of this machine",
        "n3: ovn.ipv4_range holds 10.10.2.3, an address of this machine",
    ]

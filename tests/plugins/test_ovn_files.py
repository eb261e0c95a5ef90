"""What OVN's plugin reads from the tools and writes for systemd, word by word; and who serves."""

import pytest

from mcloud import Nic, Node, Result
from mcloud.testing.host import FakeHost
from mcloud_ovn import bridges, databases, northd, recognition, roles
from mcloud_ovn.client import NB, SB, external_ids, raft, set_external_ids
from mcloud_ovn.files import NORTHD_PARAMETERS

FOLLOWER = """\
beb6
Name: OVN_Southbound
Cluster ID: 75aa (75aa00d5-1631-4cd6-8947-306570439e5a)
Server ID: beb6 (beb62a8e-69ae-4bf2-b990-1f060db5870a)
Address: ssl:[fd10:10::13]:6644
Status: cluster member
Role: follower
Term: 2
Leader: 11a9
Vote: 11a9

Election timer: 1000
Log: [2, 16]
Connections: (->0000) ->11a9 <-11a9
Servers:
    623d (623d at ssl:[fd10:10::11]:6644) last msg 16954 ms ago
    11a9 (11a9 at ssl:[fd10:10::12]:6644) next_index=15 match_index=14 last msg 285 ms ago
    beb6 (beb6 at ssl:[fd10:10::13]:6644) (self)
"""


def machines(count, address="10.10.0.1{}"):
    numbers = range(1, count + 1)
    return [Node(name=f"n{n}", addresses=(address.format(n),), founder=n == 1) for n in numbers]


def test_a_rafts_state_is_read_with_all_its_servers():
    state = raft(FakeHost(answer=lambda _call: FOLLOWER), SB)
    assert state.settled
    assert state.servers == {
        "ssl:[fd10:10::11]:6644": "623d",
        "ssl:[fd10:10::12]:6644": "11a9",
        "ssl:[fd10:10::13]:6644": "beb6",
    }


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("Status: cluster member", "Status: joining cluster"),
        ("Status: cluster member", "Status: left cluster"),
        ("Leader: 11a9", "Leader: unknown"),
    ],
)
def test_a_server_that_is_not_in_or_knows_no_leader_is_not_settled(line, instead):
    assert line in FOLLOWER
    assert not raft(FakeHost(answer=lambda _call: FOLLOWER.replace(line, instead)), SB).settled


def test_a_stand_alone_server_has_no_raft():
    refusal = Result(2, "", '"cluster/status" is not a valid command')
    assert raft(FakeHost(answer=lambda _call: refusal), NB) is None


def test_external_ids_are_read_and_set_in_one_transaction():
    host = FakeHost(answer=lambda _call: '{"data":[[["map",[["ovn-encap-ip","10.0.0.1"]]]]]}')
    assert external_ids(host) == {"ovn-encap-ip": "10.0.0.1"}
    set_external_ids(host, {"ovn-remote": "ssl:10.0.0.1:6642", "gone": None})
    assert " ".join(host.calls[-1]) == (
        "ovs-vsctl --timeout=30 remove Open_vSwitch . external_ids ovn-remote "
        '-- set Open_vSwitch . external_ids:ovn-remote="ssl:10.0.0.1:6642" '
        "-- remove Open_vSwitch . external_ids gone"
    )


@pytest.mark.parametrize(("count", "serving"), [(1, 1), (2, 1), (3, 3), (5, 3)])
def test_three_serve_or_one(count, serving):
    nodes = machines(count)
    assert [node.name for node in roles.servers(nodes)] == ["n1", "n2", "n3"][:serving]
    assert [roles.is_server(node, nodes) for node in nodes] == [n < serving for n in range(count)]


def test_a_server_that_lost_its_databases_joins_another_and_never_founds_a_second_cluster():
    nodes = machines(3)
    peers = [roles.first_peer(node, nodes).name for node in nodes]
    assert peers == ["n2", "n1", "n1"]
    assert roles.first_peer(nodes[0], nodes[:2]) is None
    text = databases.central_options(nodes[0], peer=nodes[1])
    for short in ("nb", "sb"):
        assert f"--db-{short}-cluster-remote-addr=10.10.0.12 " in text


def test_all_that_servers_say_to_each_other_and_to_clients_goes_through_tls():
    (founder,) = machines(1, "fd10:10::1{}")
    options = databases.central_options(founder, peer=None)
    for short in ("nb", "sb"):
        assert f"--db-{short}-cluster-local-addr=[fd10:10::11] " in options
        assert f"--db-{short}-cluster-local-proto=ssl " in options
        assert f"--db-{short}-create-insecure-remote=no " in options
        assert f"--ovn-{short}-db-ssl-ca-cert=/etc/ovn/ovn-central.crt " in options
    assert "remote-addr" not in options
    assert "tcp" not in options


def test_the_units_listen_on_the_machines_address_and_northd_waits_for_the_rafts():
    texts = databases.drop_ins(machines(1)[0])
    folder = "/etc/systemd/system"
    run = "ExecStart=/usr/share/ovn/scripts/ovn-ctl run_nb_ovsdb $OVN_CTL_OPTS --"
    assert texts[f"{folder}/ovn-ovsdb-server-nb.service.d/mcloud.conf"].splitlines()[-3:] == [
        "[Service]",
        "ExecStart=",
        f"{run} --remote=pssl:6641:10.10.0.11",
    ]
    assert texts[f"{folder}/ovn-northd.service.d/mcloud.conf"].splitlines() == [
        "[Service]",
        "ExecStartPre=-ovsdb-client --timeout=20 wait unix:/run/ovn/ovnnb_db.sock OVN_Northbound connected",
        "ExecStartPre=-ovsdb-client --timeout=20 wait unix:/run/ovn/ovnsb_db.sock OVN_Southbound connected",
    ]
    assert len(texts) == 3


def test_northd_is_told_of_all_servers():
    assert NORTHD_PARAMETERS == "/etc/ovn/ovn-northd-db-params.conf"
    assert northd.northd_parameters(machines(2)) == (
        "--ovnnb-db=ssl:10.10.0.11:6641,ssl:10.10.0.12:6641 "
        "--ovnsb-db=ssl:10.10.0.11:6642,ssl:10.10.0.12:6642\n"
    )


def test_an_address_is_on_the_bridge_before_it_leaves_the_interface():
    port = bridges.Port(
        interface="eth2",
        nic=Nic(name="eth2"),
        bridge="br-underlay",
        addresses=["10.10.2.11/24", "fd10::11/64"],
        unit="x.service",
        what="tunnels",
    )
    lines = bridges.unit_file(port).splitlines()
    assert lines[lines.index("RemainAfterExit=yes") + 1 : lines.index("[Install]") - 1] == [
        "ExecStart=ip link set dev eth2 up",
        "ExecStart=ip link set dev br-underlay up",
        "ExecStart=-ethtool --offload br-underlay tx off",
        "ExecStart=ip address replace 10.10.2.11/24 dev br-underlay",
        "ExecStart=-ip address del 10.10.2.11/24 dev eth2",
        "ExecStart=ip address replace fd10::11/64 dev br-underlay nodad",
        "ExecStart=-ip address del fd10::11/64 dev eth2",
    ]
    assert "Before=ovn-controller.service" in lines
    assert not recognition.named_in("\n".join(lines))


def test_a_unit_is_for_the_interface_of_the_plan_and_no_other_of_its_name():
    address = "02:00:00:00:00:0a"
    for mac, lines in ((address, 1), ("02:00:00:00:00:0b", 0)):  # in a bond it shows the bond's
        port = bridges.uplink_port(Nic(name="eth1", mac=mac, permanent=address), by_bridge=False)
        unit = bridges.unit_file(port)
        assert unit.count(f"ExecCondition=grep -qix {address} /sys/class/net/eth1/address\n") == lines
        (named,) = recognition.named_in(unit)
        assert (named.name, named.permanent) == ("eth1", address)

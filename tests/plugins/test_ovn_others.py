"""What others have in Open vSwitch: seen, named, never touched, put aside only where OVN could not work."""

import json

import pytest
import test_ovn_life
from ovn_machines import Debian, survey
from test_ovn_life import OvnContract, formed
from test_ovn_settings import THREE, found, machine, settings_of

from mcloud import ServiceState
from mcloud.errors import RunFailed
from mcloud.testing import FakeHost
from mcloud_ovn import plugin, roles
from mcloud_ovn.settings import OvnNode

LEFTOVERS = {
    "system-id": "id-1",
    "hostname": "old-name",
    "ovn-bridge": "br-old",
    "ovn-bridge-mappings": "physnet1:br-ex,UPLINK:br-ex",
    "ovn-encap-type": "vxlan",
    "ovn-encap-ip-id-1": "192.0.2.77",
    "ovn-transport-zones": "tz1",
    "ovn-monitor-all": "true",
}
"""What a program that used OVN before may have left; the last of it harms nobody."""


def beside_others(debian):
    """Put on a machine what others have in Open vSwitch, a bridge of a name that we take among it."""
    debian.ids = dict(LEFTOVERS)
    debian.bridges |= {"br-ex": ["eth8"], "br-uplink": ["eth9"]}
    return debian


class TestBesideOthers(OvnContract):
    """In the kernel no bridge of ours is needed: one of the operator's of that name troubles nobody."""

    machines = 1
    adopts = (*OvnContract.adopts, "northd")

    def survey(self):
        return survey(("openvswitch", "geneve"))

    def host(self):
        host = super().host()
        beside_others(host.answer.__self__)
        return host


def test_what_would_break_us_is_put_aside_and_the_rest_is_left():
    with formed(TestBesideOthers()) as (walk, debian):
        ids = debian.ids
        assert "ovn-bridge" not in ids
        assert "ovn-encap-ip-id-1" not in ids
        assert "ovn-transport-zones" not in ids
        assert (ids["ovn-encap-type"], ids["ovn-encap-ip"]) == ("geneve", "10.0.0.1")
        assert ids["ovn-bridge-mappings"] == "physnet1:br-ex"
        assert (ids["ovn-monitor-all"], ids["hostname"]) == ("true", "old-name")
        assert debian.bridges["br-uplink"] == ["eth9"]
        ids["ovn-bridge-mappings"] += ",UPLINK:lxdovn1,physnet2:br-ex,gone:br-gone"
        # Seen: ovn-controller's end of the patch stayed in the operator's bridge.
        debian.bridges["br-uplink"].append("patch-ext-to-br-int")
        debian.marks["patch-ext-to-br-int"] = {"ovn-localnet-port": "ext"}
        walk.undo()
        assert debian.ids == LEFTOVERS | {"ovn-bridge-mappings": "physnet1:br-ex,UPLINK:br-ex,physnet2:br-ex"}
        assert debian.bridges == {"br-int": [], "br-ex": ["eth8"], "br-uplink": ["eth9"]}


def test_a_port_that_somebody_put_into_our_bridge_meanwhile_keeps_it():
    with formed(TestBesideOthers()) as (walk, debian):
        debian.bridges["br-int"] = ["theirs", "ovn-abc-0"]
        debian.marks["ovn-abc-0"] = {"ovn-chassis-id": "abc"}
        walk.undo()
        assert debian.bridges["br-int"] == ["theirs", "ovn-abc-0"]
        assert debian.marks.get("br-int") == {}


def test_a_bridge_of_the_operators_is_never_taken_for_ours():
    class Taken(test_ovn_life.TestInUserspace):
        def host(self):
            host = super().host()
            host.answer.__self__.bridges["br-uplink"] = ["eth9"]
            return host

    with Taken()._begun() as walk:
        debian = walk.hosts["n1"].answer.__self__
        before = debian.world()
        with pytest.raises(RunFailed) as failure:
            walk.run()
        assert "a br-uplink that mcloud did not make" in str(failure.value.exceptions[0])
        walk.undo()
        assert debian.world() == before


def test_an_uplink_in_a_bridge_that_the_operator_made_since_stays_there():
    with formed(TestBesideOthers()) as (walk, debian):
        debian.bridges["br-new"] = ["eth1"]
        walk.undo()
        assert debian.bridges["br-new"] == ["eth1"]


# ---- what is seen, and said of it ------------------------------------------------------------------------


def seen(debian):
    return plugin.inspect(FakeHost(answer=debian.answer, files=debian.files))


def with_features(number, *features, abilities=("openvswitch", "geneve")):
    state = ServiceState(installed=True, standing="idle", features=("switch-runs", *features))
    return machine(number, ovn=state, abilities=abilities)


def test_what_others_have_is_seen():
    debian = beside_others(Debian())
    debian.bridges["br-int"] = ["theirs"]
    state = seen(debian)
    assert set(state.features) >= {
        "system-id:id-1",
        "bridge:br-ex",
        "bridge:br-uplink",
        "in-br-int:theirs",
        "set-by-others:ovn-bridge=br-old",
        "set-by-others:ovn-encap-ip-id-1=192.0.2.77",
        "set-by-others:ovn-bridge-mappings=UPLINK:br-ex",
    }
    assert not any("monitor-all" in feature for feature in state.features)


def test_an_interface_without_carrier_is_seen_and_said_so():
    debian = Debian()
    link = debian.ip
    flags = json.dumps([{"ifname": "eth1", "flags": ["NO-CARRIER", "BROADCAST", "UP"]}])
    debian.ip = lambda words: flags if words == ["-j", "link"] else link(words)
    assert "no-carrier:eth1" in seen(debian).features
    nodes = (with_features(1, "no-carrier:eth1"), *THREE[1:])
    (warning,) = found(nodes=nodes, level="warning")
    assert warning.startswith("n1: the uplink interface eth1 has no carrier")


def test_clones_are_named_with_what_to_type():
    nodes = (*(with_features(n, "system-id:one") for n in (1, 2)), with_features(3, "system-id:three"))
    (message,) = found(nodes=nodes)
    assert "n1, n2 have one and the same identity in Open vSwitch (one)" in message


def test_leftovers_are_named_and_ports_in_the_integration_bridge_refused():
    nodes = (with_features(1, "set-by-others:ovn-bridge=br-old", "in-br-int:theirs"), *THREE[1:])
    (warning,) = found(nodes=nodes, level="warning")
    assert warning == "n1: Open vSwitch holds settings of another OVN: ovn-bridge=br-old"
    (message,) = found(nodes=nodes)
    assert message == "n1: the bridge br-int has ports that are not OVN's: theirs"


def test_a_bridge_of_a_name_that_we_need_is_refused_only_where_we_need_it():
    one = with_features(1, "bridge:br-uplink", "bridge:br-underlay", abilities=())
    settings = settings_of([one], underlay_ip="10.10.2.1")
    assert [message.partition(" already")[0] for message in found(nodes=[one], node_settings=settings)] == [
        "n1: there is a br-uplink",
        "n1: there is a br-underlay",
    ]
    assert found(nodes=[with_features(1, "bridge:br-uplink")]) == []
    ours = with_features(1, "bridge-of-mcloud:br-uplink", abilities=())
    assert found(nodes=[ours], node_settings=settings) == []


def test_a_bridge_of_the_operators_may_be_the_uplink_as_it_is():
    for abilities in ((), ("openvswitch", "geneve")):
        one = with_features(1, "bridge:br-uplink", "port:br-uplink", abilities=abilities)
        settings = {"n1": OvnNode(uplink_interface="br-uplink")}
        assert found(nodes=[one], node_settings=settings) == []
        (said,) = [
            line for line in found(nodes=[one], node_settings=settings, level="warning") if "as it" in line
        ]
        assert "the uplink is the bridge br-uplink of Open vSwitch" in said
        assert roles.uplink_parent(one, settings) == "br-uplink"
        assert not roles.uplink_by_bridge(one, settings)

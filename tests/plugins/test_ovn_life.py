"""OVN's steps from found to undone, on a machine in memory that behaves as Debian's packages do."""

from contextlib import contextmanager
from typing import ClassVar

from ovn_machines import PACKAGED, Cloud, Debian, survey

from mcloud import NetworkUplink, Result, VirtualNetworks
from mcloud.testing import FakeHost, OfferContract, PluginContract
from mcloud_ovn import pki, plugin
from mcloud_ovn.chassis import Chassis


class OvnContract(PluginContract):
    name = "ovn"
    plugin: object = plugin
    settings: ClassVar = {"ipv4_gateway": "192.0.2.1/24", "ipv4_range": "192.0.2.100-192.0.2.254"}
    node_settings: ClassVar = {"uplink_interface": "eth1"}
    # What is waited for is there already when all goes well; and most machines know all servers already.
    adopts = ("servers", "chassis", "databases", "remote")

    def host(self):
        made = self.__dict__.setdefault("made", [])
        if len(made) % self.machines == 0:
            self.__dict__["cloud"] = Cloud()
        made.append(Debian(cloud=self.__dict__["cloud"]))
        return FakeHost(answer=made[-1].answer, files=made[-1].files)

    def world(self, host):
        return host.answer.__self__.world()


class TestInTheKernel(OvnContract):
    machines = 4

    def survey(self):
        return survey(("openvswitch", "geneve"))


class TestInUserspace(OvnContract):
    node_settings: ClassVar = {"uplink_interface": "eth1", "underlay_ip": "10.10.2.1"}

    def survey(self):
        return survey(())


class TestChassis(OfferContract):
    offers = (Chassis(system_id="id-1", tunnel_address="10.0.0.1"),)


@contextmanager
def formed(contract):
    """Give a cloud that was formed, and its first machine."""
    with contract._begun() as walk:
        walk.run()
        yield walk, walk.hosts["n1"].answer.__self__


def offered(walk, kind, machine="n1"):
    board = walk.executions[machine].around.board
    (offer,) = [o for key in walk.plan(machine).steps for o in board.of(key) if isinstance(o, kind)]
    return offer


def test_three_of_four_machines_serve_and_are_offered():
    with formed(TestInTheKernel()) as (walk, debian):
        servers = [f"10.0.0.{number}" for number in (1, 2, 3)]
        networks = offered(walk, VirtualNetworks)
        assert networks.connection == ",".join(f"ssl:{server}:6641" for server in servers)
        assert offered(walk, NetworkUplink).parents == dict.fromkeys(("n1", "n2", "n3", "n4"), "eth1")
        assert debian.ids["ovn-remote"] == ",".join(f"ssl:{server}:6642" for server in servers)
        assert not any(unit in walk.hosts["n4"].answer.__self__.units for unit in PACKAGED)


def test_in_the_kernel_no_address_moves():
    with formed(TestInTheKernel()) as (_walk, debian):
        assert "ovn-bridge-datapath-type" not in debian.ids
        assert debian.addresses["eth2"] == ["10.10.2.1/24", "fd10::1/64"]


def test_in_userspace_the_addresses_move_and_the_uplink_is_a_bridge():
    with formed(TestInUserspace()) as (walk, debian):
        assert debian.ids["ovn-bridge-datapath-type"] == "netdev"
        assert debian.addresses["br-underlay"] == ["10.10.2.1/24", "fd10::1/64"]
        assert debian.addresses["eth2"] == []
        assert offered(walk, NetworkUplink).parents == {"n1": "br-uplink"}


def test_undo_gives_back_an_operators_options_and_forgets_mappings_of_others():
    contract = TestInUserspace()
    with contract._begun() as walk:
        host = walk.hosts["n1"]
        host.write("/etc/default/ovn-central", "OVN_CTL_OPTS=--ovn-northd-n-threads=2\n")
        before = contract.world(host)
        walk.run()
        host.answer.__self__.ids["ovn-bridge-mappings"] = "UPLINK:br-uplink"
        walk.undo()
        assert contract.world(host) == before


def test_undo_frees_an_uplink_that_somebody_put_into_a_bridge_of_theirs():
    with formed(TestInTheKernel()) as (walk, debian):
        debian.bridges["lxdovn1"] = ["eth1"]
        walk.undo()
        assert debian.bridges == {"br-int": []}


def test_private_keys_stay_on_their_machine_and_the_cas_on_the_first_three():
    with formed(TestInTheKernel()) as (walk, _debian):
        hosts = walk.hosts.values()
        certificates, keys, authorities, authority_keys = (
            [host.read(f"/etc/ovn/{name}") for host in hosts]
            for name in ("cert_host", "key_host", "ovn-central.crt", "ovn-central.key")
        )
        assert len(set(keys)) == 4
        assert len(set(authorities)) == 1
        assert [key is None for key in authority_keys] == [False, False, False, True]
        for certificate, key in zip(certificates, keys, strict=True):
            assert pki.belongs(certificate, key=key, authority=authorities[0])
        private = [f for host in hosts for f in host.files.values() if b"PRIVATE KEY" in f.content]
        assert {file.mode for file in private} == {0o600}
        assert not any("PRIVATE" in path.read_text() for path in walk.folder.glob("*.jsonl"))
        assert not any("PRIVATE" in word for host in hosts for call in host.calls for word in call)


def test_what_is_there_is_told_apart():
    with TestInUserspace()._begun() as walk:
        host = walk.hosts["n1"]
        virgin = plugin.inspect(host)
        assert (virgin.standing, virgin.version, virgin.note) == ("idle", "23.03.1", "")
        assert virgin.features == ("switch-runs", "system-id:id-1", "routed-by:eth0")
        walk.run()
        formed = plugin.inspect(host)
        assert formed.standing == "clustered"
        assert "a clustered OVN_Northbound database" in formed.note
        assert "port:eth1" in formed.features


def test_a_database_in_use_and_a_machine_without_packages_are_told():
    debian = Debian()
    host = FakeHost(answer=debian.answer, files=debian.files)
    debian.ovsdb_tool = lambda words: (
        Result(2, "", "") if words[0] != "query" else '[{"rows":[{"_uuid":["uuid","1"]}]}]'
    )
    assert plugin.inspect(host).note.startswith("OVN_Northbound with rows in Logical_Switch")
    assert plugin.inspect(host).standing == "alone"
    del host.files["/usr/bin/ovn-controller"]
    assert plugin.inspect(host).missing == ("ovn-host",)

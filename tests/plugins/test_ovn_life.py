"""OVN's steps from found to undone, on a machine in memory that behaves as Debian's packages do."""

import copy
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from mcloud import NetworkUplink, Nic, Result, Survey, VirtualNetworks
from mcloud.testing import FakeFile, FakeHost, OfferContract, PluginContract
from mcloud_ovn import pki, plugin
from mcloud_ovn.chassis import Chassis
from mcloud_ovn.files import PACKAGED as PACKAGED_FILES

PACKAGED = ("ovn-central", "ovn-northd", "ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb")
SWITCH = ("openvswitch-switch", "ovs-vswitchd", "ovn-host", "ovn-controller")
PROGRAMS = ("ovs-vsctl", "ovn-controller", "ovn-northd", "ovsdb-tool")
NO, YES = Result(1, "", "no"), Result(0, "", "")


@dataclass
class Debian:
    """What the tools of OVN change and show on one machine."""

    registered: set[str]
    """Tunnel addresses of all controllers that are connected, on all machines."""
    units: set[str] = field(default_factory=lambda: {*PACKAGED, *SWITCH})
    disabled: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=lambda: {"system-id": "id-1"})
    bridges: dict[str, list[str]] = field(default_factory=lambda: {"br-int": []})
    addresses: dict[str, list[str]] = field(default_factory=dict)
    synced: int = 0
    ipv6_off: bool = False
    """Whether the uplink's interface gets no IPv6 address."""
    files: dict[str, FakeFile] = field(default_factory=dict)

    def __post_init__(self):
        self.addresses |= {"eth0": [], "eth1": [], "eth2": ["10.10.2.1/24", "fd10::1/64"]}
        self.files |= {f"/usr/bin/{program}": FakeFile() for program in PROGRAMS}
        self.files |= {path: FakeFile(content=text.encode()) for path, text in PACKAGED_FILES.items()}
        self.files |= {f"/sys/class/net/{name}": FakeFile() for name in self.addresses}
        self.files["/proc/sys/net/ipv6/conf/eth1/disable_ipv6"] = FakeFile(content=b"0\n")
        self.start("ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb")

    def world(self):
        """Return all that an operator would see."""
        files = {path: file.content for path, file in self.files.items() if not path.startswith("/proc")}
        return copy.deepcopy(
            (
                self.units,
                self.disabled & set(PACKAGED),
                self.ids,
                self.bridges,
                self.addresses,
                self.ipv6_off,
                files,
            )
        )

    def read(self, path):
        return self.files[path].content.decode() if path in self.files else ""

    def answer(self, call):
        tool = getattr(self, call[0].replace("-", "_"), None)
        return None if tool is None else tool([word for word in call[1:] if not word.startswith("--timeout")])

    def systemctl(self, words):
        verb, units = words[0], [word.removesuffix(".service") for word in words[1:] if word[0] != "-"]
        if verb == "is-active":
            return "\n".join("active" if unit in self.units else "inactive" for unit in units)
        if verb == "is-enabled":
            return "\n".join("disabled" if unit in self.disabled else "enabled" for unit in units)
        if verb in {"enable", "disable"}:
            self.disabled = self.disabled - set(units) if verb == "enable" else self.disabled | set(units)
        if verb in {"stop", "disable"}:
            self.units -= set(units) if verb == "stop" or "--now" in words else set()
            if "ovn-northd" not in self.units:
                self.files.pop("/proc/77/cmdline", None)
        if verb in {"start", "restart"}:
            self.start(*units)
        return "77" if verb == "show" else YES

    def start(self, *units):
        for unit in units:
            self.units.add(unit)
            if short := unit.partition("server-")[2]:
                clustered = "cluster-local-addr" in self.read("/etc/default/ovn-central")
                fresh = FakeFile(content=b"CLUSTER" if clustered else b"JSON")
                self.files.setdefault(f"/var/lib/ovn/ovn{short}_db.db", fresh)
            text = self.read(f"/etc/systemd/system/{unit}.service")
            self.ipv6_off |= "echo 1 >/proc/sys/net/ipv6/conf/eth1/disable_ipv6" in text
            for command in re.findall(r"^ExecStart=-?(ip .*)$", text, flags=re.MULTILINE):
                self.ip(command.split()[1:])
            if unit == "ovn-controller":
                self.bridges.setdefault("br-int", [])
            if unit == "ovn-northd":
                given = self.read("/etc/ovn/ovn-northd-db-params.conf")
                self.files["/proc/77/cmdline"] = FakeFile(content="\0".join(given.split()).encode())

    def ovsdb_tool(self, words):
        if words[0] == "db-is-clustered":
            return YES if self.read(words[1]) == "CLUSTER" else Result(2, "", "")
        return json.dumps([{"rows": []} for _ in json.loads(words[2])[1:]])

    def ovn_appctl(self, words):
        if words[-1] == "connection-status":
            self.registered |= {self.ids.get("ovn-encap-ip", "")}
            return "connected" if self.ids.get("ovn-remote") else "not connected"
        short = words[3].removeprefix("/run/ovn/ovn").removesuffix("_db.ctl")
        running = f"ovn-ovsdb-server-{short}" in self.units
        if not running or self.read(f"/var/lib/ovn/ovn{short}_db.db") != "CLUSTER":
            return NO
        (own,) = set(re.findall(r"-cluster-local-addr=(\S+)", self.read("/etc/default/ovn-central")))
        port = {"nb": 6643, "sb": 6644}[short]
        return (
            "1b7f\nName: x\nStatus: cluster member\nRole: leader\nLeader: self\nServers:\n"
            f"    1b7f (1b7f at ssl:{own}:{port}) (self)\n"
        )

    def ovs_vsctl(self, words):
        commands = [
            [word for word in command.split() if not word.startswith("--")]
            for command in " ".join(words).split(" -- ")
        ]
        return [self.settings_of_ovs(command) or self.bridges_of_ovs(command) for command in commands][-1]

    def settings_of_ovs(self, command):
        match command:
            case ["list", "Open_vSwitch", *_]:
                return json.dumps({"data": [[["map", list(self.ids.items())]]]})
            case ["remove", _, _, "external_ids", key]:
                self.ids.pop(key, None)
            case ["set", "Open_vSwitch", _, pair]:
                key, _, value = pair.removeprefix("external_ids:").partition("=")
                self.ids[key] = json.loads(value)
        return ""

    def bridges_of_ovs(self, command):
        match command:
            case ["list", "Port"]:
                return "\n".join(port for ports in self.bridges.values() for port in ports)
            case ["list-br"]:
                return "\n".join(self.bridges)
            case ["add-br", bridge]:
                self.bridges.setdefault(bridge, [])
                self.addresses.setdefault(bridge, [])
            case ["add-port", bridge, port]:
                self.bridges[bridge] = [port]
            case ["del-br", bridge]:
                self.bridges.pop(bridge, None)
                self.addresses.pop(bridge, None)
            case ["list-ports", bridge]:
                return "\n".join(self.bridges[bridge])
        return ""

    def ip(self, words):
        match words:
            case ["-j", "address", "show", "dev", name]:
                there = [one.split("/") for one in self.addresses.get(name, ())]
                shown = [{"local": local, "prefixlen": int(length)} for local, length in there]
                return json.dumps([{"flags": ["UP"], "addr_info": shown}])
            case ["address", "replace", address, "dev", name, *_]:
                self.addresses[name] = [*(a for a in self.addresses[name] if a != address), address]
            case ["address", "del", address, "dev", name]:
                self.addresses[name] = [a for a in self.addresses[name] if a != address]
            case ["-j", "-4" | "-6", "route", "show"]:
                return json.dumps(
                    [{"dev": "eth0", "protocol": "dhcp"}, {"dev": "eth2", "protocol": "kernel"}]
                )
        return YES

    def sh(self, words):
        return self.read(words[-1].split()[-1])

    def tee(self, _words):
        self.ipv6_off = False
        return YES

    def rmdir(self, _words):
        return YES

    def ovn_nbctl(self, words):
        self.synced += "sync" in words
        return f"{self.synced}\n{self.synced}"

    def ovn_sbctl(self, _words):
        return "\n".join(self.registered)

    def ovn_controller(self, _words):
        return "ovn-controller 23.03.1\nOpen vSwitch Library 3.1.0"


def survey(abilities):
    own = {"eth1": (), "eth2": ("10.10.2.1/24", "fd10::1/64")}
    nics = tuple(Nic(name=name, addresses=addresses) for name, addresses in own.items())
    return Survey(abilities=abilities, nics=nics)


class OvnContract(PluginContract):
    name = "ovn"
    plugin: object = plugin
    settings: ClassVar = {"ipv4_gateway": "192.0.2.1/24", "ipv4_range": "192.0.2.100-192.0.2.254"}
    node_settings: ClassVar = {"uplink_interface": "eth1"}
    # What is waited for is there already when all goes well; and most machines know all servers already.
    adopts = ("servers", "chassis", "databases", "remote")

    @cached_property
    def registered(self):
        return set()

    def host(self):
        debian = Debian(registered=self.registered)
        return FakeHost(answer=debian.answer, files=debian.files)

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
        assert virgin.features == ("routed-by:eth0", "switch-runs")
        walk.run()
        formed = plugin.inspect(host)
        assert formed.standing == "clustered"
        assert "a clustered OVN_Northbound database" in formed.note
        assert "port:eth1" in formed.features


def test_a_database_in_use_and_a_machine_without_packages_are_told():
    debian = Debian(registered=set())
    host = FakeHost(answer=debian.answer, files=debian.files)
    debian.ovsdb_tool = lambda words: (
        Result(2, "", "") if words[0] != "query" else '[{"rows":[{"_uuid":["uuid","1"]}]}]'
    )
    assert plugin.inspect(host).note.startswith("OVN_Northbound with rows in Logical_Switch")
    assert plugin.inspect(host).standing == "alone"
    del host.files["/usr/bin/ovn-controller"]
    assert plugin.inspect(host).missing == ("ovn-host",)

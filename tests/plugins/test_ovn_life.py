"""OVN's steps from found to undone, on a machine in memory that behaves as Debian's packages do."""

import copy
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from mcloud import JoinToken, NetworkUplink, Nic, Node, Result, ServiceError, Survey, VirtualNetworks
from mcloud.context import Surroundings
from mcloud.errors import RunFailed
from mcloud.journal import Journal
from mcloud.plan import Gate, Lane, Plan
from mcloud.run import Execution
from mcloud.testing.host import FakeFile, FakeHost
from mcloud.undo import undo
from mcloud_ovn import pki, plugin
from mcloud_ovn.settings import OvnNode, OvnSettings

PACKAGED = ("ovn-central", "ovn-northd", "ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb")
SWITCH = ("openvswitch-switch", "ovs-vswitchd", "ovn-host", "ovn-controller")
PROGRAMS = ("ovs-vsctl", "ovn-controller", "ovn-northd", "ovsdb-tool")
NO, YES = Result(1, "", "no"), Result(0, "", "")


@dataclass
class Debian:
    """What the tools of OVN change and show on one machine."""

    number: int = 1
    units: set[str] = field(default_factory=lambda: {*PACKAGED, *SWITCH})
    ids: dict[str, str] = field(default_factory=lambda: {"system-id": "id-1"})
    bridges: dict[str, list[str]] = field(default_factory=lambda: {"br-int": []})
    addresses: dict[str, list[str]] = field(default_factory=dict)
    synced: int = 0
    breaks_at: int = -1
    """Number of the command that fails, counted from 0."""
    host: FakeHost = field(init=False)

    def __post_init__(self):
        self.addresses |= {
            "eth0": [f"10.10.0.{self.number}/24"],
            "eth1": [],
            "eth2": [f"10.10.2.{self.number}/24", f"fd10::{self.number}/64"],
        }
        self.host = FakeHost(answer=self.answer, name=f"n{self.number}")
        for program in PROGRAMS:
            self.host.files[f"/usr/bin/{program}"] = FakeFile()
        self.start("ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb")

    def world(self):
        """Return all that an operator would see."""
        files = {path: file.content for path, file in self.host.files.items() if not path.startswith("/proc")}
        return copy.deepcopy((self.units, self.ids, self.bridges, self.addresses, files))

    def answer(self, call):
        self.breaks_at -= 1
        if self.breaks_at == -1:
            raise ServiceError("the machine says no")
        tool = getattr(self, call[0].replace("-", "_"), None)
        return None if tool is None else tool([word for word in call[1:] if not word.startswith("--timeout")])

    def systemctl(self, words):
        verb, units = words[0], [word.removesuffix(".service") for word in words[1:] if word[0] != "-"]
        if verb == "is-active":
            return "\n".join("active" if unit in self.units else "inactive" for unit in units)
        if verb == "is-enabled":
            return "\n".join("enabled" for _ in units)
        if verb in {"stop", "disable"}:
            self.units -= set(units) if verb == "stop" or "--now" in words else set()
            if "ovn-northd" not in self.units:
                self.host.files.pop("/proc/77/cmdline", None)
        if verb in {"start", "restart"}:
            self.start(*units)
        return "77" if verb == "show" else YES

    def start(self, *units):
        for unit in units:
            self.units.add(unit)
            if short := unit.partition("server-")[2]:
                clustered = "cluster-local-addr" in (self.host.read("/etc/default/ovn-central") or "")
                database = f"/var/lib/ovn/ovn{short}_db.db"
                if self.host.stat(database) is None:
                    self.host.write(database, "CLUSTER" if clustered else "JSON")
            text = self.host.read(f"/etc/systemd/system/{unit}.service") or ""
            for command in re.findall(r"^ExecStart=-?(ip .*)$", text, flags=re.MULTILINE):
                self.ip(command.split()[1:])
            if unit == "ovn-controller":
                self.bridges.setdefault("br-int", [])
            if unit == "ovn-northd":
                given = self.host.read("/etc/ovn/ovn-northd-db-params.conf") or ""
                self.host.files["/proc/77/cmdline"] = FakeFile(content="\0".join(given.split()).encode())

    def ovsdb_tool(self, words):
        if words[0] == "db-is-clustered":
            return YES if self.host.read(words[1]) == "CLUSTER" else NO
        return json.dumps([{"rows": []} for _ in json.loads(words[2])[1:]])

    def ovn_appctl(self, words):
        if words[-1] == "connection-status":
            return "connected" if self.ids.get("ovn-remote") else "not connected"
        short = words[3].removeprefix("/run/ovn/ovn").removesuffix("_db.ctl")
        if f"ovn-ovsdb-server-{short}" not in self.units:
            return NO
        if self.host.read(f"/var/lib/ovn/ovn{short}_db.db") != "CLUSTER":
            return NO
        port = {"nb": 6643, "sb": 6644}[short]
        return (
            f"1b7f\nName: x\nStatus: cluster member\nRole: leader\nLeader: self\nServers:\n"
            f"    1b7f (1b7f at ssl:10.10.0.{self.number}:{port}) (self)\n"
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
            case ["port-to-br", port]:
                found = [bridge for bridge, ports in self.bridges.items() if port in ports]
                return found[0] if found else NO
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

    def ovn_nbctl(self, words):
        self.synced += "sync" in words
        return f"{self.synced}\n{self.synced}"

    def ovn_sbctl(self, _words):
        return self.ids.get("ovn-encap-ip", "")

    def ovn_controller(self, _words):
        return "ovn-controller 23.03.1\nOpen vSwitch Library 3.1.0"


SETTINGS = OvnSettings(ipv4_gateway="192.0.2.1/24", ipv4_range="192.0.2.100-192.0.2.254")
KERNEL = ("openvswitch", "geneve")


def machine(debian, abilities=()):
    nics = tuple(Nic(name=name, addresses=found) for name, found in debian.addresses.items())
    return Node(
        name=debian.host.name,
        addresses=(f"10.10.0.{debian.number}",),
        founder=debian.number == 1,
        survey=Survey(abilities=abilities, nics=nics),
    )


def settings_of(nodes):
    return {
        node.name: OvnNode(underlay_ip=f"10.10.2.{node.name[1:]}", uplink_interface="eth1") for node in nodes
    }


def lane(stage, hook, about, steps, on="n1"):
    return Lane(stage=stage, hook=hook, plugin="ovn", machine=on, about=about, steps=tuple(steps))


def around(tmp_path, debian, lanes, name="run"):
    path, secrets = tmp_path / f"{name}.jsonl", debian.host.secrets
    journal = Journal.open(path, secrets) if path.exists() else Journal.create(path, {}, secrets)
    return Surroundings(host=debian.host, plan=Plan(debian.host.name, tuple(lanes)), journal=journal)


def cloud_of_one(tmp_path, debian, me, name="run"):
    chosen = settings_of([me])
    lanes = [
        lane("found", "bootstrap", "n1", plugin.bootstrap(me)),
        lane("enter", "join", "n1", plugin.join(me, [me], chosen)),
        lane("configure", "configure", "n1", plugin.configure([me], SETTINGS, chosen)),
        lane("adapt", "adapt", "n1", plugin.adapt(me, [me])),
    ]
    return around(tmp_path, debian, lanes, name)


def form(surroundings):
    execution = Execution(surroundings)
    for stage in ("found", "enter", "configure", "adapt"):
        execution.run(stage)
    return surroundings


def offered(surroundings, kind):
    return [o for key in surroundings.plan.steps for o in surroundings.board.of(key) if isinstance(o, kind)]


def test_a_machine_alone_serves_and_offers_networks_and_uplink(tmp_path):
    debian = Debian()
    formed = form(cloud_of_one(tmp_path, debian, machine(debian)))
    (networks,), (uplink,) = offered(formed, VirtualNetworks), offered(formed, NetworkUplink)
    assert networks.connection == "ssl:10.10.0.1:6641"
    assert uplink.parents == {"n1": "br-uplink"}
    assert debian.ids["ovn-bridge-datapath-type"] == "netdev"
    assert debian.addresses["br-underlay"] == ["10.10.2.1/24", "fd10::1/64"]
    assert debian.addresses["eth2"] == []


def test_with_the_kernels_modules_no_address_moves_and_the_interface_itself_is_the_uplink(tmp_path):
    debian = Debian()
    formed = form(cloud_of_one(tmp_path, debian, machine(debian, KERNEL)))
    assert offered(formed, NetworkUplink)[0].parents == {"n1": "eth1"}
    assert "ovn-bridge-datapath-type" not in debian.ids
    assert debian.addresses["eth2"] == ["10.10.2.1/24", "fd10::1/64"]


def test_undo_gives_back_what_was_there(tmp_path):
    debian = Debian()
    debian.host.write("/etc/default/ovn-central", "OVN_CTL_OPTS=--ovn-northd-n-threads=2\n")
    before = debian.world()
    formed = form(cloud_of_one(tmp_path, debian, machine(debian)))
    debian.ids["ovn-bridge-mappings"] = "UPLINK:br-uplink"
    assert undo(formed).left == {}
    assert debian.world() == before


def test_undo_frees_an_uplink_that_somebody_put_into_a_bridge_of_theirs(tmp_path):
    debian = Debian()
    before, formed = debian.world(), form(cloud_of_one(tmp_path, debian, machine(debian, KERNEL)))
    debian.bridges["lxdovn1"] = ["eth1"]
    undo(formed)
    assert debian.world() == before


def test_a_run_that_breaks_at_any_command_is_gone_on_with_and_can_be_undone(tmp_path):
    number, broken = 0, True
    while broken:
        debian = Debian()
        before, me = debian.world(), machine(debian)
        debian.breaks_at = number
        with suppress(RunFailed):
            form(cloud_of_one(tmp_path, debian, me, f"{number}"))
        broken = debian.breaks_at <= -1
        debian.breaks_at = -1
        formed = form(cloud_of_one(tmp_path, debian, me, f"{number}"))
        assert offered(formed, VirtualNetworks)
        assert undo(formed).left == {}
        assert debian.world() == before
        number += 1
    assert number > 40


def test_a_broken_run_can_be_undone_without_going_on(tmp_path):
    for number in range(0, 45, 2):
        debian = Debian()
        before = debian.world()
        debian.breaks_at = number
        begun = cloud_of_one(tmp_path, debian, machine(debian), f"{number}")
        with suppress(RunFailed):
            form(begun)
        debian.breaks_at = -1
        assert undo(begun).left == {}
        assert debian.world() == before


def test_no_private_key_is_in_a_journal_or_in_an_open_file(tmp_path):
    debian = Debian()
    form(cloud_of_one(tmp_path, debian, machine(debian)))
    assert "PRIVATE KEY" not in (tmp_path / "run.jsonl").read_text()
    assert not any("PRIVATE KEY" in word for call in debian.host.calls for word in call)
    private = [file.mode for file in debian.host.files.values() if b"PRIVATE KEY" in file.content]
    assert private == [0o600, 0o600]


@pytest.mark.parametrize(("number", "holds_authority"), [(2, True), (4, False)])
def test_a_joiner_gets_its_certificate_and_only_the_first_three_the_cas_key(
    tmp_path, number, holds_authority
):
    founder, joiner = Debian(), Debian(number=number)
    nodes = [Node(name=f"n{n}", addresses=(f"10.10.0.{n}",), founder=n == 1) for n in (1, 2, 3, 4)]
    me, chosen = machine(joiner), {}
    form(cloud_of_one(tmp_path, founder, machine(founder)))
    steps = list(plugin.join(me, nodes, chosen))
    place = next(place for place, step in enumerate(steps) if JoinToken in step.needs)
    gated = [*steps[:place], Gate(name="token", offers=(JoinToken,)), *steps[place:]]
    joining = around(tmp_path, joiner, [lane("enter", "join", me.name, gated, me.name)], "joiner")

    def send_token(asking, gate):
        steps = [lane("enter", "issue_token", me.name, plugin.issue_token(me, nodes))]
        issuing = around(tmp_path, founder, steps, "issuing")
        issuing.requests[steps[0].key] = bytes.fromhex(joining.journal.kept(asking.key, "applied")[1])
        Execution(issuing).run("enter")
        execution.open(f"{asking.key}/{gate.name}", offered(issuing, JoinToken))

    execution = Execution(joining, reached=send_token)
    execution.run("enter")
    certificate, key, authority = (
        joiner.host.read(f"/etc/ovn/{name}") for name in ("cert_host", "key_host", "ovn-central.crt")
    )
    assert pki.belongs(certificate, key=key, authority=authority)
    assert authority == founder.host.read("/etc/ovn/ovn-central.crt")
    assert (joiner.host.stat("/etc/ovn/ovn-central.key") is not None) == holds_authority
    servers = {2: ["ssl:10.10.0.1:6642", "ssl:10.10.0.2:6642"], 4: ["ssl:10.10.0.1:6642"]}
    assert joiner.ids["ovn-remote"].split(",") == servers[number]


def test_what_is_there_is_told_apart(tmp_path):
    debian = Debian()
    virgin = plugin.inspect(debian.host)
    assert (virgin.standing, virgin.version, virgin.note) == ("idle", "23.03.1", "")
    assert virgin.features == ("routed-by:eth0", "switch-runs")
    form(cloud_of_one(tmp_path, debian, machine(debian)))
    formed = plugin.inspect(debian.host)
    assert formed.standing == "clustered"
    assert "a clustered OVN_Northbound database" in formed.note
    assert "port:eth1" in formed.features


def test_a_database_in_use_and_a_machine_without_packages_are_told(tmp_path):
    debian = Debian()
    debian.ovsdb_tool = lambda words: NO if words[0] != "query" else '[{"rows":[{"_uuid":["uuid","1"]}]}]'
    assert plugin.inspect(debian.host).note.startswith("OVN_Northbound with rows in Logical_Switch")
    assert plugin.inspect(debian.host).standing == "alone"
    del debian.host.files["/usr/bin/ovn-controller"]
    assert plugin.inspect(debian.host).missing == ("ovn-host",)

"""Machines with Debian's OVN on them, in memory, and the rafts that their databases are in."""

import copy
import itertools
import json
import re
from dataclasses import dataclass, field

from mcloud import Nic, Result, Survey
from mcloud.testing import FakeFile
from mcloud_ovn.files import PACKAGED as PACKAGED_FILES

PACKAGED = ("ovn-central", "ovn-northd", "ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb")
SWITCH = ("openvswitch-switch", "ovs-vswitchd", "ovn-host", "ovn-controller")
PROGRAMS = ("ovs-vsctl", "ovn-controller", "ovn-northd", "ovsdb-tool")
PORTS = {"nb": 6643, "sb": 6644}
IDS = itertools.count(0x1B7F)
NO, YES = Result(1, "", "no"), Result(0, "", "")


@dataclass
class Cloud:
    """What all machines have in common."""

    registered: set[str] = field(default_factory=set)
    """Tunnel addresses of all controllers that are connected."""
    filled: bool = False
    """Whether a northd has written the southbound database's global row."""
    rafts: dict[str, dict[str, str]] = field(default_factory=lambda: {"nb": {}, "sb": {}})
    """Ids of the servers that each database knows, by address."""


@dataclass
class Debian:
    """What the tools of OVN change and show on one machine."""

    cloud: Cloud = field(default_factory=Cloud)
    left: set[str] = field(default_factory=set)
    """Ids of servers that were here and left their raft."""
    units: set[str] = field(default_factory=lambda: {*PACKAGED, *SWITCH})
    disabled: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=lambda: {"system-id": "id-1"})
    bridges: dict[str, list[str]] = field(default_factory=lambda: {"br-int": []})
    marks: dict[str, dict[str, str]] = field(default_factory=dict)
    """What is set at bridges and ports for whoever made them, by name."""
    addresses: dict[str, list[str]] = field(default_factory=dict)
    synced: int = 0
    ipv6_off: bool = False
    """Whether the uplink's interface gets no IPv6 address."""
    files: dict[str, FakeFile] = field(default_factory=dict)
    taken: dict[int, str] = field(default_factory=dict)
    """Programs of others that listen everywhere, by port."""
    masked: set[str] = field(default_factory=set)
    failing: dict[str, int] = field(default_factory=dict)
    """Units that fail at once, and how often they still do."""
    failed: set[str] = field(default_factory=set)

    def __post_init__(self):
        self.addresses |= {"eth0": [], "eth1": [], "eth2": ["10.10.2.1/24", "fd10::1/64"]}
        self.files |= {f"/usr/bin/{program}": FakeFile() for program in PROGRAMS}
        self.files |= {path: FakeFile(content=text.encode()) for path, text in PACKAGED_FILES.items()}
        self.files |= {f"/sys/class/net/{name}": FakeFile() for name in self.addresses}
        self.files |= {path: FakeFile(kind="folder", mode=0o755) for path in ("/etc/ovn", "/var/lib/ovn")}
        self.files["/proc/sys/net/ipv6/conf/eth1/disable_ipv6"] = FakeFile(content=b"0\n")
        self.start("ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb")

    def world(self):
        """Return all that an operator would see."""
        files = {
            path: file.content for path, file in self.files.items() if not path.startswith(("/proc", "/run"))
        }
        return copy.deepcopy(
            (
                self.units,
                self.disabled & set(PACKAGED),
                self.ids,
                self.bridges,
                {name: marks for name, marks in self.marks.items() if marks},
                {name: own for name, own in self.addresses.items() if own},
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
        if verb == "list-unit-files":
            return "\n".join(f"{unit} masked enabled" for unit in sorted(self.masked))
        if verb == "show" and "--property=ActiveState,SubState,Result" in words:
            bad, good = ("failed", "failed", "signal"), ("active", "running", "success")
            said = [bad if unit in self.failed else good for unit in units]
            return "\n\n".join("ActiveState={}\nSubState={}\nResult={}".format(*state) for state in said)
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
            for unit in units if verb == "stop" else ():
                self.files.pop(f"/run/ovn/ovn{unit.partition('server-')[2]}_db.pid", None)
        if verb in {"start", "restart"}:
            self.start(*units)
        return "77" if verb == "show" else YES

    def start(self, *units):
        for unit in units:
            if self.failing.get(unit, 0) > 0:
                self.failing[unit] -= 1
                self.failed.add(unit)
                continue
            self.failed.discard(unit)
            self.units.add(unit)
            if short := unit.partition("server-")[2]:
                self.make_database(short)
                self.files[f"/run/ovn/ovn{short}_db.pid"] = FakeFile(content=b"11\n")
            text = self.read(f"/etc/systemd/system/{unit}.service")
            self.ipv6_off |= "echo 1 >/proc/sys/net/ipv6/conf/eth1/disable_ipv6" in text
            for command in re.findall(r"^ExecStart=-?(ip .*)$", text, flags=re.MULTILINE):
                self.ip(command.split()[1:])
            if unit == "ovn-controller":
                self.bridges.setdefault("br-int", [])
            if unit == "ovn-northd":
                given = self.read("/etc/ovn/ovn-northd-db-params.conf")
                self.files["/proc/77/cmdline"] = FakeFile(content="\0".join(given.split()).encode())
                self.cloud.filled |= bool(given)

    def make_database(self, short):
        """Make a database where there is none: found a raft, or join that of a peer, as the options say."""
        path, options = f"/var/lib/ovn/ovn{short}_db.db", self.read("/etc/default/ovn-central")
        if path in self.files:
            return
        if not (own := self.raft_address(short)):
            self.files[path] = FakeFile(content=b"JSON")
            return
        raft, server = self.cloud.rafts[short], f"{next(IDS):04x}"
        if peer := re.search(rf"--db-{short}-cluster-remote-addr=(\S+)", options):
            assert f"ssl:{peer[1]}:{PORTS[short]}" in raft, "a peer that is in no raft"
        else:
            raft.clear()
        raft[own] = server
        self.files[path] = FakeFile(content=f"CLUSTER {server}".encode())

    def raft_address(self, short):
        """Return where the others reach this machine's server of a database; "" if it stands alone."""
        found = re.search(rf"--db-{short}-cluster-local-addr=(\S+)", self.read("/etc/default/ovn-central"))
        return f"ssl:{found[1]}:{PORTS[short]}" if found else ""

    def ovsdb_tool(self, words):
        if words[0] == "db-is-clustered":
            return YES if self.read(words[1]).startswith("CLUSTER") else Result(2, "", "")
        return json.dumps([{"rows": []} for _ in json.loads(words[2])[1:]])

    def ovn_appctl(self, words):
        if words[-1] == "connection-status":
            self.cloud.registered |= {self.ids.get("ovn-encap-ip", "")}
            up = "ovn-controller" in self.units and self.ids.get("ovn-remote")
            return "connected" if up else "not connected"
        short = words[3].removeprefix("/run/ovn/ovn").removesuffix("_db.ctl")
        server = self.read(f"/var/lib/ovn/ovn{short}_db.db").removeprefix("CLUSTER ")
        if f"ovn-ovsdb-server-{short}" not in self.units or server in {"", "JSON"}:
            return NO
        raft, own = self.cloud.rafts[short], self.raft_address(short)
        is_in = raft.get(own) == server
        match words[4:]:
            case ["cluster/leave", _] if is_in and len(raft) > 1:
                self.left.add(raft.pop(own))
                return YES
            case ["cluster/kick", _, other] if is_in:
                for address in [address for address, known in raft.items() if known == other]:
                    del raft[address]
                return YES
            case ["cluster/status", _]:
                status = "left cluster" if server in self.left else "cluster member"
                known = raft if is_in else {own: server}
                listed = "".join(f"    {one} ({one} at {address})\n" for address, one in known.items())
                leader = "self" if is_in else "unknown"
                return f"{server}\nName: x\nStatus: {status}\nLeader: {leader}\nServers:\n{listed}"
        return NO

    def ovs_vsctl(self, words):
        commands = [
            [word for word in command.split() if not word.startswith("--")]
            for command in " ".join(words).split(" -- ")
        ]
        said = [self.settings_of_ovs(command) or self.bridges_of_ovs(command) for command in commands]
        there = {*self.bridges, *(port for ports in self.bridges.values() for port in ports)}
        self.marks = {name: ids for name, ids in self.marks.items() if name in there}
        return said[-1]

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
            case ["list", "Bridge" | "Port" | "Interface" as table]:
                return self.listed(table)
            case ["set", "Bridge", bridge, *settings]:
                pairs = [one.removeprefix("external_ids:") for one in settings if "external_ids:" in one]
                self.marks.setdefault(bridge, {}).update(pair.split("=") for pair in pairs)
            case ["remove", "Bridge", bridge, "external_ids", key]:
                self.marks[bridge].pop(key, None)
            case ["list-br"]:
                return "\n".join(self.bridges)
            case ["add-br", bridge]:
                self.bridges.setdefault(bridge, [])
                self.addresses.setdefault(bridge, [])
            case ["add-port", bridge, port]:
                self.bridges[bridge] = [*(one for one in self.bridges[bridge] if one != port), port]
            case ["del-port", port]:
                self.bridges = {
                    name: [one for one in ports if one != port] for name, ports in self.bridges.items()
                }
            case ["del-br", bridge]:
                self.bridges.pop(bridge, None)
                self.addresses.pop(bridge, None)
            case ["list-ports", bridge]:
                return "\n".join(self.bridges[bridge])
        return ""

    def listed(self, table):
        ports = [port for ports in self.bridges.values() for port in ports]
        names = list(self.bridges) if table == "Bridge" else ports
        rows = [[name, ["map", list(self.marks.get(name, {}).items())]] for name in names]
        return json.dumps({"headings": ["name", "external_ids"], "data": rows})

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
            case ["-j", "link"]:
                return json.dumps([{"ifname": name, "flags": ["UP"]} for name in self.addresses])
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
        return "\n".join(self.cloud.registered)

    def ss(self, _words):
        line = 'LISTEN 0 10 {}:{} 0.0.0.0:* users:(("{}",pid={},fd=3))'
        held = [line.format("*", port, program, 99) for port, program in self.taken.items()]
        for short, port in PORTS.items():
            address = self.raft_address(short).removeprefix("ssl:").rpartition(":")[0]
            if f"ovn-ovsdb-server-{short}" in self.units and port not in self.taken and address:
                held.append(line.format(address, port, "ovsdb-server", 11))
        return "\n".join(held)

    def ovsdb_client(self, words):
        if "query" in words:
            return json.dumps([{"rows": [{"nb_cfg": 0}] if self.cloud.filled else []}])
        assert words[-1].startswith("ssl:"), words
        short = "nb" if words[-1].endswith(":6641") else "sb"
        schema = {"nb": "OVN_Northbound", "sb": "OVN_Southbound"}[short]
        return f"_Server\n{schema}" if f"ovn-ovsdb-server-{short}" in self.units else NO

    def journalctl(self, _words):
        return "segmentation fault\n"

    def ovn_controller(self, _words):
        return "ovn-controller 23.03.1\nOpen vSwitch Library 3.1.0"


def survey(abilities):
    own = {"eth1": (), "eth2": ("10.10.2.1/24", "fd10::1/64")}
    nics = tuple(Nic(name=name, addresses=addresses) for name, addresses in own.items())
    return Survey(abilities=abilities, nics=nics)

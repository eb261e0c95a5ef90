"""Machines with LXD on them, in memory, that answer as 5.0.2 does, and what its members have in common."""

import base64
import copy
import itertools
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcloud import Result
from mcloud.testing import FakeDisk, FakeFile
from mcloud_lxd.client import SOCKET

ONE_AT_A_TIME = threading.RLock()
NO, YES = Result(1, "", "no"), Result(0, "", "")
UNITS = ("lxd.socket", "lxd-containers.service")
DRIVERS = ("dir", "btrfs", "ceph")
MADE = itertools.count(1)
SERIAL = "FAST-1"


class SaysNoError(Exception):
    """LXD's error answer."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


@dataclass
class Cluster:
    """What all members have in common; an LXD of its own is the only member of its own."""

    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, "Lxd"] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)
    made: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What somebody else made: names by kind (`profiles`, `projects`, ...)."""
    tokens: dict[str, str] = field(default_factory=dict)
    trusted: list[str] = field(default_factory=list)


@dataclass
class Lxd:
    """The LXD of one machine, and the machine around it."""

    fleet: list["Lxd"]
    """All machines there are: a token leads to the cluster that made it."""
    files: dict[str, FakeFile] = field(default_factory=dict)
    disks: dict[str, FakeDisk] = field(default_factory=lambda: {"/dev/sda": FakeDisk(serial=SERIAL)})
    units: set[str] = field(default_factory=set)
    extensions: tuple[str, ...] = ()
    clustered: str = ""
    changing: int = 0
    """How many more looks see it busy with a join of an earlier try; members see each other's always."""
    cluster: Cluster = field(default_factory=Cluster)
    own: dict[str, str] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    taken: dict[int, str] = field(default_factory=dict)
    """Programs of others that listen everywhere, by port."""
    identity: str = ""
    """Fingerprint of its own certificate."""
    archive: Any = None

    def __post_init__(self):
        self.fleet.append(self)
        self.identity = self.identity or f"{len(self.fleet):064x}"
        self.files |= {path: FakeFile() for path in ("/usr/bin/lxd", "/usr/bin/lxc")}
        self.files[SOCKET] = FakeFile(kind="socket")
        self.files["/var/lib/lxd/database/local.db"] = FakeFile()

    @property
    def disk(self):
        """What is on /dev/sda."""
        return self.disks["/dev/sda"].content

    @disk.setter
    def disk(self, content):
        self.disks["/dev/sda"].hold(content)

    def world(self):
        """Return all that an operator would see of a machine that is in no cluster, or of its part in one."""
        common = self.cluster
        # Of a certificate that nobody was ever shown, nobody sees whether it is the same.
        identity = self.identity if common.made else ""
        return copy.deepcopy(
            (
                *(self.clustered, self.disk, self.own, self.volumes, identity),
                *(common.config, common.devices, common.made, common.things),
            )
        )

    # ---- REST -------------------------------------------------------------------------------------------

    def answer(self, request):
        url = urlsplit(request.url)
        target = parse_qs(url.query).get("target", [self.clustered])[0]
        body = json.loads(request.body) if request.body else None
        there = self.cluster.members.get(target, self) if target else self
        words = url.path.strip("/").split("/")[1:]
        verb = f"{request.method.lower()}_{(words or ['server'])[0].replace('-', '_')}"
        try:
            with ONE_AT_A_TIME:
                said = getattr(there, verb)(words[1:], body, target if "target=" in url.query else "")
        except SaysNoError as no:
            return no.status, {"type": "error", "error": str(no), "error_code": no.status}
        return 200, {"type": "sync", "metadata": said}

    def get_server(self, _words, _body, _target):
        return {
            "api_extensions": self.extensions,
            "config": {**self.cluster.config, **self.own},
            "environment": {
                "server_name": self.clustered or "fresh",
                "server_version": "5.0.2",
                "server_clustered": bool(self.clustered),
                "storage_supported_drivers": [{"Name": driver} for driver in DRIVERS],
                "certificate": "PEM",
                "certificate_fingerprint": self.identity,
            },
        }

    def patch_server(self, _words, body, _target):
        for key, value in body["config"].items():
            own = key.startswith(("core.", "storage.", "cluster."))
            (self.own if own else self.cluster.config)[key] = value
        self.own = {key: value for key, value in self.own.items() if value}
        self.cluster.config = {key: value for key, value in self.cluster.config.items() if value}

    def get_operations(self, _words, _body, _target):
        tokens = [
            {"class": "token", "id": key, "metadata": {"serverName": name}, "resources": {"cluster": None}}
            for key, name in self.cluster.tokens.items()
        ]
        self.changing = max(0, self.changing - 1)
        joining = [{"class": "task", "id": "1", "metadata": None, "resources": {"cluster": None}}]
        return {"running": tokens + joining * (self.changing > 0 or bool(self.clustered))}

    def delete_operations(self, words, _body, _target):
        del self.cluster.tokens[words[0]]

    def get_cluster(self, words, _body, _target):
        if words == ["members"]:
            return [
                {"server_name": name, "status": "Online", "roles": ["database-leader"] if not place else []}
                for place, name in enumerate(self.cluster.members)
            ]
        if words and words[1] not in self.cluster.members:
            raise SaysNoError(404, "Not found")
        return {"enabled": bool(self.clustered), "server_name": self.clustered}

    def put_cluster(self, _words, body, _target):
        if self.clustered:
            raise SaysNoError(400, "This server is already clustered")
        if "cluster_address" in body:
            self.join(body)
        elif self.own.get("cluster.https_address"):
            raise SaysNoError(500, "no available dqlite leader server found")
        self.clustered = body["server_name"]
        self.cluster.members[self.clustered] = self
        self.own["core.https_address"] = body.get("server_address") or self.own["core.https_address"]
        self.files["/var/lib/lxd/cluster.crt"] = FakeFile()

    def join(self, body):
        token = decoded(body)["secret"]
        seat = next((one for one in self.fleet if token in one.cluster.tokens), None)
        if seat is None:
            raise SaysNoError(403, "no such token")
        own = {one["name"]: {one["key"]: one["value"]} for one in body["member_config"]}
        wanted = {"physical": "parent"} | dict.fromkeys(("ceph", "cephfs"), "source")
        if "storage_remote_drop_source" in self.extensions:
            wanted = {"physical": "parent"}
        for thing in [one for things in seat.cluster.things.values() for one in things.values()]:
            key, given = wanted.get(thing.get("driver") or thing["type"]), own.get(thing["name"], {})
            if key and key not in given:
                raise SaysNoError(400, f"{thing['name']}: no {key} for this member")
            if thing.get("driver") == "btrfs":
                self.take_disk(given)
            thing.setdefault("of", {})[body["server_name"]] = given
            thing["locations"].append(body["server_name"])
        del seat.cluster.tokens[token]
        self.cluster = seat.cluster

    def take_disk(self, config):
        if "source" in config:
            disk = self.disks[config["source"]]
            if disk.content:
                raise SaysNoError(500, f"{config['source']} holds {disk.content}")
            disk.hold("btrfs", id=f"uuid-{next(MADE)}", label="local")
            self.files["/var/lib/lxd/storage-pools/local/x"] = FakeFile()

    def post_cluster(self, _words, body, _target):
        name = body["server_name"]
        if name in self.cluster.members:
            raise SaysNoError(500, "already a member")
        key = f"secret-{name}-{len(self.cluster.trusted)}"
        self.cluster.tokens[key] = name
        self.cluster.trusted.append(name)
        made = {"serverName": name, "fingerprint": "f", "addresses": ["a"], "secret": key, "expiresAt": "x"}
        return {"metadata": made}

    def delete_cluster(self, words, _body, _target):
        if self.cluster.members.pop(words[1], None) is None:
            raise SaysNoError(404, "Not found")
        for things in self.cluster.things.values():
            for thing in things.values():
                thing["locations"] = [name for name in thing["locations"] if name != words[1]]
                thing.get("of", {}).pop(words[1], None)

    def get_certificates(self, _words, _body, _target):
        servers = [{"type": "server", "name": name, "fingerprint": name} for name in self.cluster.trusted]
        others = self.cluster.made.get("certificates", ())
        return servers + [{"type": "client", "name": name, "fingerprint": name} for name in others]

    def delete_certificates(self, words, _body, _target):
        self.cluster.trusted.remove(words[0])

    def post_things(self, kind, key, body, target):
        things = self.cluster.things.setdefault(kind, {})
        thing = things.setdefault(
            body["name"], {**body, "status": "Pending", "locations": [], "of": {}, "managed": True}
        )
        if target:
            thing["of"][target] = body["config"]
            thing["locations"].append(target)
            return
        if thing["status"] == "Created" or (
            body[key] != "ovn" and set(thing["of"]) != set(self.cluster.members)
        ):
            raise SaysNoError(500, "not pending on all members")
        thing |= {"status": "Errored", "config": body["config"], "locations": list(self.cluster.members)}
        for name, config in thing["of"].items():
            if body[key] == "btrfs":
                self.cluster.members[name].take_disk(config)
        thing["status"] = "Created"

    def get_things(self, kind, words):
        things = self.cluster.things.get(kind, {})
        if words and words[0] not in things:
            raise SaysNoError(404, "not found")
        return things[words[0]] if words else list(things.values())

    def get_storage_pools(self, words, _body, target):
        if len(words) > 1:
            return [{"name": name} for name in self.volumes]
        there = self.get_things("storage-pools", words)
        return {**there, "config": {**there["config"], **there["of"][target]}} if target else there

    def post_storage_pools(self, words, body, target):
        if words:
            self.volumes.add(body["name"])
        else:
            self.post_things("storage-pools", "driver", body, target)
            if body["driver"] == "ceph" and not target:  # what was empty it takes for its own
                self.cluster.things["storage-pools"][body["name"]]["config"]["volatile.pool.pristine"] = (
                    "true"
                )

    def patch_storage_pools(self, words, body, _target):
        self.cluster.things["storage-pools"][words[0]]["config"] |= body["config"]

    def delete_storage_pools(self, words, _body, _target):
        pools = self.cluster.things["storage-pools"]
        if len(words) > 1:
            self.volumes.remove(words[-1])
        elif pools[words[0]].get("config", {}).get("volatile.pool.pristine") == "true":
            raise SaysNoError(500, "Failed to run: ceph osd pool delete: Error EACCES: access denied")
        else:
            del pools[words[0]]

    def get_networks(self, words, _body, _target):
        return self.get_things("networks", words)

    def post_networks(self, _words, body, target):
        self.post_things("networks", "type", body, target)

    def delete_networks(self, words, _body, _target):
        if words[0] not in self.cluster.things.get("networks", {}):
            raise SaysNoError(404, "not found")
        del self.cluster.things["networks"][words[0]]

    def get_profiles(self, words, _body, _target):
        default = {"name": "default", "description": "", "config": {}, "devices": self.cluster.devices}
        others = [{"name": name} for name in self.cluster.made.get("profiles", ())]
        return copy.deepcopy(default if words else [default, *others])

    def get_projects(self, _words, _body, _target):
        return [{"name": name} for name in ("default", *self.cluster.made.get("projects", ()))]

    def get_network_acls(self, _words, _body, _target):
        return [{"name": name} for name in self.cluster.made.get("network-acls", ())]

    def get_network_zones(self, _words, _body, _target):
        raise SaysNoError(404, "an LXD without zones")

    def put_profiles(self, _words, body, _target):
        self.cluster.devices = body["devices"]

    def get_instances(self, _words, _body, _target):
        return []

    get_images = get_instances

    # ---- commands ---------------------------------------------------------------------------------------

    def command(self, call):  # noqa: C901, PLR0911, PLR0912 - one case per command
        match list(call):
            case ["systemctl", "show", what, *_] if "SubState" in what or "MainPID" in what:
                return "0" if "MainPID" in what else ""
            case ["systemctl", "show", *_]:
                on = ["UnitFileState=enabled\nActiveState=active" for _ in UNITS]
                return "\n\n".join(on if self.units >= set(UNITS) else ["ActiveState=inactive"])
            case ["systemctl", "enable", "--now", *units]:
                self.units |= set(units)
            case ["rm", "-rf", *paths] if any(path.startswith("/var/lib/lxd/") for path in paths):
                self.clustered, self.cluster, self.own, self.volumes = "", Cluster(), {}, set()
                self.identity = "made anew"
                for path in ("cluster.crt", "storage-pools/local/x"):
                    self.files.pop(f"/var/lib/lxd/{path}", None)
            case [_, "-I", "-c", _, "/var/lib/lxd/database/local.db"]:
                return json.dumps([list(self.own.items()), [[name] for name in self.cluster.members]])
            case ["tar", "-czf", path, *_]:
                self.files[path] = FakeFile(content=b"archive", mode=0o600)
                self.archive = copy.deepcopy((self.own, self.cluster.config, self.cluster.devices))
                self.archive += (dict(self.cluster.made), self.identity)
            case ["tar", "-xzf", path, *_]:
                assert self.files[path].content == b"archive"
                self.own, config, devices, made, self.identity = copy.deepcopy(self.archive)
                self.cluster = Cluster(config=config, devices=devices, made=made)
            case ["vgchange" | "zpool" | "pvs", *_]:
                return ""
            case ["/usr/bin/python3", *_, address, port]:
                there = self.own.get("core.https_address") == f"{address}:{port}" and not self.taken
                return "PEM" if there else NO
            case ["ss", *_]:
                line = 'LISTEN 0 10 *:{} *:* users:(("{}",pid=99,fd=3))'
                return "\n".join(line.format(*one) for one in self.taken.items())
            case ["pgrep", *_]:
                return NO
            case ["findmnt" | "systemctl" | "rm" | "pkill" | "nft" | "ip", *_]:
                return ""
            case _:
                return None
        return YES


def decoded(body):

    return json.loads(base64.b64decode(body["cluster_password"]))

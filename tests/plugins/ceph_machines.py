"""Machines with Debian's Ceph on them, in memory, and what their monitors know together."""

import itertools
import json
import re
import shlex
import threading
from dataclasses import dataclass, field
from typing import Any

from mcloud import Result, Survey
from mcloud.testing import FakeDisk, FakeFile

YES, NO = "", Result(1, "", "no")
STATE = "/var/lib/ceph"
LABEL = "bluestore block device\n"
BLUESTORE = "ceph_bluestore"
TIMES = itertools.count()
DISKS = {"/dev/sdb": "FAST-1", "/dev/sdc": "FAST-2"}
"""Serial numbers by name."""


@dataclass
class Cluster:
    """What the monitors of a Ceph cluster know together."""

    keys: dict[str, str] = field(default_factory=dict)
    caps: dict[str, list[str]] = field(default_factory=dict)
    options: dict[tuple[str, str], str] = field(default_factory=dict)
    monitors: dict[str, bool] = field(default_factory=dict)
    osds: dict[int, dict[str, Any]] = field(default_factory=dict)
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    filesystems: list[str] = field(default_factory=list)
    managers: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    stores: dict[str, str] = field(default_factory=dict)
    """What each monitor was made as, by name."""
    put_out: set[str] = field(default_factory=set)
    """Stores of monitors that were removed from the map: they are never let in again."""
    holding: dict[int, bool] = field(default_factory=dict)
    """OSDs that hold what is nowhere else yet, and whether an error tells so."""
    lock: Any = field(default_factory=threading.RLock)

    @property
    def quorum(self):
        voting = [name for name, runs in self.monitors.items() if runs]
        return voting if 2 * len(voting) > len(self.monitors) else []

    def do(self, words):  # noqa: C901, PLR0911, PLR0912 - one case per command of ceph(8)
        """Carry out one command; return what it answers, or None if it says nothing. Raises ValueError."""
        match words:
            case ["config", "set", who, name, value]:
                self.options[who, name] = value
            case ["config", "rm", who, name]:
                self.options.pop((who, name), None)
            case ["config", "dump"]:
                return [{"section": w, "name": n, "value": v} for (w, n), v in self.options.items()]
            case ["auth", "get", entity]:
                return [{"entity": entity, "key": self.keys[entity]}]
            case ["auth", "get-or-create", entity, *caps]:
                self.caps[entity] = caps
                key = self.keys.setdefault(entity, f"key-of-{entity}-{next(TIMES)}-" + "x" * 20)
                return [{"entity": entity, "key": key}]
            case ["auth", "rm", entity]:
                self.keys.pop(entity, None)
            case ["osd", *more]:
                return self.do_osd(more)
            case ["fs", "ls"]:
                return [{"name": name} for name in self.filesystems]
            case ["fs", "new", name, *_]:
                self.filesystems.append(name)
            case ["fs", "rm", name, *_]:
                self.filesystems.remove(name)
            case ["mon", "remove", name]:
                self.monitors.pop(name)
                self.put_out.add(self.stores.pop(name, ""))
            case ["mon", "dump"]:
                return {"mons": [{"name": name} for name in self.monitors]}
            case ["quorum_status"]:
                return {"quorum_names": self.quorum, "monmap": self.do(["mon", "dump"])}
            case ["status"]:
                return self.status()
            case ["fs", "fail", _]:
                pass
            case _:
                raise ValueError(f"EINVAL: invalid command {words}")
        return None

    def do_osd(self, words):  # noqa: C901, PLR0912 - as above
        """Carry out a command about OSDs and their pools."""
        match words:
            case ["new", uuid]:
                known = [number for number, osd in self.osds.items() if osd["uuid"] == uuid]
                number = known[0] if known else min(set(range(99)) - set(self.osds))
                self.osds.setdefault(number, {"uuid": uuid, "up": 0, "in": 0, "state": ["exists", "new"]})
                return {"osdid": number}
            case ["dump"]:
                osds = [{"osd": n, **osd} for n, osd in self.osds.items()]
                return {"osds": osds, "pools": [{"pool_name": n, **p} for n, p in self.pools.items()]}
            case ["rm", number]:
                self.osds.pop(int(number), None)
            case ["out" | "in" as word, number]:
                self.osds[int(number)]["in"] = int(word == "in")
            case ["safe-to-destroy", number]:
                if self.holding.get(int(number)):
                    raise ValueError(f"EBUSY: OSD(s) {number} have 32 pgs currently mapped to them.")
                safe = int(number) not in self.holding
                return {"safe_to_destroy": [int(number)] * safe, "stored_pgs": [int(number)] * (not safe)}
            case ["purge" | "purge-new" as word, number, "--yes-i-really-mean-it"]:
                self.purge(int(number), new=word == "purge-new")
            case ["pool", "create", name, number]:
                size = int(self.options["global", "osd_pool_default_size"])
                least = int(self.options.get(("global", "osd_pool_default_min_size"), size - size // 2))
                fresh = {"pg_num": int(number), "size": size, "min_size": least, "application_metadata": {}}
                self.pools.setdefault(name, fresh)
            case ["pool", "delete", name, *_]:
                if self.options.get(("mon", "mon_allow_pool_delete")) != "true":
                    raise ValueError("EPERM: pool deletion is disabled")
                self.pools.pop(name, None)
            case ["pool", "set", name, "size", number, *_]:
                self.pools[name]["size"] = int(number)
                # Without being asked: two copies make one enough (OSDMonitor.cc).
                self.pools[name]["min_size"] = int(number) - int(number) // 2
            case ["pool", "set", name, "min_size", number]:
                if not 1 <= int(number) <= self.pools[name]["size"]:
                    raise ValueError("EINVAL: pool min_size must be between 1 and size")
                self.pools[name]["min_size"] = int(number)
            case ["down", *_] | ["crush", "remove", _]:
                pass
            case _:
                raise ValueError(f"EINVAL: invalid command osd {words}")
        return None

    def purge(self, number, *, new):
        """Forget an OSD and its key, if it does not run (and never has)."""
        osd = self.osds[number]
        if osd["up"] or (new and "new" not in osd["state"]):
            raise ValueError(f"EBUSY: osd.{number} is not `{'new' if new else 'down'}`")
        del self.osds[number]
        self.keys.pop(f"osd.{number}", None)

    def status(self):
        groups = sum(pool["pg_num"] for pool in self.pools.values())
        clean = all(osd["up"] for osd in self.osds.values() if osd["in"])
        states = [{"state_name": "active+clean" if clean else "active+undersized", "count": groups}]
        checks = {code: {"summary": {"message": f"about {code}"}} for code in self.warnings}
        return {
            "health": {"status": "HEALTH_WARN" if checks else "HEALTH_OK", "checks": checks},
            "quorum_names": self.quorum,
            "monmap": {"num_mons": len(self.monitors)},
            "mgrmap": {"available": bool(self.managers)},
            "pgmap": {"pgs_by_state": states if groups else []},
        }


@dataclass
class Debian:
    """One machine with Ceph's packages: its units, its disks, and the files they make."""

    name: str
    cluster: Cluster
    files: dict[str, FakeFile] = field(default_factory=dict)
    units: set[str] = field(default_factory=set)
    disks: dict[str, FakeDisk] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    masked: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=lambda: {"ceph"})
    taken: dict[int, str] = field(default_factory=dict)
    """Programs of others that listen everywhere, by port."""

    def __post_init__(self):
        for program in ("ceph-mon", "ceph-osd", "ceph-mgr", "ceph-mds", "rbd", "ceph-conf"):
            self.files[f"/usr/bin/{program}"] = FakeFile()
        for folder in ("/etc/ceph", STATE, *(f"{STATE}/{kind}" for kind in ("mon", "mgr", "osd", "mds"))):
            self.files[folder] = FakeFile(kind="folder", mode=0o755)
        self.disks |= {path: FakeDisk(serial=serial) for path, serial in DISKS.items()}

    def world(self):
        files = {path: file for path, file in self.files.items() if not path.startswith("/dev/")}
        return files, set(self.units), self.on_disks()

    def on_disks(self):
        """Return what is on the disks, by name: an OSD's label, or what blkid would say."""
        return {
            path: disk.head.decode() if disk.content == BLUESTORE else disk.content
            for path, disk in self.disks.items()
        }

    def hold(self, path, content):
        """Have something on a disk: an OSD's label, or what blkid would say."""
        label = content.startswith(LABEL)
        self.disks[path].hold(BLUESTORE if label else content, head=content.encode() if label else b"")

    def read(self, path):
        return self.files[path].content.decode()

    def answer(self, call):
        program = getattr(self, call[0].rpartition("/")[2].replace("-", "_"), None)
        return program(call) if program else None

    # ---- programs ------------------------------------------------------------------------

    def ceph(self, call):
        if not self.cluster.quorum or "/etc/ceph/ceph.conf" not in self.files:
            return Result(1, "", "timed out")
        if "--name" in call:
            who, keyring = call[call.index("--name") + 1], call[call.index("--keyring") + 1]
            lets_in = self.cluster.keys.get(who, "none") in self.read(keyring)
            return "the fsid\n" if call[-1] == "fsid" and lets_in else Result(13, "", "access denied")
        if "/etc/ceph/ceph.client.admin.keyring" not in self.files:
            return Result(1, "", "no keyring found")
        if "getmap" in call:
            self.files[call[-1]] = FakeFile()
            return YES
        said, refused = [], []
        for line in call.stdin.splitlines():
            try:
                with self.cluster.lock:
                    answer = self.cluster.do(shlex.split(line))
            except ValueError as error:
                refused.append(f"Error {error}")
            else:
                said += [] if answer is None else [json.dumps(answer)]
        return Result(0, "\n\n".join(said), "\n".join(refused))

    def ceph_conf(self, call):
        """Read plain lines; what is no value of its type is left out, as Ceph does without a word."""
        text = self.read(call[call.index("--conf") + 1])
        lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        kept = {key: value for key, value in lines.items() if not self.drops(key, value)}
        addresses = {key: f"v2:{kept[key]}:0/0" for key in ("public_addr", "cluster_addr") if key in kept}
        if call[-2] == "--show-config-value":
            return kept.get(call[-1], "00000000-0000-0000-0000-000000000000") + "\n"
        return json.dumps({**dict.fromkeys(lines, "-"), **kept, **addresses})

    @staticmethod
    def drops(key, value):
        return key.startswith("ms_bind") and value not in {"true", "false"}

    def python3(self, call):
        name, number = call[-2].removeprefix("/run/ceph/ceph-").removesuffix(".asok").split(".")
        prefix = json.loads(call[-1])["prefix"]
        if f"ceph-{name}@{number}.service" not in self.units - self.broken:
            return NO
        if prefix == "mon_status":
            # One that was removed from the map has ended by itself.
            return json.dumps({"state": "peon"}) if number in self.cluster.monitors else NO
        return json.dumps({"state": "active"})

    def systemctl(self, call):  # noqa: PLR0911 - one case per question
        units = [word for word in call[1:] if word.endswith(".service")]
        if call[1] == "list-unit-files":
            return "".join(f"{unit} masked enabled\n" for unit in sorted(self.masked))
        if call[1] == "list-units":
            return "".join(f"{unit} loaded active running\n" for unit in sorted(self.units))
        if "--property=Id,ActiveState,UnitFileState" in call:
            states = {
                unit: ("active", "enabled") if unit in self.units else ("inactive", "") for unit in units
            }
            shown = "Id={}\nActiveState={}\nUnitFileState={}\n"
            return "\n".join(shown.format(unit, *state) for unit, state in states.items())
        if call[1] == "show":
            if "--property=ActiveState,SubState,Result" in call:
                bad, good = ("activating", "auto-restart", "exit-code"), ("active", "running", "success")
                said = [bad if unit in self.broken else good for unit in units]
                return "\n\n".join("ActiveState={}\nSubState={}\nResult={}".format(*one) for one in said)
            if units[0] in self.broken & self.units:
                return "ActiveState=activating\nUnitFileState=enabled\n"
            states = ("active", "enabled") if units[0] in self.units else ("inactive", "disabled")
            return "ActiveState={}\nUnitFileState={}\n".format(*states)
        for unit in units:
            if call[1] == "enable":
                self.start(unit)
            elif call[1] in {"disable", "stop"}:
                self.stop(unit)
        return YES

    def start(self, unit):
        kind, name = re.fullmatch(r"ceph-(\w+)@(.+)\.service", unit).groups()
        if kind == "mon":
            store = self.read(f"{STATE}/mon/ceph-{name}/store.db")
            if store in self.cluster.put_out:
                return  # it ends by itself: "not in monmap and have been in a quorum before"
            self.cluster.monitors[name], self.cluster.stores[name] = True, store
        if kind == "mgr":
            self.cluster.managers.add(name)
        if kind == "osd":
            key = self.read(f"{STATE}/osd/ceph-{name}/keyring").split("key = ")[1].strip()
            osd = self.cluster.osds[int(name)]
            # ExecStartPre looks for the disk by its label, as names change at a boot.
            label = f"{LABEL}{osd['uuid']}\n"
            block = next((path for path, text in self.on_disks().items() if text == label), "")
            assert key == self.cluster.keys[f"osd.{name}"], "an OSD with a key that nobody knows"
            assert block, "an OSD without its disk"
            self.disks[block].used = f"osd.{name}" if unit not in self.broken else ""
            if unit not in self.broken:
                # Marked in by itself the first time only: who was set out stays out.
                osd.update({"up": 1, "in": 1 if "new" in osd["state"] else osd["in"]}, state=["exists", "up"])
        self.units.add(unit)

    def stop(self, unit):
        if unit not in self.units:
            return
        self.units.remove(unit)
        kind, name = re.fullmatch(r"ceph-(\w+)@(.+)\.service", unit).groups()
        if kind == "mon" and name in self.cluster.monitors:
            self.cluster.monitors[name] = False
        if kind == "mgr":
            self.cluster.managers.discard(name)
        if kind == "osd":
            for disk in self.disks.values():
                disk.used = "" if disk.used == f"osd.{name}" else disk.used
            uuid = self.files.get(f"{STATE}/osd/ceph-{name}/fsid", FakeFile()).content.decode().strip()
            if (osd := self.cluster.osds.get(int(name), {"uuid": ""}))["uuid"] == uuid:
                osd["up"] = 0

    def ss(self, _call):
        line = 'LISTEN 0 10 0.0.0.0:{} 0.0.0.0:* users:(("{}",pid=99,fd=3))'
        return "\n".join(line.format(*one) for one in self.taken.items())

    def getent(self, call):
        return "x" if call[-1] in self.users else Result(2, "", "")

    def journalctl(self, _call):
        return "no such luck\n"

    def monmaptool(self, call):
        self.files[call[-1]] = FakeFile()
        return YES

    def ceph_mon(self, call):
        if call[1] == "--version":
            return "ceph version 16.2.15 (618f) pacific (stable)\n"
        name, keyring = call[call.index("--id") + 1], self.read(call[call.index("--keyring") + 1])
        keys = dict(re.findall(r"\[(\S+)\]\n\tkey = (\S+)", keyring))
        if not self.cluster.monitors:
            # None has been started: what was made before is void, keys included.
            self.cluster.keys.clear()
        assert self.cluster.keys.get("mon.", keys["mon."]) == keys["mon."], "a monitor with a key of its own"
        self.cluster.keys |= keys
        store = FakeFile(content=f"{name} {next(TIMES)}".encode())
        self.files[f"{STATE}/mon/ceph-{name}/store.db"] = store
        return YES

    def ceph_osd(self, call):
        number, uuid = call[call.index("--id") + 1], call[call.index("--osd-uuid") + 1]
        disk = self.links[f"{STATE}/osd/ceph-{number}/block"]
        if disk in self.broken:
            return Result(1, "", f"bdev({disk}) Input/output error")
        assert not self.disks[disk].content, "mkfs on a disk with something on it"
        assert f"ceph-osd@{number}.service" not in self.units, "mkfs under a daemon that runs"
        self.hold(disk, f"{LABEL}{uuid}\n")
        self.files[f"{STATE}/osd/ceph-{number}/ready"] = FakeFile()
        return YES

    def rbd(self, call):
        self.cluster.pools[call[-1]]["application_metadata"] = {"rbd": {}}
        return YES

    # ---- files -----------------------------------------------------------------------------

    def ln(self, call):
        assert call[-1] not in self.links
        self.links[call[-1]] = call[-2]
        return YES

    def rm(self, call):
        for folder in (word for word in call[1:] if word.startswith("/")):
            for known in (self.files, self.links):
                for path in [path for path in known if f"{path}/".startswith(f"{folder}/")]:
                    del known[path]
        return YES

    def dd(self, _call):
        return YES

    chown = chmod = rmdir = umount = dd


def survey(*abilities):
    return Survey(
        abilities=abilities,
        memory=64 * 2**30,
        disks=tuple(FakeDisk(serial=serial).described(path) for path, serial in DISKS.items()),
    )

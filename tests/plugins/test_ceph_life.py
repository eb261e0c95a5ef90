"""A Ceph of three machines lives and dies in memory: the contract, and what is special to Ceph."""

import json
import re
import shlex
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from mcloud import Disk, JoinToken, Result, RunFailed, StorageAccess, StoragePool, Survey
from mcloud.testing import FakeFile, FakeHost, PluginContract
from mcloud_ceph import plugin
from mcloud_ceph.timing import FORMING

YES, NO = "", Result(1, "", "no")
STATE = "/var/lib/ceph"
LABEL = "bluestore block device\n"


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
                return [
                    {"entity": entity, "key": self.keys.setdefault(entity, f"key-of-{entity}-" + "x" * 20)}
                ]
            case ["auth", "rm", entity]:
                self.keys.pop(entity, None)
            case ["osd", "new", uuid]:
                known = [number for number, osd in self.osds.items() if osd["uuid"] == uuid]
                number = known[0] if known else min(set(range(99)) - set(self.osds))
                self.osds.setdefault(number, {"uuid": uuid, "up": 0, "state": ["exists", "new"]})
                return {"osdid": number}
            case ["osd", "dump"]:
                osds = [{"osd": n, "in": 1, **osd} for n, osd in self.osds.items()]
                return {"osds": osds, "pools": [{"pool_name": n, **p} for n, p in self.pools.items()]}
            case ["osd", "purge-new" | "rm", number, *_]:
                self.osds.pop(int(number), None)
            case ["osd", "pool", "create", name, number]:
                size = int(self.options["global", "osd_pool_default_size"])
                fresh = {"pg_num": int(number), "size": size, "application_metadata": {}}
                self.pools.setdefault(name, fresh)
            case ["osd", "pool", "delete", name, *_]:
                if self.options.get(("mon", "mon_allow_pool_delete")) != "true":
                    raise ValueError("EPERM: pool deletion is disabled")
                self.pools.pop(name, None)
            case ["osd", "pool", "set", name, "size", number, *_]:
                self.pools[name]["size"] = int(number)
            case ["fs", "ls"]:
                return [{"name": name} for name in self.filesystems]
            case ["fs", "new", name, *_]:
                self.filesystems.append(name)
            case ["fs", "rm", name, *_]:
                self.filesystems.remove(name)
            case ["mon", "remove", name]:
                self.monitors.pop(name)
            case ["mon", "dump"]:
                return {"mons": [{"name": name} for name in self.monitors]}
            case ["quorum_status"]:
                return {"quorum_names": self.quorum, "monmap": self.do(["mon", "dump"])}
            case ["status"]:
                return self.status()
            case ["osd", "down", *_] | ["osd", "crush", "remove", _] | ["fs", "fail", _]:
                pass
            case _:
                raise ValueError(f"EINVAL: invalid command {words}")
        return None

    def status(self):
        groups = sum(pool["pg_num"] for pool in self.pools.values())
        clean = all(osd["up"] for osd in self.osds.values())
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
    content: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def __post_init__(self):
        for program in ("ceph-mon", "ceph-osd", "ceph-mgr", "ceph-mds", "rbd"):
            self.files[f"/usr/bin/{program}"] = FakeFile()
        for disk in ("/dev/sdb", "/dev/sdc"):
            self.files[disk] = FakeFile(kind="block", owner="root:disk")
            self.content[disk] = ""

    def world(self):
        files = {path: file for path, file in self.files.items() if not path.startswith("/dev/")}
        return files, set(self.units), dict(self.content)

    def read(self, path):
        return self.files[path].content.decode()

    def answer(self, call):
        program = getattr(self, call[0].rpartition("/")[2].replace("-", "_"), None)
        return program(call) if program else None

    # ---- programs ------------------------------------------------------------------------

    def ceph(self, call):
        if not self.cluster.quorum or "/etc/ceph/ceph.conf" not in self.files:
            return Result(1, "", "timed out")
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

    def python3(self, call):
        name, number = call[-2].removeprefix("/run/ceph/ceph-").removesuffix(".asok").split(".")
        prefix = json.loads(call[-1])["prefix"]
        if f"ceph-{name}@{number}.service" not in self.units - self.broken:
            return NO
        if prefix == "mon_status":
            return json.dumps({"state": "peon"})
        return json.dumps({"state": "active"})

    def systemctl(self, call):
        units = [word for word in call[1:] if word.endswith(".service")]
        if call[1] == "list-units":
            return "".join(f"{unit} loaded active running\n" for unit in sorted(self.units))
        if "--property=Id,ActiveState,UnitFileState" in call:
            states = {
                unit: ("active", "enabled") if unit in self.units else ("inactive", "") for unit in units
            }
            shown = "Id={}\nActiveState={}\nUnitFileState={}\n"
            return "\n".join(shown.format(unit, *state) for unit, state in states.items())
        if call[1] == "show":
            if "--property=Result" in call:
                return "exit-code" if units[0] in self.broken else "success"
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
            self.cluster.monitors[name] = True
        if kind == "mgr":
            self.cluster.managers.add(name)
        if kind == "osd":
            key = self.read(f"{STATE}/osd/ceph-{name}/keyring").split("key = ")[1].strip()
            osd = self.cluster.osds[int(name)]
            block = self.links[f"{STATE}/osd/ceph-{name}/block"]
            assert key == self.cluster.keys[f"osd.{name}"], "an OSD with a key that nobody knows"
            assert self.content[block] == LABEL + osd["uuid"], "an OSD on a disk of another"
            osd.update(up=int(unit not in self.broken), state=["exists", "up"])
        self.units.add(unit)

    def stop(self, unit):
        self.units.discard(unit)
        kind, name = re.fullmatch(r"ceph-(\w+)@(.+)\.service", unit).groups()
        if kind == "mon" and name in self.cluster.monitors:
            self.cluster.monitors[name] = False
        if kind == "mgr":
            self.cluster.managers.discard(name)
        if kind == "osd" and int(name) in self.cluster.osds:
            self.cluster.osds[int(name)]["up"] = 0

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
        self.files[f"{STATE}/mon/ceph-{name}/store.db"] = FakeFile()
        return YES

    def ceph_osd(self, call):
        number, uuid = call[call.index("--id") + 1], call[call.index("--osd-uuid") + 1]
        disk = self.links[f"{STATE}/osd/ceph-{number}/block"]
        if disk in self.broken:
            return Result(1, "", f"bdev({disk}) Input/output error")
        assert not self.content[disk], "mkfs on a disk with something on it"
        self.content[disk] = LABEL + uuid
        self.files[f"{STATE}/osd/ceph-{number}/ready"] = FakeFile()
        return YES

    def rbd(self, call):
        self.cluster.pools[call[-1]]["application_metadata"] = {"rbd": {}}
        return YES

    # ---- disks and files -----------------------------------------------------------------

    def wipefs(self, call):
        content = self.content[call[-1]]
        if "--all" in call:
            self.content[call[-1]] = ""
        kind = "ceph_bluestore" if content.startswith(LABEL) else content
        return json.dumps({"signatures": [{"type": kind}]}) if content else ""

    def head(self, call):
        return self.content[call[-1]]

    def blkid(self, call):
        return YES if self.content[call[-1]] else Result(2, "", "")

    def blockdev(self, _call):
        return str(20 * 2**30)

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

    chown = chmod = rmdir = umount = lsblk = cmp = dd


def survey(*abilities):
    return Survey(
        abilities=abilities,
        memory=64 * 2**30,
        disks=tuple(Disk(device=device, size=20 * 10**9) for device in ("/dev/sdb", "/dev/sdc")),
    )


class CephContract(PluginContract):
    name = "ceph"
    plugin: object = plugin
    node_settings: ClassVar = {"disks": ["/dev/sdb"]}
    # They look whether all came: where all did at once, there is nothing to do.
    adopts = ("osds-up", "replication", "known-monitors")

    def host(self):
        hosts = self.__dict__.setdefault("hosts", [])
        if len(hosts) % self.machines == 0:
            self.__dict__["cluster"] = Cluster()
        debian = Debian(name=f"n{len(hosts) % self.machines + 1}", cluster=self.__dict__["cluster"])
        hosts.append(debian)
        return FakeHost(name=debian.name, answer=debian.answer, files=debian.files)

    def survey(self):
        return survey("ceph", "rbd")

    def world(self, host):
        return host.answer.__self__.world()


class TestThree(CephContract):
    machines = 3


class TestAlone(CephContract):
    settings: ClassVar = {"cephfs": False}
    node_settings: ClassVar = {"disks": ["/dev/sdb", {"path": "/dev/sdc", "wipe": True}]}


class FourMachines(CephContract):
    machines = 4


@contextmanager
def begun(contract):
    """Give a cloud to come, and its machines."""
    with contract._begun() as walk:
        yield walk, [host.answer.__self__ for host in walk.hosts.values()]


@contextmanager
def formed(contract):
    """Give a cloud that was formed, and its machines."""
    with begun(contract) as (walk, machines):
        walk.run()
        yield walk, machines


def offered(walk, kind, machine="n1"):
    board = walk.executions[machine].around.board
    return [offer for key in walk.plan(machine).steps for offer in board.of(key) if isinstance(offer, kind)]


def test_the_first_three_machines_get_monitors_managers_and_metadata_servers():
    with formed(FourMachines()) as (_walk, machines):
        kinds = [{unit.partition("@")[0] for unit in machine.units} for machine in machines]
        full = {"ceph-mon", "ceph-mgr", "ceph-mds", "ceph-osd"}
        assert kinds == [full, full, full, {"ceph-osd"}]
        assert sorted(machines[0].cluster.quorum) == ["n1", "n2", "n3"]
        hosts = [
            re.search("mon_host = (.*)", machine.read("/etc/ceph/ceph.conf")).group(1) for machine in machines
        ]
        assert set(hosts) == {"10.0.0.1,10.0.0.2,10.0.0.3"}


def test_each_machine_has_the_keys_it_needs_and_no_other():
    with formed(FourMachines()) as (_walk, machines):
        keys = machines[0].cluster.keys
        for number, machine in enumerate(machines):
            known = {
                entity
                for path, file in machine.files.items()
                for entity, key in keys.items()
                if key.encode() in file.content
            }
            own = {
                "client.lxd",
                *(f"osd.{n}" for n in machine.cluster.osds if f"ceph-osd@{n}.service" in machine.units),
            }
            own |= {"client.admin", f"mgr.{machine.name}", f"mds.{machine.name}"} if number < 3 else set()
            assert known == own
        secret = [file for machine in machines for path, file in machine.files.items() if "keyring" in path]
        assert {file.mode for file in secret} == {0o600}


def test_no_key_is_seen_in_arguments_or_journals():
    with formed(FourMachines()) as (walk, machines):
        keys = machines[0].cluster.keys.values()
        words = [word for host in walk.hosts.values() for call in host.calls for word in (*call, *call.env)]
        journals = [path.read_text() for path in walk.folder.glob("*.jsonl")]
        assert not [key for key in keys for text in (*words, *journals) if key in text]


def test_short_waiting_times_end_with_the_forming():
    with formed(FourMachines()) as (_walk, machines):
        options = machines[0].cluster.options
        assert options.keys().isdisjoint(FORMING)
        assert options["global", "osd_pool_default_size"] == "3"
        assert not [path for machine in machines for path in machine.files if path.startswith("/run/systemd")]


def test_pools_and_access_are_offered():
    with formed(FourMachines()) as (walk, _machines):
        volumes, files = offered(walk, StoragePool)
        assert (volumes.driver, volumes.source, volumes.options["ceph.user.name"]) == (
            "ceph",
            "remote",
            "lxd",
        )
        assert (files.driver, files.source, files.purpose) == ("cephfs", "remote-fs", "filesystem")
        for machine in walk.hosts:
            assert {access.driver for access in offered(walk, StorageAccess, machine)} == {"ceph", "cephfs"}


def test_a_disk_that_got_content_after_the_plan_is_not_taken():
    with begun(CephContract()) as (walk, (machine,)):
        machine.content["/dev/sdb"] = "ext4"
        with pytest.raises(RunFailed) as failed:
            walk.run()
        assert "not empty (ext4)" in str(failed.value.exceptions[0])
        walk.undo()
        assert machine.content["/dev/sdb"] == "ext4"


def test_a_disk_that_may_be_wiped_is_wiped_and_said_to_be():
    with begun(TestAlone()) as (walk, (machine,)):
        machine.content["/dev/sdc"] = "LVM2_member"
        steps = {key.rpartition("/")[2]: step for key, (_lane, step) in walk.plan("n1").steps.items()}
        assert steps["osd-sdc"].destroys == ("everything on /dev/sdc of n1 (20 GB)",)
        assert steps["osd-sdb"].destroys == ()
        walk.run()
        assert machine.content["/dev/sdc"].startswith(LABEL)


def test_a_bad_disk_is_named():
    with begun(TestAlone()) as (walk, (machine,)):
        machine.broken.add("/dev/sdc")
        with pytest.raises(RunFailed) as failed:
            walk.run()
        (failure,) = failed.value.exceptions
        assert failure.__notes__ == ["join/ceph/n1/n1/osd-sdc"]
        assert "Input/output error" in str(failure)


def test_an_osd_that_does_not_start_is_named_with_its_last_words():
    with begun(TestAlone()) as (walk, (machine,)):
        machine.broken.add("ceph-osd@1.service")
        with pytest.raises(RunFailed) as failed:
            walk.run()
        (failure,) = failed.value.exceptions
        assert failure.__notes__ == ["join/ceph/n1/n1/osds-up"]
        assert "1 of 2 OSDs of n1" in str(failure)
        assert "osd.1 on /dev/sdc: exit-code | no such luck" in str(failure)


def test_undo_leaves_a_disk_alone_that_belongs_to_another_osd_by_now():
    with formed(TestAlone()) as (walk, (machine,)):
        other = LABEL + "00000000-0000-4000-8000-000000000000"
        machine.content["/dev/sdb"] = other
        walk.undo()
        assert machine.content == {"/dev/sdb": other, "/dev/sdc": ""}


def test_undo_frees_a_machine_when_all_others_are_gone():
    with formed(TestThree()) as (walk, machines):
        before = Debian(name="n1", cluster=Cluster()).world()
        for name in ("n2", "n3"):
            machines[0].cluster.monitors[name] = False
        undone = walk.undo()
        assert machines[0].world() == before
        assert not undone["n1"].left


def test_one_copy_is_allowed_and_its_warning_does_not_stop_the_run():
    contract = TestAlone()
    with begun(contract) as (walk, (machine,)):
        machine.cluster.warnings.append("POOL_NO_REDUNDANCY")
        walk.run()
        assert machine.cluster.options["global", "mon_allow_pool_size_one"] == "true"
        assert machine.cluster.pools["remote"]["size"] == 1


def test_a_cluster_that_is_not_sound_says_why_and_waits_as_ceph_does():
    with begun(TestAlone()) as (walk, (machine,)):
        do, stopped = machine.cluster.do, []

        def lose_an_osd(words):
            if words == ["status"]:
                walk.executions["n1"].around.stopping.set()
                machine.cluster.osds[1]["up"] = 0
                stopped.append(1)
            return do(words)

        machine.cluster.do = lose_an_osd
        with pytest.raises(RunFailed) as failed:
            walk.run()
        said = str(failed.value.exceptions[0])
        assert stopped
        assert "not up and in: osd.1" in said
        assert "0 of 32 placement groups are active+clean (32 active+undersized)" in said
        assert machine.cluster.options.keys().isdisjoint(FORMING)


def test_who_did_not_come_is_not_counted():
    with formed(TestThree()) as (walk, machines):
        cluster = machines[0].cluster
        cluster.osds[7] = {"uuid": "of a fourth", "up": 0, "state": ["exists", "new"]}
        cluster.monitors["n4"] = False
        cluster.pools["remote"]["size"] = 2
        key = "configure/ceph/n1/n1/replication"
        _lane, step = walk.plan("n1").steps[key]
        context = _Context(walk.hosts["n1"])
        assert step.probe(context) is None
        step.run(context)
        assert step.probe(context) == ()
        assert (sorted(cluster.osds), sorted(cluster.monitors)) == ([0, 1, 2], ["n1", "n2", "n3"])
        assert cluster.pools["remote"]["size"] == 3


def test_a_token_of_a_machine_without_a_monitor_holds_no_power():
    with begun(FourMachines()) as (walk, _machines):
        walk.run()
        tokens = {}
        for machine in ("n2", "n4"):
            (token,) = offered(walk, JoinToken, machine)
            tokens[machine] = json.loads(token.value.get_secret_value())
            assert "osd." not in repr(token)
        assert {key for key, value in tokens["n2"].items() if value} == {
            "fsid",
            "client",
            "monitor",
            "admin",
            "osds",
        }
        assert {key for key, value in tokens["n4"].items() if value} == {"fsid", "client", "osds"}
        assert len(tokens["n4"]["osds"]) == 1


def test_what_is_there_is_told_apart():
    with begun(CephContract()) as (walk, (machine,)):
        host = walk.hosts["n1"]
        fresh = plugin.inspect(host)
        assert (fresh.standing, fresh.version, fresh.missing) == ("idle", "16.2.15", ())
        walk.run()
        used = plugin.inspect(host)
        assert used.standing == "clustered"
        assert used.cluster in machine.read("/etc/ceph/ceph.conf")
        assert used.note == "mon.n1, mgr.n1, osd.0, mds.n1"
        del machine.files["/usr/bin/ceph-osd"]
        assert plugin.inspect(host).missing == ("ceph-osd",)


def test_a_machine_of_cephadm_or_with_left_over_daemons_is_in_use():
    debian = Debian(name="n1", cluster=Cluster())
    host = FakeHost(answer=debian.answer, files=debian.files)
    host.write(f"{STATE}/osd/ceph-3/fsid", "x")
    assert plugin.inspect(host).standing == "alone"
    fsid = "11111111-2222-3333-4444-555555555555"
    host.write(f"{STATE}/{fsid}/config", "x")
    assert (plugin.inspect(host).standing, plugin.inspect(host).cluster) == ("clustered", fsid)


@dataclass
class _Context:
    host: FakeHost

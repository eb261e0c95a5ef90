"""A Ceph of three machines lives and dies in memory: the contract, and what is special to Ceph."""

import json
import re
from contextlib import contextmanager, suppress
from typing import ClassVar

import pytest
from ceph_machines import LABEL, STATE, Cluster, Debian, survey

from mcloud import JoinToken, RunFailed, StorageAccess, StoragePool
from mcloud.testing import FakeFile, FakeHost, PluginContract
from mcloud_ceph import plugin
from mcloud_ceph.timing import FORMING


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
        return FakeHost(name=debian.name, answer=debian.answer, files=debian.files, disks=debian.disks)

    def survey(self):
        return survey("ceph", "rbd")

    def world(self, host):
        return host.answer.__self__.world()


class TestThree(CephContract):
    machines = 3


class TestAlone(CephContract):
    settings: ClassVar = {"cephfs": False}
    node_settings: ClassVar = {"disks": ["/dev/sdb", {"path": "/dev/sdc", "wipe": True}]}


class TestTwo(CephContract):
    machines = 2
    # The second machine is to have no monitor, and has none.
    adopts = (*CephContract.adopts, "no-monitor")


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


@pytest.mark.parametrize("content", ["ext4", "unknown data"])
def test_a_disk_that_got_content_after_the_plan_is_not_taken(content):
    with begun(CephContract()) as (walk, (machine,)):
        machine.hold("/dev/sdb", content)
        with pytest.raises(RunFailed) as failed:
            walk.run()
        assert f"not empty ({content})" in str(failed.value.exceptions[0])
        walk.undo()
        assert machine.on_disks()["/dev/sdb"] == content


def test_a_disk_that_may_be_wiped_is_wiped_and_said_to_be():
    with begun(TestAlone()) as (walk, (machine,)):
        machine.hold("/dev/sdc", "LVM2_member")
        steps = {key.rpartition("/")[2]: step for key, (_lane, step) in walk.plan("n1").steps.items()}
        assert steps["osd-sdc"].destroys == ("everything on /dev/sdc of n1 (20 GB)",)
        assert steps["osd-sdb"].destroys == ()
        walk.run()
        assert machine.on_disks()["/dev/sdc"].startswith(LABEL)


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
        assert "osd.1 on /dev/sdc: exit-code: no such luck" in str(failure)


def test_undo_leaves_a_disk_alone_that_belongs_to_another_osd_by_now():
    with formed(TestAlone()) as (walk, (machine,)):
        other = f"{LABEL}00000000-0000-4000-8000-000000000000\n"
        machine.hold("/dev/sdb", other)
        walk.undo()
        assert machine.on_disks() == {"/dev/sdb": other, "/dev/sdc": ""}


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
    host = FakeHost(answer=debian.answer, files=debian.files, disks=debian.disks)
    host.write(f"{STATE}/osd/ceph-3/fsid", "x")
    assert plugin.inspect(host).standing == "alone"
    fsid = "11111111-2222-3333-4444-555555555555"
    host.write(f"{STATE}/{fsid}/config", "x")
    assert (plugin.inspect(host).standing, plugin.inspect(host).cluster) == ("clustered", fsid)


# ---- who uses another Ceph already ---------------------------------------------------------------------

CONF, ADMIN = "/etc/ceph/ceph.conf", "/etc/ceph/ceph.client.admin.keyring"
THEIRS = {
    "no fsid": {CONF: "[global]\nmon_host = 192.0.2.1\n", ADMIN: "[client.admin]\n\tkey = theirs\n"},
    "a key alone": {ADMIN: "[client.admin]\n\tkey = theirs\n"},
    "of our client's name": {"/etc/ceph/ceph.client.lxd.keyring": "[client.lxd]\n\tkey = theirs\n"},
    "a conf alone": {CONF: "[global]\nmon_host = 192.0.2.1\n"},
}


def plant(host, texts):
    host.files |= {
        path: FakeFile(content=text.encode(), mode=0o640, owner="me:us") for path, text in texts.items()
    }


@pytest.mark.parametrize("texts", THEIRS.values(), ids=THEIRS)
def test_a_client_of_another_ceph_is_told_apart_and_nothing_of_it_is_read_as_ours(texts):
    """Seen: nothing was said, both files were replaced, and undo removed both."""
    with begun(CephContract()) as (walk, _machines):
        host = walk.hosts["n1"]
        plant(host, texts)
        state = plugin.inspect(host)
        assert (state.standing, state.cluster, state.features) == ("alone", "", ("client",))
        assert state.note == ", ".join(texts)


def test_keys_of_other_clients_are_named_and_in_nobody_s_way():
    with begun(CephContract()) as (walk, _machines):
        host = walk.hosts["n1"]
        plant(host, {"/etc/ceph/ceph.client.backup.keyring": "[client.backup]\n\tkey = theirs\n"})
        state = plugin.inspect(host)
        assert state.standing == "idle"
        assert state.features == ("key /etc/ceph/ceph.client.backup.keyring",)


def test_our_own_files_are_not_taken_for_somebody_s():
    with formed(CephContract()) as (walk, _machines):
        host = walk.hosts["n1"]
        state = plugin.inspect(host)
        assert "client" not in state.features
        for path in (ADMIN, "/etc/ceph/ceph.client.lxd.keyring"):
            text = host.read(path)
            assert text.startswith("# Written by mcloud\n")
            # Clouds of earlier versions have keys without it, beside a ceph.conf of ours.
            host.write(path, text.partition("\n")[2], mode=0o600)
        assert plugin.inspect(host).note == state.note


@pytest.mark.parametrize("texts", THEIRS.values(), ids=THEIRS)
def test_what_comes_after_the_plan_was_made_is_back_after_an_undo(texts):
    with begun(CephContract()) as (walk, _machines):
        host = walk.hosts["n1"]
        plant(host, texts)
        before = dict(host.files)
        with suppress(RunFailed):
            walk.run()
        walk.undo()
        assert host.files == before

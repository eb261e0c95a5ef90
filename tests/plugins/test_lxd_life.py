"""LXD's steps from found to undone, on machines in memory whose LXD answers as 5.0.2 does."""

from functools import cached_property
from types import SimpleNamespace
from typing import ClassVar

import pytest
from lxd_machines import SERIAL, Lxd, SaysNoError

from mcloud import (
    Disk,
    DiskChoice,
    NetworkAccess,
    NetworkUplink,
    Node,
    RunFailed,
    StorageAccess,
    StoragePool,
    Survey,
    VirtualNetworks,
)
from mcloud.host import Result
from mcloud.testing import FakeDisk, FakeFile, FakeHost, OfferContract, PluginContract
from mcloud_lxd import plugin
from mcloud_lxd.choice import Local
from mcloud_lxd.client import SOCKET
from mcloud_lxd.cluster import joining_step
from mcloud_lxd.local import LocalPool, pool_step
from mcloud_lxd.placeholder import clear_placeholder
from mcloud_lxd.readiness import Readiness


class LxdContract(PluginContract):
    name = "lxd"
    plugin: object = plugin
    machines = 3
    adopts: ClassVar = ("remote-pools",)
    extensions = ()

    @cached_property
    def fleet(self):
        return []

    def host(self):
        lxd = Lxd(self.fleet, extensions=self.extensions)
        name = f"n{1 + (len(self.fleet) - 1) % self.machines}"
        sockets = {SOCKET: lxd.answer}
        return FakeHost(answer=lxd.command, name=name, files=lxd.files, disks=lxd.disks, sockets=sockets)

    def world(self, host):
        return host.answer.__self__.world()


class TestWithDisks(LxdContract):
    settings: ClassVar = {"local": "btrfs"}
    node_settings: ClassVar = {"disk": {"path": "/dev/sda", "wipe": True}}

    def survey(self):
        return Survey(disks=(FakeDisk(serial=SERIAL).described("/dev/sda"),))


class TestAlone(LxdContract):
    machines = 1


class TestWithWhatOthersOffer(LxdContract):
    settings: ClassVar = {"local": "btrfs", "default_profile": "replace"}
    adopts = ()
    offered = (
        StoragePool(name="remote", driver="ceph", source="lxd_remote", options={"ceph.user.name": "lxd"}),
        StoragePool(name="remote-fs", driver="cephfs", source="lxd_fs", purpose="filesystem"),
        NetworkUplink(
            parents={"n1": "eth1", "n2": "eth1", "n3": "br-up"},
            ipv4_gateway="192.0.2.1/24",
            ipv4_range="192.0.2.100-192.0.2.254",
            dns_servers=("192.0.2.53", "2001:db8::53"),
        ),
        VirtualNetworks(
            driver="ovn",
            connection="ssl:10.0.0.1:6641",
            ca_file="/etc/ovn/ovn-central.crt",
            certificate_file="/etc/ovn/cert_host",
            key_file="/etc/ovn/key_host",
        ),
        NetworkAccess(driver="ovn", uplinks={"UPLINK": "eth1"}),
        StorageAccess(driver="ceph"),
    )

    def survey(self):
        return Survey(abilities=("rbd",))


class TestLocalPool(OfferContract):
    offers = (LocalPool(driver="zfs"),)


class TestReadiness(OfferContract):
    offers = (Readiness(),)


def formed(contract):
    with contract._begun() as walk:
        walk.run()
        return walk, {name: host.answer.__self__ for name, host in walk.hosts.items()}


def test_three_machines_share_one_cluster_and_each_gives_its_disk():
    _walk, lxds = formed(TestWithDisks())
    common = lxds["n1"].cluster
    assert all(lxd.cluster is common for lxd in lxds.values())
    assert sorted(common.members) == ["n1", "n2", "n3"]
    pool = common.things["storage-pools"]["local"]
    assert (pool["driver"], pool["status"], sorted(pool["locations"])) == (
        "btrfs",
        "Created",
        ["n1", "n2", "n3"],
    )
    for number in (1, 2, 3):
        lxd = lxds[f"n{number}"]
        assert lxd.disk == "btrfs"
        assert lxd.volumes == {"images", "backups"}
        assert lxd.own == {
            "core.https_address": f"10.0.0.{number}:8443",
            "storage.images_volume": "local/images",
            "storage.backups_volume": "local/backups",
        }
    assert common.devices == {
        "eth0": {"type": "nic", "name": "eth0", "network": "lxdbr0", "user.mcloud": "yes"},
        "root": {"type": "disk", "path": "/", "pool": "local", "user.mcloud": "yes"},
    }


def test_what_others_offer_becomes_pools_networks_and_the_profile():
    _walk, lxds = formed(TestWithWhatOthersOffer())
    things = lxds["n1"].cluster.things
    remote = things["storage-pools"]["remote"]
    lxds_own = {"volatile.pool.pristine": "true"}
    assert remote["config"] == {"ceph.user.name": "lxd", "user.mcloud": "yes"} | lxds_own
    assert remote["of"] == {name: {"source": "lxd_remote"} for name in ("n1", "n2", "n3")}
    assert "remote-fs" not in things["storage-pools"], "no kernel of them can mount it"
    assert things["networks"]["UPLINK"]["of"]["n3"] == {"parent": "br-up"}
    assert things["networks"]["UPLINK"]["config"] == {
        "ipv4.gateway": "192.0.2.1/24",
        "ipv4.ovn.ranges": "192.0.2.100-192.0.2.254",
        "dns.nameservers": "192.0.2.53,2001:db8::53",
        "user.mcloud": "yes",
    }
    assert things["networks"]["default"]["config"] == {"network": "UPLINK", "user.mcloud": "yes"}
    assert lxds["n1"].cluster.config["network.ovn.northbound_connection"] == "ssl:10.0.0.1:6641"
    assert lxds["n1"].cluster.devices["root"]["pool"] == "remote"
    assert lxds["n1"].cluster.devices["eth0"]["network"] == "default"


def test_root_disks_stay_on_local_where_a_kernel_cannot_map_remote_volumes():
    class NoRbd(TestWithWhatOthersOffer):
        def survey(self):
            return Survey()

    _walk, lxds = formed(NoRbd())
    assert lxds["n1"].cluster.things["storage-pools"]["remote"]["status"] == "Created"
    assert lxds["n1"].cluster.devices["root"]["pool"] == "local"


def test_keys_for_virtual_networks_are_given_to_an_lxd_that_takes_them():
    class Newer(TestWithWhatOthersOffer):
        extensions = ("ovn_ssl_config", "storage_remote_drop_source")

        def host(self):
            host = super().host()
            for name in ("ovn-central.crt", "cert_host", "key_host"):
                host.files[f"/etc/ovn/{name}"] = FakeFile(content=name.encode())
            return host

    _walk, lxds = formed(Newer())
    assert lxds["n1"].cluster.config["network.ovn.client_key"] == "key_host"
    assert lxds["n1"].cluster.things["storage-pools"]["remote"]["of"]["n2"] == {}


def test_an_older_lxd_says_where_it_wants_its_keys():
    class Elsewhere(TestWithWhatOthersOffer):
        offered = (
            VirtualNetworks(
                driver="ovn", connection="ssl:a:1", ca_file="/a", certificate_file="/b", key_file="/c"
            ),
        )

    with Elsewhere()._begun() as walk, pytest.raises(RunFailed) as failure:
        walk.run()
    assert "/etc/ovn/cert_host" in str(failure.value.exceptions[0])


@pytest.mark.parametrize("content", ["ext4", "unknown data"])
def test_a_disk_with_content_is_kept_unless_it_may_be_wiped(content):
    class Precious(TestWithDisks):
        node_settings: ClassVar = {"disk": {"path": "/dev/sda", "wipe": False}}

    for contract in (Precious(), TestWithDisks()):
        with contract._begun() as walk:
            lxd = walk.hosts["n1"].answer.__self__
            lxd.disk = content
            if isinstance(contract, Precious):
                with pytest.raises(RunFailed) as failure:
                    walk.run()
                assert f"/dev/sda of n1 is not empty ({content})" in str(failure.value.exceptions[0])
                assert lxd.disk == content
            else:
                walk.run()
                assert lxd.disk == "btrfs"


def test_a_disk_that_may_be_wiped_is_named_among_what_is_lost():
    disk = Disk(device="/dev/sda", size=20 * 10**9, content="ext4", links=("/dev/disk/by-id/ata-A",))
    node = Node(name="n1", addresses=("10.0.0.1",), survey=Survey(disks=(disk,)))
    for wipe in (True, False):
        given = {"n1": DiskChoice(path="/dev/disk/by-id/ata-A", wipe=wipe)}
        lost = ("everything on /dev/sda (ata-A) of n1 (20 GB, ext4)",) if wipe else ()
        assert pool_step(node, Local(driver="btrfs", disks=given)).destroys == lost
        assert joining_step(node, [node], Local(driver="btrfs", disks=given)).destroys == lost


def test_a_pool_that_failed_half_way_is_made_anew():
    contract = TestWithDisks()
    with contract._begun() as walk:
        lxd = walk.hosts["n1"].answer.__self__
        lxd.disk = "ext4"

        def fail(config):
            lxd.disks["/dev/sda"].hold("unknown data")
            raise SaysNoError(500, f"mkfs on {config['source']} was killed")

        lxd.take_disk = fail
        with pytest.raises(RunFailed):
            walk.run()
        assert lxd.cluster.things["storage-pools"]["local"]["status"] == "Errored"
        del lxd.take_disk
        walk.run()
        assert lxd.cluster.things["storage-pools"]["local"]["status"] == "Created"


@pytest.mark.parametrize("before", [True, False])
def test_a_folder_that_lxd_left_of_a_shared_pool_is_removed_unless_it_was_there_before(before):
    folder = "/var/lib/lxd/storage-pools/remote"
    with TestWithWhatOthersOffer()._begun() as walk:
        host = walk.hosts["n1"]
        lxd = host.answer.__self__
        removed, command = [], lxd.command

        def answer(call):
            if call[-1] == folder:
                removed.extend([call] if call[0] == "rm" else [])
                return ""
            return command(call)

        def refuse(words, body, target):
            if body["name"] == "remote":
                raise SaysNoError(500, "no")
            return make(words, body, target)

        host.answer = answer
        left = {folder: FakeFile(kind="folder")}
        if before:
            host.files.update(left)
        make, lxd.post_storage_pools = lxd.post_storage_pools, refuse
        with pytest.raises(RunFailed):
            walk.run()
        host.files.update(left)
        lxd.post_storage_pools = make
        walk.run()
        assert len(removed) == (not before)


@pytest.mark.parametrize(("before", "left", "removals"), [(2, 0, 1), (0, 0, 0), (2, 2, 0), (1, 0, 0)])
def test_lxds_mark_of_a_try_that_was_killed_is_removed_and_nobody_elses(before, left, removals):
    pool = StoragePool(name="remote", driver="ceph", source="pool", options={"ceph.user.name": "lxd"})
    kept, said = {}, []
    statuses = iter([before, left])

    def answer(call):
        said.append(tuple(call))
        return Result(next(statuses) if "info" in call else 0, "", "")

    ctx = SimpleNamespace(
        host=FakeHost(answer=answer),
        report=lambda _text: None,
        keep=kept.setdefault,
    )
    clear_placeholder(ctx, pool)
    clear_placeholder(ctx, pool)
    rbd = ("rbd", "--id", "lxd", "--cluster", "ceph", "--pool", "pool")
    assert [call for call in said if "remove" in call] == [
        (*rbd, "remove", "--no-progress", "lxd_pool")
    ] * removals


def test_a_pool_of_the_name_but_of_another_driver_is_refused():
    with TestWithWhatOthersOffer()._begun() as walk:
        lxd = walk.hosts["n1"].answer.__self__
        lxd.cluster.things["storage-pools"] = {
            "remote": {"name": "remote", "driver": "dir", "status": "Created", "locations": ["n1"]}
        }
        with pytest.raises(RunFailed) as failure:
            walk.run()
        assert "'remote'" in str(failure.value.exceptions[0])
        assert lxd.cluster.things["storage-pools"]["remote"]["driver"] == "dir"


def test_a_machine_of_another_cluster_is_left_alone():
    with TestWithDisks()._begun() as walk:
        lxd = walk.hosts["n2"].answer.__self__
        lxd.clustered, lxd.cluster.members = "elsewhere", {"elsewhere": lxd}
        with pytest.raises(RunFailed) as failure:
            walk.run()
        assert "already, as 'elsewhere'" in str(failure.value.exceptions[0])
        assert lxd.clustered == "elsewhere"


def test_a_joiner_that_is_listed_but_not_in_is_written_out_and_invited_again():
    class Without(LxdContract):
        settings: ClassVar = {"local": "none"}

    with Without()._begun() as walk:
        founder = walk.hosts["n1"].answer.__self__
        founder.cluster.members["n2"] = Lxd([])
        founder.cluster.tokens["old"] = "n2"
        founder.cluster.trusted.append("n2")
        walk.run()
        assert founder.cluster.members["n2"] is walk.hosts["n2"].answer.__self__
        assert not founder.cluster.tokens


def test_what_is_in_the_default_profile_is_kept_and_given_back():
    with TestWithDisks()._begun() as walk:
        lxd = walk.hosts["n1"].answer.__self__
        lxd.cluster.devices = {"root": {"type": "disk", "pool": "mine"}, "gpu": {"type": "gpu"}}
        walk.run()
        assert lxd.cluster.devices["root"] == {"type": "disk", "pool": "mine"}
        assert lxd.cluster.devices["gpu"] == {"type": "gpu"}
        assert lxd.cluster.devices["eth0"]["network"] == "lxdbr0"
        given_back = []
        before, lxd.put_profiles = (
            lxd.put_profiles,
            lambda *words: given_back.append(words[1]["devices"]) or before(*words),
        )
        walk.undo()
        assert given_back == [{"root": {"type": "disk", "pool": "mine"}, "gpu": {"type": "gpu"}}]


def test_the_profile_is_left_alone_where_that_is_wanted():
    class Leave(TestAlone):
        settings: ClassVar = {"default_profile": "leave"}

    _walk, lxds = formed(Leave())
    assert lxds["n1"].cluster.devices == {}


def test_no_local_pool_where_none_is_wanted():
    class Without(TestAlone):
        settings: ClassVar = {"local": "none"}

    _walk, lxds = formed(Without())
    assert "storage-pools" not in lxds["n1"].cluster.things
    assert "root" not in lxds["n1"].cluster.devices


def test_inspect_tells_fresh_used_clustered_and_absent_apart():
    contract = TestWithDisks()
    with contract._begun() as walk:
        host = walk.hosts["n1"]
        fresh = plugin.inspect(host)
        assert (fresh.standing, fresh.version, fresh.note) == ("idle", "5.0.2", "")
        assert fresh.features == ("driver-btrfs", "driver-ceph", "driver-dir", f"certificate:{1:064x}")
        host.answer.__self__.cluster.devices["eth0"] = {"type": "nic"}
        assert "default-profile:eth0" in plugin.inspect(host).features
        host.answer.__self__.cluster.devices.clear()
        host.answer.__self__.cluster.things["networks"] = {"br9": {"name": "br9", "managed": True}}
        assert (plugin.inspect(host).standing, plugin.inspect(host).note) == ("alone", "network br9")
        host.answer.__self__.cluster.things.clear()
        walk.run()
        assert (plugin.inspect(host).standing, plugin.inspect(host).members) == (
            "clustered",
            ("n1", "n2", "n3"),
        )
        walk.undo()
        del host.files["/usr/bin/lxc"]
        assert plugin.inspect(host).missing == ("lxd-client",)
        assert not plugin.inspect(host).installed


def test_inspect_of_an_lxd_that_does_not_answer():
    host = TestWithDisks().host()
    host.sockets = {}
    assert plugin.inspect(host).standing == "idle"
    assert "does not answer" in plugin.inspect(host).note
    host.files["/var/lib/lxd/cluster.crt"] = FakeFile()
    assert plugin.inspect(host).standing == "clustered"


def test_undo_deletes_what_was_made_of_offers_before_it_leaves():
    with TestWithWhatOthersOffer()._begun() as walk:
        walk.run()
        lxd, deleted = walk.hosts["n1"].answer.__self__, []
        for kind in ("networks", "storage_pools"):
            real = getattr(lxd, f"delete_{kind}")
            setattr(
                lxd,
                f"delete_{kind}",
                lambda words, *rest, real=real: deleted.append(words[-1]) or real(words, *rest),
            )
        walk.undo()
        assert sorted(deleted[:2]) == ["backups", "images"]
        assert deleted[2:] == ["remote", "default", "UPLINK"]


def test_a_join_that_an_earlier_try_began_is_waited_for():
    with TestWithDisks()._begun() as walk:
        lxd = walk.hosts["n2"].answer.__self__
        lxd.changing = 3
        walk.run()
        assert lxd.changing == 0
        assert lxd.clustered == "n2"

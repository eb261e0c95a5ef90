"""Machines fall out of an LXD cluster that is formed, and come back into one with pools and networks."""

from typing import ClassVar

import pytest
from lxd_machines import SERIAL, Lxd
from regrouping import Doing, with_all_back, without
from test_lxd_life import LxdContract

from mcloud import (
    DiskChoice,
    NetworkAccess,
    NetworkUplink,
    Node,
    RunFailed,
    ServiceState,
    StorageAccess,
    StoragePool,
    Survey,
    VirtualNetworks,
)
from mcloud.testing import FakeDisk
from mcloud_lxd import plugin
from mcloud_lxd.cluster import joining_step
from mcloud_lxd.settings import LxdNode, LxdSettings

WRITING_OUT = "configure/lxd/n1/n1/fallen"


class WithDisks(LxdContract):
    settings: ClassVar = {"local": "btrfs"}
    node_settings: ClassVar = {"disk": {"path": "/dev/sda", "wipe": False}}

    def survey(self):
        return Survey(disks=(FakeDisk(serial=SERIAL).described("/dev/sda"),))


class WithWhatOthersOffer(LxdContract):
    settings: ClassVar = {"local": "btrfs"}
    uplinks: ClassVar = {"UPLINK": "eth9"}

    @property
    def offered(self):
        return (
            StoragePool(name="remote", driver="ceph", source="lxd_remote"),
            StorageAccess(driver="ceph"),
            NetworkUplink(parents=dict.fromkeys(("n1", "n2", "n3"), "eth9"), ipv4_gateway="192.0.2.1/24"),
            NetworkAccess(driver="ovn", uplinks=self.uplinks),
            VirtualNetworks(
                driver="ovn",
                connection="ssl:10.0.0.1:6641",
                ca_file="/etc/ovn/ovn-central.crt",
                certificate_file="/etc/ovn/cert_host",
                key_file="/etc/ovn/key_host",
            ),
        )

    def survey(self):
        return Survey(abilities=("rbd",))


# ---- who falls out ---------------------------------------------------------------------------------------


def test_the_fallen_are_written_out_with_all_that_would_let_them_in_and_nobody_else():
    with WithDisks()._begun() as walk:
        walk.run()
        common = walk.hosts["n1"].answer.__self__.cluster
        common.members["mine"] = Lxd([])
        common.trusted.append("mine")
        common.tokens |= {"one": "n3", "other": "mine-too"}
        smaller = without(walk, "n3")
        step = Doing(smaller, WRITING_OUT)
        assert step.probe() is None
        step.run()
        assert step.probe() == ()
        assert sorted(common.members) == ["mine", "n1", "n2"]
        assert sorted(common.trusted) == ["mine", "n2"]
        assert common.tokens == {"other": "mine-too"}


@pytest.mark.parametrize("left", ["token", "certificate"])
def test_what_would_let_in_who_never_was_a_member_is_taken_away_too(left):
    with WithDisks()._begun() as walk:
        walk.run()
        common = walk.hosts["n1"].answer.__self__.cluster
        smaller = without(walk, "n3")
        smaller.run()
        step = Doing(smaller, WRITING_OUT)
        assert step.probe() == ()
        _ = common.tokens.update(one="n3") if left == "token" else common.trusted.append("n3")
        assert step.probe() is None
        step.run()
        assert step.probe() == ()
        assert (common.tokens, common.trusted) == ({}, ["n2"])


def test_the_cluster_goes_on_without_the_fallen():
    with WithDisks()._begun() as walk:
        walk.run()
        without(walk, "n3").run()
        common = walk.hosts["n1"].answer.__self__.cluster
        assert sorted(common.members) == ["n1", "n2"]
        assert common.things["storage-pools"]["local"]["driver"] == "btrfs"
        assert sorted(common.things["networks"]["lxdbr0"]["locations"]) == ["n1", "n2"]


def test_where_nobody_fell_out_nobody_is_written_out():
    with WithDisks()._begun() as walk:
        assert WRITING_OUT not in walk.plan("n1").steps
        names = list(without(walk, "n3").plan("n1").steps)
        assert names.index(WRITING_OUT) == min(
            place for place, name in enumerate(names) if name.startswith("configure/")
        )


def test_what_the_machines_have_in_common_is_not_chosen_anew_when_one_falls_out():
    """The pool is there: that the others alone could have had a better one does not count any more."""
    able = ServiceState(installed=True, features=("driver-btrfs",))
    disk = DiskChoice(path="/dev/sda", wipe=True)
    nodes = [
        Node(
            name=f"n{number}",
            addresses=(f"10.0.0.{number}",),
            founder=number == 1,
            survey=Survey(abilities=("btrfs",)),
            services={"lxd": able if number < 3 else ServiceState(installed=True)},
        )
        for number in (1, 2, 3)
    ]
    own = {node.name: LxdNode(disk=disk) for node in nodes}

    def destroyed(node, fallen):
        return [
            step.destroys
            for hook in (plugin.bootstrap, plugin.join)
            for step in hook(node, nodes[:2], LxdSettings(), own, fallen)
            if step.destroys
        ]

    for node in nodes[:2]:
        assert destroyed(node, ())
        assert not destroyed(node, nodes[2:])


# ---- who comes back --------------------------------------------------------------------------------------


def test_who_comes_back_gives_its_part_of_all_that_is_there():
    with WithWhatOthersOffer()._begun() as walk:
        walk.run()
        smaller = without(walk, "n3")
        smaller.run()
        things = walk.hosts["n1"].answer.__self__.cluster.things
        pool, uplink = things["storage-pools"]["remote"], things["networks"]["UPLINK"]
        assert "n3" not in {**pool["of"], **uplink["of"]}
        with_all_back(smaller).run()
        assert pool["of"] == {name: {"source": "lxd_remote"} for name in ("n1", "n2", "n3")}
        assert uplink["of"] == {name: {"parent": "eth9"} for name in ("n1", "n2", "n3")}
        assert sorted(pool["locations"]) == sorted(uplink["locations"]) == ["n1", "n2", "n3"]


def test_a_newer_lxd_is_not_told_where_shared_pools_are():
    class Newer(WithWhatOthersOffer):
        extensions = ("storage_remote_drop_source",)

    with Newer()._begun() as walk:
        walk.run()
        smaller = without(walk, "n3")
        smaller.run()
        with_all_back(smaller).run()
        things = walk.hosts["n1"].answer.__self__.cluster.things
        assert things["storage-pools"]["remote"]["of"]["n3"] == {}
        assert things["networks"]["UPLINK"]["of"]["n3"] == {"parent": "eth9"}


def test_who_has_no_interface_to_the_uplink_is_told_so():
    class Without(WithWhatOthersOffer):
        uplinks: ClassVar = {"ANOTHER": "eth9"}

    with Without()._begun() as walk:
        walk.run()
        smaller = without(walk, "n3")
        smaller.run()
        with pytest.raises(RunFailed) as failed:
            with_all_back(smaller).run()
        (failure,) = failed.value.exceptions
        assert "has the uplink network UPLINK, and n3 names no interface for it" in str(failure)
        assert "uplink interface" in failure.hint
        assert sorted(walk.hosts["n1"].answer.__self__.cluster.members) == ["n1", "n2"]


def test_who_was_written_out_and_does_not_know_it_is_emptied_and_joins_anew():
    with WithDisks()._begun() as walk:
        walk.run()
        smaller = without(walk, "n3")
        smaller.run()
        lxd, calls = walk.hosts["n3"].answer.__self__, walk.hosts["n3"].calls
        common = walk.hosts["n1"].answer.__self__.cluster
        assert (lxd.clustered, "n3" in common.members) == ("n3", False)
        calls.clear()
        with_all_back(smaller).run()
        assert common.members["n3"] is lxd
        assert [call for call in calls if call[:2] == ("rm", "-rf")]
        assert (lxd.disk, lxd.volumes) == ("btrfs", {"images", "backups"})
        assert "n3" in common.things["storage-pools"]["local"]["locations"]


def test_members_are_left_as_they_are_when_another_comes_back():
    with WithDisks()._begun() as walk:
        walk.run()
        smaller = without(walk, "n3")
        smaller.run()
        calls = walk.hosts["n2"].calls
        calls.clear()
        with_all_back(smaller).run()
        assert not [call for call in calls if call[:2] == ("rm", "-rf") or "--all" in call]


@pytest.mark.parametrize("standing", ["member", "joining"])
def test_only_where_a_cloud_is_there_already_its_services_are_waited_for(standing):
    nodes = [
        Node(name=f"n{number}", addresses=(f"10.0.0.{number}",), founder=number == 1, standing=stands)
        for number, stands in ((1, standing), (2, standing), (3, "joining"))
    ]
    there = (NetworkAccess, StorageAccess) if standing == "member" else ()
    assert joining_step(nodes[2], nodes, None).wants == there

"""Two of the planned monitors' machines fall out of a run: the Ceph of the others is sound all the same."""

import pytest
from ceph_machines import Cluster, Debian, survey

from mcloud import Result
from mcloud.testing import FakeCloud, FakeHost, memory_folder
from mcloud_ceph import plugin


class Ruined(Debian):
    """A machine on which no monitor can be made, as long as its disk is full."""

    full = True

    def ceph_mon(self, call):
        if call[1] == "--version" or not self.full:
            return super().ceph_mon(call)
        return Result(1, "", "no space left on device")


@pytest.fixture
def make_ceph():
    """Return a maker of clouds with Ceph; they are closed after the test."""
    opened = []

    def make(machines, *, ruined=(), **more):
        cluster, debians = Cluster(), {}

        def host(name):
            debians[name] = (Ruined if name in ruined else Debian)(name=name, cluster=cluster)
            return FakeHost(
                name=name, answer=debians[name].answer, files=debians[name].files, disks=debians[name].disks
            )

        folder = memory_folder()
        cloud = FakeCloud(
            machines,
            folder=folder.__enter__(),
            plugins={"ceph": plugin},
            host=host,
            survey=lambda _name: survey("ceph", "rbd"),
            node_settings={"ceph": {f"n{number + 1}": {"disks": ["/dev/sdb"]} for number in range(machines)}},
            **more,
        )
        opened.extend([cloud, folder])
        return cloud, cluster, debians

    yield make
    for one in opened:
        one.__exit__(None, None, None)


@pytest.mark.parametrize(
    "machines",
    [4, 5],
)
def test_two_of_three_planned_monitors_missing(make_ceph, machines):
    cloud, cluster, debians = make_ceph(machines, ruined=("n2", "n3"))
    outcome = cloud.form(seconds=28)
    assert {"n2", "n3"} == set(outcome.failures), outcome.failures
    left = [name for name in cloud.machines if name not in {"n2", "n3"}]
    assert [member["name"] for member in outcome.cloud["members"]] == left
    # All monitors that the cluster knows vote, and no OSD is waited for that will never come.
    assert cluster.quorum
    assert set(cluster.quorum) == set(cluster.monitors) <= set(left)
    assert all(osd["up"] for osd in cluster.osds.values())
    assert sorted(osd["in"] for osd in cluster.osds.values()) == [0, 0, *(1 for _name in left)]
    assert {pool["size"] for pool in cluster.pools.values()} == {min(3, len(left))}
    for name in left:
        conf = debians[name].read("/etc/ceph/ceph.conf")
        assert "10.0.0.2" not in conf
        assert "10.0.0.3" not in conf


def test_who_fell_out_comes_in_when_the_command_is_typed_again(make_ceph):
    cloud, cluster, debians = make_ceph(4, ruined=("n3",))
    assert set(cloud.form(seconds=28).failures) == {"n3"}
    assert sorted(cluster.quorum) == ["n1", "n2", "n4"]
    debians["n3"].full = False
    outcome = cloud.form(seconds=28).good()
    assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2", "n3", "n4"]
    assert sorted(cluster.quorum) == ["n1", "n2", "n3"]
    assert [(osd["up"], osd["in"]) for osd in cluster.osds.values()] == [(1, 1)] * 4
    for debian in debians.values():
        assert "mon_host = 10.0.0.1,10.0.0.2,10.0.0.3\n" in debian.read("/etc/ceph/ceph.conf")

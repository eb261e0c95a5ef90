"""Machines fall out of a Ceph that is formed, and come back: what goes, what comes, and what stays."""

import pytest
from ceph_machines import LABEL, STATE
from regrouping import Doing, with_all_back, without
from test_ceph_life import CephContract, FourMachines, formed

from mcloud import RunFailed, ServiceError
from mcloud_ceph import monitors

ADMIN = "/etc/ceph/ceph.client.admin.keyring"


class Three(CephContract):
    machines = 3


def osd_of(machine):
    """Return the number of the OSD whose label is on a machine's disk."""
    uuid = machine.on_disks()["/dev/sdb"].removeprefix(LABEL).strip()
    return next((number for number, osd in machine.cluster.osds.items() if osd["uuid"] == uuid), None)


def switch_off(machine):
    for unit in tuple(machine.units):
        machine.stop(unit)


def own_osd(cluster, number, **more):
    """Add what an operator made by hand, as new as can be."""
    cluster.osds[number] = {"uuid": f"mine-{number}", "up": 0, "in": 0, "state": ["exists", "new"], **more}


def converging(walk):
    return Doing(walk, "configure/ceph/n1/n1/replication")


def told_of_osds(step):
    return [line for line in step.said if line.startswith("osd")]


# ---- who falls out ---------------------------------------------------------------------------------------


def test_the_osds_of_the_fallen_are_out_and_their_monitors_gone():
    with formed(FourMachines()) as (walk, machines):
        cluster, fallen = machines[0].cluster, osd_of(machines[2])
        step = converging(without(walk, "n3"))
        assert step.probe() is None
        step.run()
        assert step.probe() == ()
        assert {number for number, osd in cluster.osds.items() if not osd["in"]} == {fallen}
        assert sorted(cluster.monitors) == ["n1", "n2"]
        assert fallen in cluster.osds, "it runs, and may hold what is nowhere else"
        assert not step.said


def test_an_osd_of_the_fallen_that_never_ran_is_forgotten():
    with formed(Three()) as (walk, machines):
        cluster, fallen = machines[0].cluster, osd_of(machines[2])
        cluster.osds[fallen] |= {"up": 0, "in": 0, "state": ["exists", "new"]}
        cluster.holding[fallen] = True  # that is not known of one that never ran
        step = converging(without(walk, "n3"))
        step.run()
        assert step.probe() == ()
        assert fallen not in cluster.osds
        assert f"osd.{fallen}" not in cluster.keys


def test_a_dead_osd_of_the_fallen_is_forgotten():
    with formed(Three()) as (walk, machines):
        fallen = osd_of(machines[2])
        switch_off(machines[2])
        step = converging(without(walk, "n3"))
        step.run()
        assert step.probe() == ()
        assert fallen not in machines[0].cluster.osds
        assert not told_of_osds(step)


@pytest.mark.parametrize("error", [True, False])
def test_a_dead_osd_that_holds_what_is_nowhere_else_stays_listed(error):
    with formed(Three()) as (walk, machines):
        cluster, fallen = machines[0].cluster, osd_of(machines[2])
        switch_off(machines[2])
        cluster.holding[fallen] = error
        step = converging(without(walk, "n3"))
        step.run()
        assert step.probe() == ()
        assert not cluster.osds[fallen]["in"]
        assert told_of_osds(step) == [f"osd.{fallen} stays listed: what it held may not be elsewhere"]


@pytest.mark.parametrize(
    ("machines", "before", "after"), [(Three, 2, 2), (FourMachines, 3, 3), (FourMachines, 2, 2)]
)
def test_a_change_of_copies_never_lets_one_suffice_to_write(machines, before, after):
    """Ceph sets min_size to 1 with two copies, by itself, whatever the operator had set."""
    with formed(machines()) as (walk, made):
        pools = made[0].cluster.pools
        assert {pool["min_size"] for pool in pools.values()} == {2}
        for pool in pools.values():
            pool["min_size"] = before
        gone = ["n2", "n3"][: 1 if machines is Three else 2]
        step = converging(without(walk, *gone))
        step.run()
        assert {(pool["size"], pool["min_size"]) for pool in pools.values()} == {(2, min(after, 2))}
        assert step.probe() == ()
        assert "pool remote: size 2" in step.said
        assert "pool remote: min_size 2" in step.said


def test_with_one_copy_one_is_enough_to_write():
    with formed(Three()) as (walk, made):
        converging(without(walk, "n2", "n3")).run()
        assert {(pool["size"], pool["min_size"]) for pool in made[0].cluster.pools.values()} == {(1, 1)}


def test_a_stricter_setting_of_the_operators_is_kept_as_far_as_copies_allow():
    with formed(FourMachines()) as (walk, made):
        for pool in made[0].cluster.pools.values():
            pool |= {"size": 4, "min_size": 3}
        step = converging(walk)
        step.run()
        assert {(pool["size"], pool["min_size"]) for pool in made[0].cluster.pools.values()} == {(3, 3)}


def test_what_a_power_cut_left_between_the_two_is_made_good():
    with formed(Three()) as (walk, made):
        made[0].cluster.pools["remote"]["min_size"] = 1
        step = converging(walk)
        assert step.probe() is None
        step.run()
        assert made[0].cluster.pools["remote"]["min_size"] == 2
        assert step.said == ["pool remote: min_size 2"]


def test_what_is_an_operators_own_is_never_touched():
    with formed(FourMachines()) as (walk, machines):
        cluster = machines[0].cluster
        cluster.monitors["mine"] = True
        own_osd(cluster, 70)
        own_osd(cluster, 71, state=["exists"])
        own_osd(cluster, 72, up=1, state=["exists", "up"])
        own_osd(cluster, 73, up=1, **{"in": 1}, state=["exists", "up"])
        mine = {number: dict(cluster.osds[number]) for number in (70, 71, 72, 73)}
        switch_off(machines[2])
        for gone in (without(walk, "n3"), with_all_back(without(walk, "n3"))):
            step = converging(gone)
            step.run()
            assert step.probe() == ()
            assert {number: cluster.osds[number] for number in mine} == mine
            assert "mine" in cluster.monitors


def test_where_nobody_fell_out_nothing_is_missed():
    with formed(Three()) as (walk, machines):
        own_osd(machines[0].cluster, 70)
        machines[0].cluster.monitors["mine"] = False
        assert converging(walk).probe() == ()


def test_pools_keep_no_more_copies_than_there_are_machines_left():
    with formed(Three()) as (walk, machines):
        without(walk, "n3").run()
        cluster = machines[0].cluster
        assert {pool["size"] for pool in cluster.pools.values()} == {2}
        assert cluster.options["global", "osd_pool_default_size"] == "2"


def test_a_cluster_is_sound_without_what_the_fallen_brought():
    with formed(Three()) as (walk, machines):
        cluster, fallen = machines[0].cluster, osd_of(machines[2])
        smaller = without(walk, "n3")
        converging(smaller).run()
        assert (cluster.osds[fallen]["up"], cluster.osds[fallen]["in"]) == (1, 0)
        assert Doing(smaller, "configure/ceph/n1/n1/health").probe() == ()
        assert Doing(walk, "configure/ceph/n1/n1/health").probe() is None


def test_who_takes_over_a_monitor_gets_the_keys_for_it():
    with formed(FourMachines()) as (walk, machines):
        assert ADMIN not in machines[3].files
        smaller = without(walk, "n2")
        assert Doing(walk, "join/ceph/n4/n4/access").probe()
        assert Doing(smaller, "join/ceph/n4/n4/access").probe() is None
        smaller.run()
        assert machines[3].files[ADMIN].mode == 0o600
        assert sorted(machines[0].cluster.quorum) == ["n1", "n3", "n4"]
        assert "mon_host = 10.0.0.1,10.0.0.3,10.0.0.4\n" in machines[3].read("/etc/ceph/ceph.conf")


def test_a_monitor_that_two_machines_do_not_need_is_taken_away():
    with formed(Three()) as (walk, machines):
        without(walk, "n3").run()
        assert machines[0].cluster.quorum == ["n1"]
        assert list(machines[0].cluster.monitors) == ["n1"]
        assert not [path for path in machines[1].files if path.startswith(f"{STATE}/mon/")]


def test_the_only_monitor_is_not_taken_away():
    with formed(CephContract()) as (walk, (machine,)):
        step, around = monitors.leave(walk.inputs.founder), converging(walk)
        with pytest.raises(ServiceError, match="monitor on n1 is the only one"):
            step.run(around._context("run"))
        assert machine.cluster.quorum == ["n1"]
        assert "ceph-mon@n1.service" in machine.units


# ---- who comes back --------------------------------------------------------------------------------------


def test_all_is_as_before_when_all_are_back():
    with formed(Three()) as (walk, machines):
        smaller = without(walk, "n3")
        smaller.run()
        with_all_back(smaller).run()
        cluster = machines[0].cluster
        assert sorted(cluster.quorum) == ["n1", "n2", "n3"]
        assert {(osd["up"], osd["in"]) for osd in cluster.osds.values()} == {(1, 1)}
        assert len(cluster.osds) == 3
        assert {pool["size"] for pool in cluster.pools.values()} == {3}


def test_an_osd_that_was_set_out_is_set_in_only_for_who_comes_back():
    with formed(Three()) as (walk, machines):
        cluster, back, members = machines[0].cluster, osd_of(machines[2]), osd_of(machines[1])
        smaller = without(walk, "n3")
        smaller.run()
        assert not cluster.osds[back]["in"]
        cluster.osds[members]["in"] = 0
        step = converging(with_all_back(smaller))
        assert step.probe() is None
        step.run()
        assert step.probe() == ()
        assert (cluster.osds[back]["in"], cluster.osds[members]["in"]) == (1, 0)


def test_an_osd_that_does_not_run_is_not_set_in():
    with formed(Three()) as (walk, machines):
        cluster, back = machines[0].cluster, osd_of(machines[2])
        smaller = without(walk, "n3")
        smaller.run()
        machines[2].stop(f"ceph-osd@{back}.service")
        converging(with_all_back(smaller)).run()
        assert not cluster.osds[back]["in"]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("hangs", [True, False])
def test_an_osd_that_the_cluster_forgot_is_made_anew(taken, hangs):
    """Under another number, or under the old one, for which there is another key by now."""
    with formed(Three()) as (walk, machines):
        machine, cluster, old = machines[2], machines[0].cluster, osd_of(machines[2])
        switch_off(machine)
        machine.units |= {f"ceph-osd@{old}.service"} if hangs else set()
        smaller = without(walk, "n3")
        smaller.run()
        assert osd_of(machine) is None
        if taken:
            own_osd(cluster, old, up=1, **{"in": 1}, state=["exists", "up"])
        with_all_back(smaller).run()
        new = osd_of(machine)
        assert (new != old) == taken
        assert (cluster.osds[new]["up"], cluster.osds[new]["in"]) == (1, 1)
        assert cluster.keys[f"osd.{new}"] in machine.read(f"{STATE}/osd/ceph-{new}/keyring")
        assert [unit for unit in machine.units if "osd" in unit] == [f"ceph-osd@{new}.service"]
        drop_ins = [path for path in machine.files if "ceph-osd@" in path]
        assert drop_ins == [f"/etc/systemd/system/ceph-osd@{new}.service.d/mcloud.conf"]
        folders = {path.split("/")[5] for path in machine.files if path.startswith(f"{STATE}/osd/")}
        assert folders == {f"ceph-{new}"}


def test_an_osd_that_the_cluster_still_knows_is_kept():
    with formed(Three()) as (walk, machines):
        smaller = without(walk, "n3")
        smaller.run()
        calls = walk.hosts["n3"].calls
        calls.clear()
        with_all_back(smaller).run()
        assert not [call for call in calls if call[0] == "ceph-osd"]
        assert osd_of(machines[2]) is not None


def test_a_monitor_that_was_put_out_is_made_anew():
    with formed(FourMachines()) as (walk, machines):
        before = machines[2].read(f"{STATE}/mon/ceph-n3/store.db")
        smaller = without(walk, "n3")
        smaller.run()
        assert sorted(machines[0].cluster.quorum) == ["n1", "n2", "n4"]
        with_all_back(smaller).run()
        assert sorted(machines[0].cluster.quorum) == ["n1", "n2", "n3"]
        assert machines[2].read(f"{STATE}/mon/ceph-n3/store.db") != before


@pytest.mark.parametrize("hangs", [True, False])
def test_a_disk_that_was_replaced_gets_an_osd_anew(hangs):
    with formed(Three()) as (walk, machines):
        machine, number = machines[2], osd_of(machines[2])
        step = Doing(walk, "join/ceph/n3/n3/osd-sdb")
        assert step.probe() == ()
        _ = hangs or machine.stop(f"ceph-osd@{number}.service")
        machine.hold("/dev/sdb", "")
        assert step.probe() is None
        with_all_back(walk).run()
        assert osd_of(machine) == number
        assert machine.cluster.osds[number]["up"]


def test_a_replacement_with_something_on_it_is_not_taken():
    with formed(Three()) as (walk, machines):
        machine = machines[2]
        machine.stop(f"ceph-osd@{osd_of(machine)}.service")
        machine.hold("/dev/sdb", "ext4")
        with pytest.raises(RunFailed) as failed:
            with_all_back(walk).run()
        assert "not empty (ext4)" in str(failed.value.exceptions[0])
        assert machine.on_disks()["/dev/sdb"] == "ext4"

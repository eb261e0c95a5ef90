"""One cloud of three with the real services: formed, used, power-cut, undone, formed again."""

import clouds
import pytest
import wires

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=3)


def test_three_machines_form_a_healthy_cloud(lab):
    clouds.formed(lab, clouds.cloud_file(3))
    assert clouds.amiss(lab, monitors=3) == []


def test_ceph_listens_on_its_own_network_alone_and_what_it_says_there_can_be_read(lab):
    found = {name: wires.listening(lab.machine(name), "ceph-") for name in lab.names()}
    assert {name: {address for address, _port in there} for name, there in found.items()} == {
        "n1": {"10.10.0.11"},
        "n2": {"10.10.0.12"},
        "n3": {"10.10.0.13"},
    }
    # Why the plan warns, and that the test of the other case (test_encrypted.py) can see anything at all.
    assert wires.is_read_on_the_wire(lab, writer="n1", listener="n2")


def test_instances_on_all_machines_reach_each_other(lab):
    clouds.launch_instances(lab)
    clouds.eventually(lambda: clouds.instances_ping(lab), seconds=60)


def test_everything_is_back_after_a_power_cut_of_all(lab):
    lab.kill(*lab.names())
    lab.boot()
    clouds.eventually(lambda: clouds.amiss(lab, monitors=3), seconds=120)
    clouds.eventually(lambda: clouds.instances_ping(lab), seconds=120)


def test_an_undo_takes_away_nothing_under_an_instance_that_stays(lab):
    first = lab.machine("n1")
    first.run(["lxc", "config", "set", "i-n1", "security.protection.delete", "true"])
    undone = first.run(["mcloud", "undo", "--yes"], check=False, timeout=300)
    assert undone.returncode not in {0, None}, undone.stdout
    assert "the instance i-n1 on n1 is protected" in undone.stdout, undone.stdout
    assert "remote" in first.run(["ceph", "osd", "pool", "ls"]).stdout.split()
    members = first.run(["lxc", "cluster", "list", "--format", "csv"]).stdout.splitlines()
    assert len(members) == 3
    clouds.eventually(lambda: clouds.instances_ping(lab), seconds=60)
    first.run(["lxc", "config", "unset", "i-n1", "security.protection.delete"])


def test_undo_on_each_machine_leaves_no_cluster_and_a_new_run_succeeds(lab):
    for name in lab.names():
        undone = lab.machine(name).run(["mcloud", "undo", "--yes"], check=False, timeout=300)
        assert undone.returncode == 0, undone.stdout + undone.stderr
    assert [line for name in lab.names() for line in clouds.of_a_cluster(lab.machine(name))] == []
    clouds.formed(lab, clouds.cloud_file(3))
    assert clouds.amiss(lab, monitors=3) == []

"""The initiator's mcloud is killed in the middle, and all is taken back there by one command."""

import clouds
import faults
import pytest

from mcloud.lab.forming import LOG, begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

OTHERS = ("n3", "n2")


@pytest.mark.parametrize("step", ["join/ceph/n3/n3/osds-up", "adapt/ovn/n3/n3/remote"])
def test_joiners_that_wait_take_their_part_back_when_the_initiator_does(make_lab, step):
    lab = make_lab(machines=3)
    hand_out(lab, clouds.cloud_file(3))
    running = {name: begin(lab.machine(name)) for name in lab.names()}
    assert not faults.wait_for_start(lab, "n3", step, running["n3"])
    running["n1"].kill()
    running["n1"].wait()
    undone = lab.machine("n1").run(["mcloud", "undo", "--yes"], timeout=200)
    for name in OTHERS:
        assert f"{name} took its part back, too" in undone.stdout
        assert running[name].wait(timeout=20) == 1
        said = lab.machine(name).run(["cat", LOG]).stdout
        assert "the run was taken back on n1, and what it did here, too" in said
    assert "0 left" in undone.stdout
    assert [left for name in lab.names() for left in clouds.of_a_cluster(lab.machine(name))] == []
    statuses = clouds.form(lab, clouds.cloud_file(3))
    assert not any(statuses.values()), f"{statuses}\n{clouds.logs(lab)}"
    clouds.eventually(lambda: clouds.amiss(lab, monitors=3), seconds=30)
    lab.down()

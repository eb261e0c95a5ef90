"""After a power cut two interfaces are called by each other's names: the other one is not touched."""

import json

import clouds
import faults
import pytest

from mcloud.lab.forming import LOG, begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

FILE = clouds.cloud_file(1, services=("ovn",))
REFUSED = "eth1 of n1 is another interface than the one in the plan"


def exchange(lab):
    lab.kill("n1")
    lab.boot("n1", swap_nics=("eth1", "eth3"))


def is_up(machine, name):
    shown = json.loads(machine.run(["ip", "-j", "link", "show", "dev", name]).stdout)
    return "UP" in shown[0]["flags"]


def test_the_same_command_refuses_it_and_undo_leaves_it_alone(make_lab):
    lab = make_lab(machines=1, disks=["1G"], nics=["eth3"])
    n1 = lab.machine("n1")
    n1.run(["ip", "link", "set", "dev", "eth1", "down"])  # so that undo has to put it down again
    hand_out(lab, FILE)
    running = begin(n1)
    assert not faults.wait_for_start(lab, "n1", "join/ovn/n1/n1/controller", running)
    exchange(lab)
    running.wait()
    assert begin(n1).wait(timeout=120) != 0
    said = " ".join(n1.run(["cat", LOG]).stdout.split())
    assert REFUSED in said
    assert "the one in the plan is eth3 now" in said
    assert n1.run(["systemctl", "is-active", "mcloud-ovn-uplink"], check=False).stdout == "inactive\n"
    undone = n1.run(["mcloud", "undo", "--yes"], check=False, timeout=120)
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert is_up(n1, "eth1")
    assert not is_up(n1, "eth3")
    assert clouds.of_a_cluster(n1) == []

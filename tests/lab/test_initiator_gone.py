"""The initiator dies in the middle and never comes back: the others take back their part and form a cloud."""

import io

import clouds
import faults
import pytest
from ruamel.yaml import YAML

from mcloud.lab.forming import begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

OTHERS = ("n2", "n3")


def _file_without_the_first():
    """Return the example's file for the second and third machine, the second leading."""
    yaml = YAML(typ="safe")
    tree = yaml.load(clouds.cloud_file(3))
    del tree["machines"]["n1"]
    tree["cloud"]["initiator"] = "n2"
    written = io.StringIO()
    yaml.dump(tree, written)
    return written.getvalue()


def test_joiners_of_an_initiator_that_is_gone_for_good_form_a_cloud_of_their_own(make_lab):
    lab = make_lab(machines=3)
    hand_out(lab, clouds.cloud_file(3))
    running = {name: begin(lab.machine(name)) for name in lab.names()}
    assert not faults.wait_for_start(lab, "n3", "join/ceph/n3/n3/osds-up", running["n3"])
    lab.kill("n1")
    running["n1"].wait()
    for name in OTHERS:
        running[name].kill()
        running[name].wait()
        undone = lab.machine(name).run(["mcloud", "undo", "--yes"], timeout=120)
        assert "0 left" in undone.stdout
        assert clouds.of_a_cluster(lab.machine(name)) == []
    hand_out(lab, _file_without_the_first(), OTHERS)
    again = {name: begin(lab.machine(name)) for name in OTHERS}
    statuses = {name: process.wait(timeout=200) for name, process in again.items()}
    assert not any(statuses.values()), f"{statuses}\n{clouds.logs(lab)}"
    members = lab.machine("n2").run(["lxc", "cluster", "list", "--format", "csv"]).stdout
    assert [line.partition(",")[0] for line in members.splitlines() if line.startswith("n")] == ["n2", "n3"]
    assert "2 osds: 2 up" in lab.machine("n2").run(["ceph", "-s"]).stdout

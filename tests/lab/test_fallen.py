"""A machine whose disk dies falls out: the others are a sound cloud, and with another disk it comes in."""

import clouds
import faults
import pytest

from mcloud.lab.forming import LOG, begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(500)]

ALONE = {"POOL_NO_REDUNDANCY"}


@pytest.fixture(scope="module")
def lab(make_lab):
    """Give three machines that form a cloud, in which the third one's disk for Ceph dies."""
    lab = make_lab(machines=3)
    hand_out(lab, clouds.cloud_file(3))
    running = {name: begin(lab.machine(name)) for name in lab.names()}
    assert not faults.wait_for_start(lab, "n3", "join/ceph/n3/n3/osds-up", running["n3"])
    lab.fail_disk("n3", "sdb")
    ended = {name: process.wait(timeout=200) for name, process in running.items()}
    assert ended == {"n1": 6, "n2": 0, "n3": 6}, clouds.logs(lab)
    return lab


def said(lab, name):
    return lab.machine(name).run(["cat", LOG]).stdout


def test_the_disk_is_named_and_the_cloud_of_the_others_is_sound(lab):
    assert "n3 IS NOT IN CLOUD lab" in said(lab, "n1")
    assert "/dev/sdb" in said(lab, "n1").partition("IS NOT IN CLOUD")[2]
    assert "/dev/sdb" in said(lab, "n3")
    first = lab.machine("n1")
    members = first.run(["lxc", "cluster", "list", "--format", "csv"]).stdout.splitlines()
    assert [line.partition(",")[0] for line in members] == ["n1", "n2"]
    clouds.eventually(lambda: clouds.amiss_of(lab, ["n1", "n2"], monitors=1), seconds=30)
    clouds.import_image(first)
    for name in ("n1", "n2"):
        first.run(["lxc", "launch", clouds.IMAGE, f"i-{name}", "--target", name], timeout=120)


def test_with_another_disk_the_same_command_brings_it_in_and_touches_no_instance(lab):
    lab.renew_disk("n3", "sdb")
    before = {name: clouds.began(lab.machine(name)) for name in ("n1", "n2")}
    running = {name: begin(lab.machine(name)) for name in lab.names()}
    ended = {name: process.wait(timeout=200) for name, process in running.items()}
    assert not any(ended.values()), f"{ended}\n{clouds.logs(lab)}"
    clouds.eventually(lambda: clouds.amiss(lab, monitors=3), seconds=30)
    first = lab.machine("n1")
    first.run(["lxc", "launch", clouds.IMAGE, "i-n3", "--target", "n3"], timeout=120)
    clouds.eventually(lambda: clouds.instances_ping(lab), seconds=60)
    # What was done on the members for the smaller cloud stands, but for what depends on who is in it.
    again = {name: clouds.began(lab.machine(name)) - before[name] for name in before}
    assert not [key for keys in again.values() for key in keys if "osd" in key or key.endswith("/member")]

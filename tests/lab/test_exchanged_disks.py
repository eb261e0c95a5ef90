"""After a power cut two disks are called by each other's names: only those of the plan are touched, ever.

One machine with a disk for LXD (`sda`), one for Ceph (`sdb`), and one of somebody's that no file names.
"""

import clouds
import disks
import faults
import pytest

from mcloud.lab.forming import LOG, begin, hand_out

pytestmark = [pytest.mark.lab, pytest.mark.timeout(500)]

FILE = clouds.cloud_file(1, services=("lxd", "ceph"))
BEFORE = "bootstrap/ceph/n1/n1/cluster"
"""A step before the disks are taken; from then on the plan is what was confirmed."""
PATIENT = ("--yes", "--deadlines", "4")


@pytest.fixture
def lab(make_lab):
    lab = make_lab(machines=1, disks=["10G", "10G", "10G"])
    yield lab
    lab.down()


def exchange(lab, one, other):
    """Cut the power, and boot with two disks under each other's names."""
    lab.kill("n1")
    lab.boot("n1", swap_disks=(one, other))


def kinds(lab):
    """Return what is on each disk, in the order of their names, by the serial."""
    said = "for d in sda sdb sdc; do echo $(lsblk -dno SERIAL,FSTYPE /dev/$d); done"
    lines = lab.machine("n1").run(["sh", "-c", said]).stdout.splitlines()
    return [(serial, kind) for serial, _, kind in (line.partition(" ") for line in lines)]


def test_the_same_command_after_a_cut_in_the_middle_of_a_run(lab):
    n1 = lab.machine("n1")
    disks.give_to_somebody(n1, "sdc")
    before = disks.contents(lab, "n1")["sdc"]
    hand_out(lab, FILE)
    running = begin(n1)
    assert not faults.wait_for_start(lab, "n1", BEFORE, running)
    exchange(lab, "sdb", "sdc")
    running.wait()
    status = begin(n1).wait(timeout=300)
    assert disks.contents(lab, "n1")["sdc"] == before
    said = n1.run(["cat", LOG]).stdout
    assert status == 0, said
    assert "/dev/sdb is another disk now; the one in the plan" in said
    assert kinds(lab) == [("n1-sda", "btrfs"), ("n1-sdc", "ext4"), ("n1-sdb", "ceph_bluestore")]


def test_undo_of_a_formed_cloud_whose_disks_have_other_names_by_now(lab):
    n1 = lab.machine("n1")
    disks.give_to_somebody(n1, "sdc")
    before = disks.contents(lab, "n1")["sdc"]
    clouds.formed(lab, FILE)
    exchange(lab, "sda", "sdc")
    undone = n1.run(["mcloud", "undo", *PATIENT], timeout=300, check=False)
    assert disks.contents(lab, "n1")["sdc"] == before
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert kinds(lab) == [("n1-sdc", "ext4"), ("n1-sdb", ""), ("n1-sda", "")]


def test_reset_where_somebodys_disk_has_the_name_and_the_label_of_ours(lab):
    n1 = lab.machine("n1")
    clouds.formed(lab, FILE)
    disks.give_to_somebody(n1, "sdc", file_system="btrfs")  # called `local`, as of an LXD of somebody's
    before = disks.contents(lab, "n1")["sdc"]
    exchange(lab, "sda", "sdc")
    reset = n1.run(["mcloud", "reset", *PATIENT, "--wipe-disks"], timeout=300, check=False)
    assert disks.contents(lab, "n1")["sdc"] == before
    assert reset.returncode == 0, reset.stdout + reset.stderr
    # Which of the two was LXD's here only LXD could tell: both stay, and are named.
    assert kinds(lab) == [("n1-sdc", "btrfs"), ("n1-sdb", ""), ("n1-sda", "btrfs")]
    for name in ("sda", "sdc"):
        assert (
            f"/dev/{name} holds a pool local (btrfs) that is not surely LXD's here: it stays" in reset.stdout
        )

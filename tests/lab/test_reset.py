"""`mcloud reset` with the real services, the other machines dead: nothing is left, and all joins anew."""

import json

import clouds
import pytest

from mcloud.disksdoor import DiskFound, disks_bearing, free_disks
from mcloud.errors import ServiceError
from mcloud.lab.forming import begin, hand_out
from mcloud.lab.lock import locked
from mcloud.wiping import traces

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

FOLDERS = (
    "/etc/ceph /etc/ovn /etc/openvswitch /etc/default /etc/systemd/system /run/systemd/system "
    "/var/lib/ceph /var/lib/ovn /var/lib/lxd /var/lib/openvswitch"
)
LISTING = rf"""
find {FOLDERS} -printf '%M %u:%g %p %l\n' | sort
cat /etc/default/ovn-central /etc/default/ovn-host
systemctl list-units --all --plain --no-legend --type=service,socket,target,mount | awk '{{print $1, $3, $4}}'
systemctl list-unit-files --plain --no-legend
findmnt --raw --noheadings -o TARGET,FSTYPE
ovs-vsctl --timeout=5 show | sed 1d
ovs-vsctl --timeout=5 get open . external_ids
ip -brief link | awk '{{print $1, $2}}'
ip -brief address | sed 's/fe80[^ ]*//'
ip route
ip -6 route | grep -v fe80
ip netns list
nft list tables
grep . /proc/sys/net/ipv6/conf/*/disable_ipv6
ps axo args | grep -vE '^\[|^ps |^awk|^sort|^grep|^sh ' | sed 's/[0-9]\{{3,\}}//g' | sort -u
for disk in /dev/sda /dev/sdb; do stat -c '%n %U:%G %a' $disk; blkid -p $disk; done
dmsetup ls
ss -Hltn | awk '{{print $4}}' | sort
"""
"""Files, units, mounts, switches, interfaces, namespaces, processes, disks and ports of one machine."""

NOT_OURS = ("/var/lib/lxd", "time-set.target", "time-sync.target")
"""What differs on a machine on which LXD or any daemon has ever run: LXD's mode of its own folder, ..."""


MISFORTUNES = """
pkill -STOP -x 'lxd|ceph-mon|ceph-osd|ovn-controller|ovn-northd'
pkill -STOP -f ovnsb_db
rm /var/lib/mcloud/runs/*
echo '{' > /var/lib/mcloud/cloud.json
"""
"""Daemons that hang, journals that are lost, a record that is damaged."""


def listing(machine):
    said = machine.run(["sh", "-s"], input=LISTING, check=False).stdout
    lines = [line.strip() for line in said.splitlines()]
    return {line for line in lines if not any(f"{what} " in f"{line} " for what in NOT_OURS)}


def strange(machine, fresh):
    """Return what a machine has and a fresh one has not, and the other way round."""
    now = listing(machine)
    return [*(f"+ {line}" for line in sorted(now - fresh)), *(f"- {line}" for line in sorted(fresh - now))]


def reset(machine, *options):
    done = machine.run(["mcloud", "reset", "--yes", *options], check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def form(lab, names):
    """Form a cloud of some machines of the lab."""
    hand_out(lab, clouds.cloud_file(len(names)), names)
    running = {name: begin(lab.machine(name)) for name in names}
    statuses = {name: process.wait(timeout=300) for name, process in running.items()}
    assert not any(statuses.values()), f"{statuses}\n{clouds.logs(lab)}"


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=3)


@pytest.fixture(scope="module")
def fresh(lab):
    """What a machine is on which nothing has happened yet."""
    return listing(lab.machine("n2"))


TABLES = {
    "GPT": "sgdisk --new=1:2048:+100M /dev/sdb",
    "LVM": "pvcreate --yes --quiet /dev/sdb",
    "LUKS": "echo pass | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/sdb -",
    "btrfs": "mkfs.btrfs --force --quiet /dev/sdb",
    "ext4": "mkfs.ext4 -q -F /dev/sdb",
    "data at its end": "echo end | dd of=/dev/sdb bs=1 seek=$(($(blockdev --getsize64 /dev/sdb) - 8192))",
}
"""What leaves labels on a disk, at its start, its end, or in between."""


def is_sdb(found: DiskFound) -> bool:
    return found.disk.device == "/dev/sdb"


def seen(host):
    with host.device("/dev/sdb") as device:
        return traces(host, device)


@pytest.mark.parametrize("command", TABLES.values(), ids=TABLES)
def test_a_disk_is_wiped_and_proven_clean(lab, command):
    host = lab.machine("n3").host()
    host.run(["sh", "-c", command])
    assert seen(host)
    assert free_disks(host, is_sdb) == ("/dev/sdb",)
    assert seen(host) == ()
    (found,) = disks_bearing(host, is_sdb)
    assert found.content.type == ""


def test_a_mounted_disk_is_not_wiped(lab):
    host = lab.machine("n3").host()
    host.run(["sh", "-c", "mkfs.ext4 -q -F /dev/sdb && mount /dev/sdb /mnt && echo hi > /mnt/file"])
    with pytest.raises(ServiceError, match="is in use at /mnt; nothing on it was changed"):
        free_disks(host, is_sdb)
    host.run(["sh", "-c", "umount /mnt && mount /dev/sdb /mnt && grep hi /mnt/file && umount /mnt"])
    free_disks(host, is_sdb)


def test_a_half_finished_join_is_reset_with_the_initiator_dead(lab, fresh):
    n2 = lab.machine("n2")
    assert "There is nothing to remove" in reset(n2)
    hand_out(lab, clouds.cloud_file(3))
    running = {name: begin(lab.machine(name)) for name in lab.names()}
    clouds.eventually(lambda: _missing(n2, "/var/lib/lxd/cluster.crt"), seconds=60)  # LXD is just joining
    running["n2"].kill()
    lab.kill("n1", "n3")
    for process in running.values():
        process.wait()
    assert not any(line["event"] == "finished" for line in clouds.journal(n2))
    killed = n2.run(
        ["timeout", "--signal=KILL", "1", "mcloud", "reset", "--yes", "--wipe-disks"], check=False
    )
    assert killed.returncode != 0
    print(reset(n2, "--wipe-disks"))
    clouds.eventually(lambda: strange(n2, fresh), seconds=10)
    assert "There is nothing to remove" in reset(n2, "--wipe-disks")


def test_a_machine_of_a_running_cloud_is_reset_with_the_others_dead_and_joins_a_new_one(lab, fresh):
    for name in ("n1", "n3"):  # power-cut in the middle of a run, and back
        reset(powered_on(lab, name), "--wipe-disks")
    form(lab, ["n1", "n2", "n3"])
    n2 = lab.machine("n2")
    clouds.import_image(n2)
    n2.run(["lxc", "launch", clouds.IMAGE, "web", "--target", "n2"], timeout=120)
    lab.kill("n1", "n3")
    n2.run(["sh", "-s"], input=MISFORTUNES, timeout=20)
    told = n2.run(["mcloud", "reset", "--plan", "--json"], timeout=60).stdout
    shown = [json.loads(line) for line in told.splitlines()]
    found = [line for one in shown if one["type"] == "found" for line in one["lines"]]
    assert {"membership in a cluster of n1, n2, n3", "containers web"} <= set(found)
    stays = [one["what"] for one in shown if one["type"] == "stays"]
    assert [line.partition(": ")[0].partition(" (")[0] for line in stays] == [
        "/dev/sdb still holds an OSD of Ceph",
        "/dev/sda still holds a part of LXD's pool local",
    ]
    print(reset(n2, "--wipe-disks"))
    clouds.eventually(lambda: strange(n2, fresh), seconds=10)
    # Its services wait for a quorum, and its boot waits for them. Its disks keep what is on them: the file
    # says that it may go.
    reset(powered_on(lab, "n1"))
    form(lab, ["n1", "n2"])
    members = n2.run(["lxc", "cluster", "list", "--format", "csv"]).stdout.splitlines()
    assert [line.split(",")[0] for line in members] == ["n1", "n2"]


def powered_on(lab, name):
    """Switch a machine on and return it as soon as commands can be typed on it, whatever it waits for."""
    machine = lab.machine(name)
    with locked(lab.name):
        machine.switch_on()
    clouds.eventually(lambda: [] if machine.pid and machine.state() != "off" else [name], seconds=30)
    clouds.eventually(lambda: _missing(machine, "/dev/sdb"), seconds=30)
    return machine


def _missing(machine, path):
    return [] if machine.run(["test", "-e", path], check=False).returncode == 0 else [path]

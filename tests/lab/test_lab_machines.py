"""The lab's machines are machines: each its own, mortal, and gone without a trace."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcloud.errors import CommandError, McloudError
from mcloud.lab import Lab
from mcloud.lab.wires import BACKBONE, namespace
from mcloud.survey.disks import disks

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab(machines=3, disks=["2G", "1G"], nics=["eth3"])


def eventually(sees, *, seconds: float = 20):
    """Wait until `sees()` is true; return what it saw."""
    deadline = time.monotonic() + seconds
    while not (seen := sees()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return seen


def said(machine, *command: str) -> str:
    return machine.run(command, timeout=60).stdout.strip()


def reaches(machine, address: str) -> bool:
    return machine.run(["ping", "-c1", "-W1", address], check=False, timeout=30).returncode == 0


# ---- each its own ------------------------------------------------------------------------------------


def test_machines_are_up_and_each_is_its_own(lab):
    machines = [lab.machine(name) for name in lab.names()]
    assert [said(machine, "hostname") for machine in machines] == ["n1", "n2", "n3"]
    assert [machine.state() for machine in machines] == ["running"] * 3
    assert [machine.failed() for machine in machines] == [[]] * 3
    assert len({said(machine, "cat", "/etc/machine-id") for machine in machines}) == 3
    assert len({machine.pid for machine in machines}) == 3
    # This machine has such a folder (conftest.py), as one has that mcloud itself was used on.
    assert Path("/var/lib/mcloud").exists()
    assert [m.run(["ls", "/var/lib/mcloud"], check=False).returncode for m in machines] == [2] * 3


@pytest.mark.parametrize(
    "address", ["n2", "10.10.0.13", "fd10:10::12", "10.10.2.13", "fd10:10:0:2::13", "10.10.1.12"]
)
def test_machines_reach_each_other_on_every_network(lab, address):
    assert reaches(lab.machine("n1"), address)


def test_the_uplink_has_a_gateway_and_no_address_of_its_own(lab):
    n1 = lab.machine("n1")
    assert "inet " not in said(n1, "ip", "-4", "addr", "show", "eth1")
    said(n1, "ip", "addr", "add", "192.0.2.50/24", "dev", "eth1")
    assert reaches(n1, "192.0.2.1")
    said(n1, "ip", "addr", "del", "192.0.2.50/24", "dev", "eth1")


def test_wires_carry_complete_checksums(lab):
    features = said(lab.machine("n1"), "ethtool", "--show-features", "eth2")
    assert "tx-checksumming: off" in features
    assert "generic-segmentation-offload: off" in features


def test_services_are_as_their_packages_left_them(lab):
    n1 = lab.machine("n1")
    assert (
        said(n1, "systemctl", "is-active", "lxd.socket", "openvswitch-switch", "ovn-central")
        == "active\nactive\nactive"
    )
    assert json.loads(said(n1, "lxc", "list", "--format=json")) == []
    assert "ovs_version" in said(n1, "ovs-vsctl", "show")


def test_a_machine_shares_nothing_it_writes(lab):
    said(lab.machine("n1"), "sh", "-c", "echo own > /etc/only-here")
    assert lab.machine("n2").run(["cat", "/etc/only-here"], check=False).returncode != 0
    assert not Path("/etc/only-here").exists()


def test_this_mcloud_is_on_every_machine(lab):
    assert said(lab.machine("n2"), "sh", "-c", "command -v python") == str(
        Path(sys.executable).with_name("python")
    )
    where = said(lab.machine("n2"), "python", "-I", "-c", "import mcloud; print(mcloud.__file__)")
    import mcloud  # noqa: PLC0415 - what is compared

    assert where == mcloud.__file__


# ---- commands ----------------------------------------------------------------------------------------


def test_a_command_gets_input_and_gives_back_output_and_status(lab):
    n1 = lab.machine("n1")
    assert n1.run(["tr", "a-z", "A-Z"], input="hello\n").stdout == "HELLO\n"
    assert n1.run(["sh", "-c", "exit 7"], check=False).returncode == 7
    with pytest.raises(CommandError, match="exit status 3\nwhy") as failed:
        n1.run(["sh", "-c", "echo why >&2; exit 3"])
    assert failed.value.exit_status == 3


def test_the_command_line_passes_input_output_and_status_through(lab):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mcloud.lab",
            "run",
            "--lab",
            lab.name,
            "n2",
            "--",
            "sh",
            "-c",
            "cat; hostname; exit 9",
        ],
        input="in\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("in\nn2\n", 9)


def test_a_command_that_takes_too_long_is_killed_inside_too(lab):
    n1 = lab.machine("n1")
    with pytest.raises(CommandError, match="still running"):
        n1.run(["sleep", "4711"], timeout=0.5)
    eventually(lambda: n1.run(["pgrep", "-f", "^sleep 4711"], check=False).returncode == 1)


def test_killing_what_popen_returned_kills_the_command(lab):
    n1 = lab.machine("n1")
    with n1.popen(["sleep", "4712"]) as sleeping:
        eventually(lambda: n1.run(["pgrep", "-f", "^sleep 4712"], check=False).returncode == 0)
        sleeping.kill()
    eventually(lambda: n1.run(["pgrep", "-f", "^sleep 4712"], check=False).returncode == 1)


def test_a_host_is_the_door_that_a_step_gets(lab):
    host = lab.machine("n3").host()
    host.write("/etc/by-host", "x\n")
    assert host.run(["cat", "/etc/by-host"]).stdout == "x\n"
    assert host.name == "n3"


def test_an_unknown_machine_is_refused_with_the_known_ones(lab):
    with pytest.raises(McloudError) as refused:
        lab.machine("n9")
    assert "n1, n2, n3" in refused.value.hint


def test_a_lab_that_is_up_is_not_made_again(lab):
    with pytest.raises(McloudError, match="up already"):
        lab.up()
    assert lab.machine("n1").state() == "running"


# ---- disks -------------------------------------------------------------------------------------------


def test_disks_are_there_as_on_a_real_machine(lab):
    n1 = lab.machine("n1")
    assert (
        said(n1, "stat", "-c", "%n %U:%G %a", "/dev/sda", "/dev/sdb")
        == "/dev/sda root:disk 660\n/dev/sdb root:disk 660"
    )
    assert said(n1, "blockdev", "--getsize64", "/dev/sda", "/dev/sdb") == f"{2 << 30}\n{1 << 30}"
    assert said(n1, "readlink", "-f", "/dev/disk/by-id/lab-n1-sdb") == "/dev/sdb"


def test_no_disk_of_the_host_is_there(lab):
    for name in lab.names():
        nodes = said(lab.machine(name), "find", "/dev", "-type", "b", "-printf", "%p ").split()
        assert sorted(nodes) == ["/dev/sda", "/dev/sdb"]


def test_links_follow_what_is_written_on_a_disk(lab):
    n1 = lab.machine("n1")
    uuid = "11111111-2222-3333-4444-555555555555"
    said(n1, "mkfs.ext4", "-q", "-U", uuid, "-L", "stuff", "/dev/sdb")
    link = f"/dev/disk/by-uuid/{uuid}"
    eventually(lambda: n1.run(["test", "-b", link], check=False).returncode == 0)
    assert said(n1, "readlink", "-f", "/dev/disk/by-label/stuff") == "/dev/sdb"
    said(n1, "wipefs", "-qa", "/dev/sdb")
    eventually(lambda: n1.run(["test", "-L", link], check=False).returncode == 1)


# ---- misfortunes -------------------------------------------------------------------------------------


def test_a_cut_is_between_two_machines_only_and_can_be_mended(lab):
    n1, n3 = lab.machine("n1"), lab.machine("n3")
    lab.cut("n1", "n2")
    lab.cut("n2", "n1")
    assert lab.cuts() == [("n1", "n2")]
    assert not reaches(n1, "10.10.0.12")
    assert not reaches(n1, "fd10:10:0:2::12")
    assert reaches(n1, "10.10.0.13")
    assert reaches(n3, "10.10.0.12")
    lab.mend("n1", "n2")
    lab.mend("n1", "n2")
    assert lab.cuts() == []
    assert reaches(n1, "10.10.0.12")


def test_a_power_cut_keeps_disks_and_files_and_nothing_else(lab):
    n2 = lab.machine("n2")
    said(
        n2,
        "sh",
        "-c",
        "echo kept > /root/kept; sync; ip link add br9 type bridge; chown 123 /dev/sda; echo x > /run/gone",
    )
    said(n2, "sh", "-c", "echo content | dd of=/dev/sda conv=fsync status=none")
    started = time.monotonic()
    n2.kill()
    assert time.monotonic() - started < 10
    assert n2.pid is None
    assert n2.state() == "off"
    with pytest.raises(McloudError, match="n2 is off"):
        n2.run(["true"])
    assert not reaches(lab.machine("n1"), "10.10.0.12")

    lab.boot("n2")
    assert said(n2, "cat", "/root/kept") == "kept"
    assert serials(n2) == {"sda": "n2-sda", "sdb": "n2-sdb"}
    assert said(n2, "head", "-c7", "/dev/sda") == "content"
    assert said(n2, "stat", "-c", "%U:%G %a", "/dev/sda") == "root:disk 660"
    assert n2.run(["ip", "link", "show", "br9"], check=False).returncode != 0
    assert n2.run(["test", "-e", "/run/gone"], check=False).returncode != 0
    assert reaches(lab.machine("n1"), "10.10.0.12")


def serials(machine) -> dict[str, str]:
    """Return the disks' serials by name, as an inventory reads them; udev's and those in links agree."""
    found = {disk.device.removeprefix("/dev/"): disk for disk in disks(machine.host())}
    for name, disk in found.items():
        by_id = f"/dev/disk/by-id/lab-{disk.serial}"
        assert disk.links[0] == by_id
        assert f"/dev/disk/by-path/lab-{name}" in disk.links
    return {name: disk.serial for name, disk in found.items()}


def test_all_machines_lose_power_at_once_and_come_back_one_with_disks_under_each_others_names(lab):
    lab.cut("n1", "n2")
    n1, n2 = lab.machine("n1"), lab.machine("n2")
    said(n1, "sh", "-c", "printf content | dd of=/dev/sda conv=fsync status=none")
    with pytest.raises(McloudError, match="n1 is on"):
        lab.boot("n1", swap_disks=("sda", "sdb"))
    lab.kill("n1", "n2", "n3")
    assert [lab.machine(name).pid for name in lab.names()] == [None] * 3
    lab.boot("n1", swap_disks=("sda", "sdb"))
    lab.boot()
    assert serials(n1) == {"sda": "n1-sdb", "sdb": "n1-sda"}
    assert serials(n2) == {"sda": "n2-sda", "sdb": "n2-sdb"}
    assert said(n1, "head", "-c7", "/dev/sdb") == "content"
    assert said(n1, "blockdev", "--getsize64", "/dev/sda") == str(2**30)
    lab.renew_disk("n1", "sdb")
    assert serials(n1) == {"sda": "n1-sdb", "sdb": "n1-sda.2"}
    assert n1.run(["cmp", "--bytes=7", "/dev/sdb", "/dev/zero"]).returncode == 0
    assert said(n1, "blockdev", "--getsize64", "/dev/sdb") == str(2**31)
    assert [lab.machine(name).state() for name in lab.names()] == ["running"] * 3
    assert not reaches(lab.machine("n1"), "10.10.0.12")
    lab.mend("n1", "n2")
    assert reaches(lab.machine("n1"), "10.10.0.12")


def test_a_process_that_ignores_signals_dies_in_a_power_cut(lab, network_namespaces):
    n3 = lab.machine("n3")
    with n3.popen(["sh", "-c", "trap '' TERM INT HUP; unshare --net --mount sleep 4713"]) as stubborn:
        eventually(lambda: n3.run(["pgrep", "-f", "^sleep 4713"], check=False).returncode == 0)
        n3.kill()
        assert stubborn.wait(timeout=20) != 0
    assert not any("sleep\x004713" in line for line in network_namespaces().values())
    n3.boot()


# ---- side by side, and gone --------------------------------------------------------------------------


def test_two_labs_live_side_by_side_with_the_same_addresses(lab, make_lab, interfaces):
    before = interfaces()
    other = make_lab(machines=1, disks=["1G"])
    assert interfaces() == before
    assert said(other.machine("n1"), "hostname", "-i") == "10.10.0.11"
    assert not reaches(other.machine("n1"), "10.10.0.12")
    assert reaches(lab.machine("n1"), "10.10.0.12")
    other.down()
    assert lab.machine("n1").state() == "running"


def test_down_leaves_nothing_and_may_be_repeated(make_lab, traces, interfaces, network_namespaces):
    before = interfaces()
    doomed = make_lab(machines=2, disks=["1G", "1G", "1G"])
    said(doomed.machine("n1"), "mkfs.btrfs", "-q", "/dev/sda")
    said(doomed.machine("n1"), "mount", "/dev/sda", "/mnt")
    said(doomed.machine("n1"), "systemd-run", "--unit=busy", "sh", "-c", "cd /mnt && sleep 4714")
    said(doomed.machine("n2"), "lxc", "list")
    doomed.machine("n2").kill()
    held = [namespace(doomed.name, name).stat().st_ino for name in ("n1", BACKBONE)]
    assert traces(doomed.name)

    doomed.down()
    assert traces(doomed.name) == []
    assert interfaces() == before
    assert not set(held) & set(network_namespaces())
    doomed.down()
    assert traces(doomed.name) == []


@pytest.mark.parametrize(
    "moment", ["net/backbone", "net/n2", "machines/n1/root/etc", "machines/n2/console.log", "init"]
)
def test_down_after_up_was_killed_half_way(make_lab, traces, moment):
    torn: Lab = make_lab(up=False)
    up = [sys.executable, "-m", "mcloud.lab", "up", "--lab", torn.name, "--machines", "2", "--disk", "1G"]

    def reached() -> bool:
        if moment == "init":
            return torn.names() != [] and torn.machine("n1").pid is not None
        return Path("/run/mcloud-lab", torn.name, moment).exists()

    with subprocess.Popen(up, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: Path("/run/mcloud-lab", torn.name, "lab.json").exists())
        eventually(reached)
        process.kill()
    torn.down()
    assert traces(torn.name) == []
    torn.up(machines=1, disks=["1G"])
    assert torn.machine("n1").state() == "running"
    torn.down()
    assert traces(torn.name) == []


def test_down_finds_what_is_left_when_the_state_is_lost(make_lab, traces):
    lost: Lab = make_lab(machines=1, disks=["1G"])
    Path("/run/mcloud-lab", lost.name, "lab.json").unlink()
    subprocess.run(["/usr/bin/umount", str(namespace(lost.name))], check=True)
    lost.down()
    assert traces(lost.name) == []

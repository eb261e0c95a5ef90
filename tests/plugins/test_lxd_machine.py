"""LXD's disk and its emptying, on machines in memory: what is taken apart is ours, and all of it."""

import pytest

from mcloud import Content, Disk, DiskFound, Node, Result, ServiceError
from mcloud.testing import FakeDisk, FakeFile, FakeHost
from mcloud_lxd import disk
from mcloud_lxd.client import SNAP_SOCKET, SOCKET, LxdError, call, socket_path
from mcloud_lxd.cluster import address_of
from mcloud_lxd.machine import empty, switch_on

YES, NO = Result(0, "", ""), Result(1, "", "no")


def host_with(answers, **files):
    """Return a machine that answers commands by their first words; anything else succeeds silently."""

    def answer(call):
        line = " ".join(call)
        return next((said for start, said in answers.items() if line.startswith(start)), "")

    there = {path: FakeFile() for path in files}
    return FakeHost(answer=answer, files=there)


def ran(host, *start):
    return [list(one) for one in host.calls if one[: len(start)] == start]


def found(content, **more):
    """Return a disk with something on it, as the core finds it."""
    return DiskFound(Disk(device="/dev/sda", size=1), Content(content, **more))


@pytest.mark.parametrize(
    ("disk_found", "pool"),
    [
        (found("btrfs", label="local"), ("btrfs", "local")),
        (found("zfs_member", label="tank"), ("zfs", "tank")),
        (found("LVM2_member", id="B"), ("lvm", "local")),
        (found("LVM2_member", id="C"), ("lvm", "")),
        (found("gpt", id="x"), ("zfs", "local")),
        (found("ext4", label="local"), ("", "")),
    ],
)
def test_a_disk_tells_driver_and_pool(disk_found, pool):
    answers = {
        "pvs": "  /dev/sdc;other;A\n  /dev/sda;local;B\n",
        "zpool list -H": "local\n",
        "zpool list -v": "local\t9.5G\n\t/dev/sda1\t9.5G\n",
    }
    assert disk.pool_on(host_with(answers), disk_found) == pool


def test_a_table_of_partitions_on_another_disk_is_no_pool():
    answers = {"zpool list -H": "local\n", "zpool list -v": "local\t9.5G\n\t/dev/nvme0n1p1\t9.5G\n"}
    assert disk.pool_on(host_with(answers), found("gpt", id="x")) == ("", "")


def test_only_the_disk_with_our_label_is_released_whatever_its_name():
    ours, theirs = FakeDisk(), FakeDisk()
    ours.hold("btrfs", id="ours", label="local")
    theirs.hold("btrfs", id="theirs", label="local")
    host = host_with({})
    host.disks |= {"/dev/sda": theirs, "/dev/sdb": ours}
    assert disk.release(host, lambda one: one.content.id == "ours") == ("/dev/sdb",)
    assert (ours.content, theirs.content) == ("", "btrfs")


@pytest.mark.parametrize(("backing", "closed"), [("/var/lib/lxd/disks/local.img", 1), ("/srv/local.img", 0)])
def test_a_volume_group_of_our_name_is_closed_only_in_our_file(backing, closed):
    host = host_with({"pvs": "  /dev/loop3;local;A\n"}, **{"/var/lib/lxd/disks/local.img": ""})
    host.files["/sys/block/loop3/loop/backing_file"] = FakeFile(content=backing.encode())
    disk.close_file(host, "lvm", "local")
    assert len(ran(host, "vgchange")) == closed


def test_emptying_ends_instances_unmounts_and_removes_only_lxds_own():
    mounted = iter(["/\n/var/lib/lxd/shmounts\n/var/lib/lxd/storage-pools/local\n/srv\n", "/\n/srv\n"])
    answers = {
        "pgrep -f": "70\n",
        "pgrep --parent 70": "71\n",
        "ovs-vsctl --timeout=5 list-br": "br-int\nlxdovn1\n",
    }
    host = host_with(answers)
    rest, host.answer = host.answer, lambda call: next(mounted) if call[0] == "findmnt" else rest(call)
    host.files |= {
        "/var/lib/lxd/cluster.crt": FakeFile(),
        "/var/lib/lxd/networks/lxdbr0/dnsmasq.pid": FakeFile(),
        "/var/lib/lxd/networks/UPLINK/x": FakeFile(),
        "/sys/class/net/lxdbr0/bridge/x": FakeFile(),
    }
    dismantled = []
    empty(host, dismantled.append)
    assert ran(host, "kill") == [["kill", "-KILL", "70", "71"]]
    assert [one[1] for one in ran(host, "umount")] == [
        "/var/lib/lxd/storage-pools/local",
        "/var/lib/lxd/shmounts",
    ]
    assert dismantled == [host]
    assert ran(host, "rm")[0][3:] == ["/var/lib/lxd/cluster.crt", "/var/lib/lxd/networks"]
    assert ran(host, "ip") == [["ip", "link", "delete", "lxdbr0"]]
    assert [one[-1] for one in ran(host, "ovs-vsctl") if "del-br" in one] == ["lxdovn1"]
    assert host.calls[-1][:2] == ("systemctl", "start")


def test_a_stop_that_is_cancelled_is_tried_again():
    """Somebody calls LXD's socket at that moment, and systemd starts it anew."""
    cancelled = iter([NO, NO])

    def answer(call):
        stops = call[:2] == ("systemctl", "stop") and call[-1] == "lxd.service" and "--no-block" not in call
        return next(cancelled, YES) if stops else ""

    host = FakeHost(answer=answer)
    empty(host, lambda _host: None)
    assert len(ran(host, "systemctl", "kill")) == 3
    assert len(ran(host, "systemctl", "start")) == 1


def test_nothing_is_removed_while_something_is_mounted():
    host = host_with({"findmnt": "/var/lib/lxd/storage-pools/local\n", "umount": NO})
    with pytest.raises(ServiceError, match="cannot unmount /var/lib/lxd/storage-pools/local"):
        empty(host, lambda _host: None)
    assert not ran(host, "rm")


def test_a_snap_is_used_by_its_socket_and_never_emptied_from_outside():
    host = host_with({})
    host.files[SNAP_SOCKET] = FakeFile(kind="socket")
    assert socket_path(host) == SNAP_SOCKET
    switch_on(host)
    with pytest.raises(ServiceError, match="snap"):
        empty(host, lambda _host: None)
    assert not host.calls


def test_units_that_are_on_are_not_switched_on_again():
    on = host_with({"systemctl show": "UnitFileState=enabled\nActiveState=active\n\n" * 2})
    switch_on(on)
    assert not ran(on, "systemctl", "enable")
    off = host_with(
        {"systemctl show": "UnitFileState=enabled\nActiveState=active\n\nUnitFileState=disabled\n"}
    )
    switch_on(off)
    assert ran(off, "systemctl", "enable", "--now")


def test_an_error_of_lxd_tells_nothing_of_what_was_sent():
    host = FakeHost(
        sockets={SOCKET: lambda _request: (400, {"type": "error", "error": "no", "error_code": 400})}
    )
    with pytest.raises(LxdError, match=r"PUT /1\.0/cluster: no") as failure:
        call(host, "PUT", "/1.0/cluster", {"cluster_password": "hush"})
    assert failure.value.status == 400
    with pytest.raises(LxdError, match="does not answer") as failure:
        call(FakeHost(), "PUT", "/1.0/cluster", {"cluster_password": "hush"})
    assert failure.value.status is None
    assert failure.value.__cause__ is None
    assert "hush" not in str(failure.value)


def test_an_operation_is_waited_for_and_its_failure_told():
    def answer(request):
        if request.method == "POST":
            return 202, {"type": "async", "operation": "/1.0/operations/7"}
        assert request.path_url.startswith("/1.0/operations/7/wait?timeout=")
        return 200, {
            "type": "sync",
            "metadata": {"status_code": 400, "status": "Failure", "err": "disk is full"},
        }

    with pytest.raises(LxdError, match="disk is full"):
        call(FakeHost(sockets={SOCKET: answer}), "POST", "/1.0/networks", {})


def test_addresses_of_both_families():
    assert address_of(Node(name="n1", addresses=("10.0.0.1",))) == "10.0.0.1:8443"
    assert address_of(Node(name="n1", addresses=("fd00::1",))) == "[fd00::1]:8443"

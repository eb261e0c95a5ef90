"""What LXD's preflight finds over surveys, and which storage it chooses."""

from mcloud import Disk, Node, ServiceState, Survey
from mcloud_lxd import plugin
from mcloud_lxd.choice import choose_local
from mcloud_lxd.settings import LxdNode, LxdSettings, local_disks

BLANK = Disk(device="/dev/sda", size=10**9, links=("/dev/disk/by-id/ata-A",))
FRESH = ServiceState(
    installed=True, version="5.0.2", standing="idle", features=("driver-btrfs", "driver-zfs")
)


def machine(number=1, *, disk=BLANK, abilities=("btrfs",), service=FRESH):
    return Node(
        name=f"n{number}",
        addresses=("10.0.0.1",),
        survey=Survey(disks=(disk,), abilities=abilities),
        services={"lxd": service} if service else {},
        founder=number == 1,
    )


def gives(path="/dev/sda", **how):
    return LxdNode.model_validate({"disk": {"path": path, **how}})


def found(*nodes, settings=None, node_settings=None, level="error"):
    given = node_settings if node_settings is not None else {node.name: gives() for node in nodes}
    checks = plugin.preflight(nodes=nodes, settings=settings or LxdSettings(), node_settings=given)
    return [check for check in checks if check.level == level]


def test_three_fresh_machines_with_disks_are_fine():
    nodes = [machine(number) for number in (1, 2, 3)]
    assert found(*nodes) == []
    assert found(*nodes, level="warning") == []
    assert [check.message for check in found(*nodes, level="ok")] == ["pool `local` will use btrfs"]


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    (check,) = found(machine(service=ServiceState(installed=False, missing=("lxd-client",))))
    assert check.machine == "n1"
    assert "apt-get install lxd-client" in check.hint
    assert "--install" in check.hint
    assert "apt-get install lxd lxd-client" in found(machine(service=None))[0].hint


def test_a_machine_in_a_cluster_or_in_use_is_refused_with_what_was_found():
    clustered = ServiceState(installed=True, standing="clustered", members=("a", "b"))
    used = ServiceState(installed=True, standing="alone", note="pool p1; instance i1")
    assert "a, b" in found(machine(service=clustered), node_settings={})[0].message
    assert "pool p1; instance i1" in found(machine(service=used), node_settings={})[0].message


def test_different_versions_are_refused():
    other = FRESH.model_copy(update={"version": "5.21.3"})
    (check,) = found(machine(), machine(2, service=other), machine(3))
    assert check.message == "LXD's versions differ: 5.0.2 on n1, n3; 5.21.3 on n2"


def test_a_disk_that_cannot_be_taken_is_named():
    cases = {
        "no such disk": ({}, gives("/dev/sdz")),
        "it is in use: mounted on /srv": ({"busy": "mounted on /srv"}, gives()),
        "it is read-only": ({"read_only": True}, gives()),
        "it holds ext4": ({"content": "ext4"}, gives()),
        "it holds 2 partitions": ({"partitions": 2}, gives()),
        "cannot be encrypted": ({}, gives(encrypt=True)),
    }
    for what, (traits, given) in cases.items():
        (check,) = found(machine(disk=BLANK.model_copy(update=traits)), node_settings={"n1": given})
        assert what in check.message
        assert check.machine == "n1"
        assert check.hint


def test_a_disk_may_be_named_by_a_link_and_wiped_where_that_is_said():
    holding = machine(disk=BLANK.model_copy(update={"content": "ext4"}))
    assert found(holding, node_settings={"n1": gives("/dev/disk/by-id/ata-A", wipe=True)}) == []


def test_the_best_driver_that_every_machine_has_is_taken():
    both, lesser = machine(abilities=("btrfs", "zfs")), machine(2)
    given = {"n1": gives(), "n2": gives()}
    assert choose_local([both], LxdSettings(), {"n1": gives()}).driver == "zfs"
    assert choose_local([both, lesser], LxdSettings(), given).driver == "btrfs"
    bare = machine(2, abilities=())
    chosen = choose_local([both, bare], LxdSettings(), given)
    assert (chosen.driver, chosen.disks) == ("dir", {})
    assert "zfs: n2" in chosen.why
    assert "goes to the root file system" in found(both, bare, machine(3), level="warning")[0].message


def test_without_disks_local_is_on_the_root_file_systems():
    nodes = [machine(number) for number in (1, 2, 3)]
    assert choose_local(nodes, LxdSettings(), {}).driver == "dir"
    (warning,) = found(*nodes, node_settings={}, level="warning")
    assert "root file systems" in warning.message


def test_a_machine_without_a_disk_among_others_gives_a_file():
    nodes = [machine(number) for number in (1, 2, 3)]
    (warning,) = found(*nodes, node_settings={"n1": gives(), "n3": gives()}, level="warning")
    assert "a file on the root file system of n2" in warning.message


def test_a_driver_that_was_asked_for_but_is_lacking_is_refused():
    settings = LxdSettings(local="zfs")
    (check,) = found(machine(), machine(2, abilities=("zfs",)), settings=settings)
    assert check.message == "pool `local`: LXD or the kernel lacks zfs on n1"


def test_no_local_pool_is_made_where_none_is_wanted():
    settings = LxdSettings(local="none")
    assert choose_local([machine()], settings, {"n1": gives()}) is None
    assert "no pool `local`" in found(machine(), settings=settings, level="warning")[0].message


def test_kernels_without_shared_storage_are_named_where_lxd_could_use_it():
    able = FRESH.model_copy(update={"features": ("driver-btrfs", "driver-ceph", "driver-cephfs")})
    warnings = [
        check.message
        for check in found(
            machine(service=able, abilities=("btrfs", "rbd", "ceph")),
            machine(2, service=able, abilities=("btrfs", "rbd")),
            machine(3),
            level="warning",
        )
    ]
    assert warnings == ["no cephfs volumes, as 'ceph' is lacking on n2: pools of that driver are left out"]


def test_what_few_machines_cost_in_safety_is_said():
    assert "if it is lost, all is" in found(machine(), level="warning")[0].message
    assert "the other's LXD stops too" in found(machine(), machine(2), level="warning")[0].message


def test_an_lxd_that_does_not_answer_is_a_warning():
    silent = FRESH.model_copy(update={"note": "its socket is not there"})
    nodes = [machine(service=silent), machine(2), machine(3)]
    assert "its socket is not there" in found(*nodes, level="warning")[0].message


def test_the_smallest_of_several_blank_disks_is_proposed_and_a_single_one_is_left_to_others():
    blank = BLANK.model_copy(update={"links": ()})
    busy = blank.model_copy(update={"device": "/dev/sdb", "busy": "mounted on /"})
    large = blank.model_copy(update={"device": "/dev/sdc", "size": blank.size * 2})

    def proposed(*disks):
        node = machine().model_copy(update={"survey": Survey(disks=disks)})
        return [(choice.value, choice.closed, choice.picked) for choice in local_disks(node)]

    assert proposed(blank, busy) == [("/dev/sda", "", False), ("/dev/sdb", "mounted on /", False)]
    assert proposed(large, blank) == [("/dev/sdc", "", False), ("/dev/sda", "", True)]

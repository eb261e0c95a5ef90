"""What is said before any change, for each thing that can be wrong with machines and disks."""

import pytest

from mcloud import Disk, Nic, Node, ServiceState, Survey
from mcloud_ceph import wire
from mcloud_ceph.readiness import checks
from mcloud_ceph.settings import CephNode, CephSettings

GIB = 2**30
READY = ServiceState(installed=True, version="16.2.15", standing="idle")


def machine(number=1, *, disk=None, state=READY, abilities=("ceph", "rbd"), memory=64 * GIB):
    disks = (Disk(device="/dev/sdb", size=100 * GIB, links=("/dev/disk/by-id/b",), **(disk or {})),)
    return Node(
        name=f"n{number}",
        addresses=(f"10.0.0.{number}",),
        founder=number == 1,
        services={"ceph": state} if state else {},
        survey=Survey(
            abilities=abilities,
            memory=memory,
            disks=disks,
            nics=(Nic(name="eth1", addresses=(f"10.1.0.{number}/24",)),),
        ),
    )


def found(nodes, disks=("/dev/sdb",), **settings):
    own = {node.name: CephNode(disks=disks) for node in nodes}
    made = list(checks(nodes, CephSettings(**settings), own))
    return {
        level: [f"{check.message} | {check.hint}" for check in said]
        for level in ("error", "warning")
        if (said := [c for c in made if c.level == level and not _is_usual(c)])
    }


def _is_usual(check):
    """Whether it is what is said of every cloud that does not encrypt."""
    return check.message.startswith("Ceph's traffic is not encrypted")


THREE = [machine(number) for number in (1, 2, 3)]


def test_nothing_is_said_of_three_sound_machines():
    assert found(THREE) == {}
    assert found(THREE, public_network="10.0.0.0/24", internal_network="10.1.0.0/24") == {}


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ({"content": "ext4"}, "is not empty (ext4)"),
        ({"partitions": 2}, "is not empty (2 partitions)"),
        ({"busy": "mounted on /srv"}, "is in use: mounted on /srv"),
        ({"read_only": True}, "can only be read"),
    ],
)
def test_a_disk_that_cannot_be_taken_is_an_error(disk, said):
    (error,) = found([*THREE[:2], machine(3, disk=disk)])["error"]
    assert error.startswith("/dev/sdb")
    assert said in error


CLIENT = "/etc/ceph/ceph.conf, /etc/ceph/ceph.client.admin.keyring"


@pytest.mark.parametrize(("cluster", "said"), [("", ""), ("5d1c8ac2", " (cluster 5d1c8ac2)")])
def test_a_client_of_another_ceph_is_refused_with_its_files_and_what_to_do(cluster, said):
    standing = "clustered" if cluster else "alone"
    state = READY.model_copy(
        update={"standing": standing, "cluster": cluster, "features": ("client",), "note": CLIENT}
    )
    (error,) = found([*THREE[:2], machine(3, state=state)])["error"]
    assert error.startswith(f"n3 is a client of another Ceph{said}: {CLIENT} would have to be replaced | ")
    assert "mv /etc/ceph/ceph.conf /etc/ceph/ceph.client.admin.keyring /root/ceph/" in error


def test_other_keys_of_another_ceph_stay_and_are_named():
    state = READY.model_copy(update={"features": ("key /etc/ceph/ceph.client.backup.keyring",)})
    (warning,) = found([*THREE[:2], machine(3, state=state)])["warning"]
    assert warning.startswith("n3 has keys of another Ceph, which stay as they are: /etc/ceph/ceph.client.b")


def test_content_is_no_error_where_it_may_be_wiped():
    disks = ({"path": "/dev/disk/by-id/b", "wipe": True},)
    assert found([machine(n, disk={"content": "ext4"}) for n in (1, 2, 3)], disks) == {}


def test_wiping_does_not_excuse_a_disk_in_use():
    disks = ({"path": "/dev/sdb", "wipe": True},)
    assert len(found([machine(n, disk={"busy": "swap"}) for n in (1, 2, 3)], disks)["error"]) == 3


def test_a_disk_that_is_not_there_is_named_with_those_that_are():
    errors = found(THREE, ("/dev/sdx",))["error"]
    assert len(errors) == 3
    assert "no disk /dev/sdx on n1 | it has: /dev/sdb" in errors[0]


def test_a_small_disk_is_refused():
    node = machine(1)
    small = Disk(device="/dev/sdb", size=10**9)
    node = node.model_copy(update={"survey": node.survey.model_copy(update={"disks": (small,)})})
    assert "too small: 1.0 GB" in found([node, *THREE[1:]])["error"][0]


def test_encryption_is_refused_plainly():
    assert "cannot be encrypted yet" in found(THREE, ({"path": "/dev/sdb", "encrypt": True},))["error"][0]


def test_missing_packages_are_named_with_the_command():
    state = ServiceState(installed=False, missing=("ceph-osd", "ceph-mon"))
    (error,) = found([*THREE[:2], machine(3, state=state)])["error"]
    assert "apt-get install ceph-osd ceph-mon" in error
    assert "--install" in error


def test_a_machine_in_a_cluster_is_refused_with_what_was_found():
    state = ServiceState(installed=True, standing="clustered", cluster="abc", note="mon.x, osd.3")
    (error,) = found([*THREE[:2], machine(3, state=state)])["error"]
    assert error.startswith("n3 is in the Ceph cluster abc (mon.x, osd.3)")


def test_different_releases_are_refused():
    other = ServiceState(installed=True, version="17.2.7", standing="idle")
    (error,) = found([*THREE[:2], machine(3, state=other)])["error"]
    assert "n1 16.2.15, n2 16.2.15, n3 17.2.7" in error


def test_a_machine_outside_a_network_is_refused_by_key():
    (public, *_), (internal, *_) = (
        found(THREE, public_network="10.9.0.0/24")["error"],
        found(THREE, internal_network="10.9.0.0/24")["error"],
    )
    assert "no address in 10.9.0.0/24 (ceph.public_network)" in public
    assert "no address in 10.9.0.0/24 (ceph.internal_network)" in internal


def test_no_disk_anywhere_is_an_error():
    assert found(THREE, ())["error"][0].startswith("no machine has a disk for Ceph")


def test_what_fewer_machines_cost_is_said():
    (one,) = found(THREE[:1])["warning"]
    assert "kept once" in one
    assert "POOL_NO_REDUNDANCY" in one
    copies, monitor = found(THREE[:2])["warning"]
    assert "kept 2 times" in copies
    assert "min_size 2" in copies
    assert "one monitor, on n1" in monitor


def test_more_copies_than_machines_is_a_warning():
    (warning,) = found(THREE, replicas=5)["warning"]
    assert "kept 3 times" in warning


def test_what_a_kernel_lacks_is_said_with_what_is_left_out():
    bare = [*THREE[:2], machine(3, abilities=())]
    files, volumes = found(bare)["warning"]
    assert "n3 has no ceph: no file system remote-fs" in files
    assert "n3 has no rbd" in volumes
    assert len(found(bare, cephfs=False)["warning"]) == 1


def listening(nodes, **settings):
    """Return what is said about who can listen."""
    return [check.message for check in wire.checks(nodes, CephSettings(**settings))]


def test_who_could_listen_is_said_unless_all_is_encrypted():
    (said,) = listening(THREE)
    assert "not encrypted on the wire: who can listen on the machines' network can read all data" in said
    (said,) = listening(THREE, public_network="10.0.0.0/24", internal_network="10.1.0.0/24")
    assert "listen on 10.0.0.0/24 or 10.1.0.0/24" in said
    assert listening(THREE[:1]) == []
    assert listening(THREE, encrypt_traffic=True, cephfs=False) == []


def test_what_encryption_costs_is_said():
    (files,) = listening(THREE, encrypt_traffic=True)
    assert files == "no file system remote-fs is made: LXD 5.0 cannot mount one whose traffic is encrypted"
    old = THREE[2].model_copy(
        update={"survey": THREE[2].survey.model_copy(update={"kernel": "5.10.0-9-amd64"})}
    )
    (volumes,) = listening([*THREE[:2], old], encrypt_traffic=True, cephfs=False)
    assert "the kernel of n3 is older than 5.11 and cannot encrypt" in volumes


def with_addresses(number, own, other):
    node = machine(number)
    nics = (Nic(name="eth1", addresses=(other,)),)
    survey = node.survey.model_copy(update={"nics": nics})
    return Node.model_validate({**node.model_dump(), "addresses": (own,), "survey": survey})


@pytest.mark.parametrize(
    ("own", "other", "internal", "said"),
    [
        ("fd00::{}", "10.1.0.{}/24", "10.1.0.0/24", "public network is IPv6, its internal network IPv4"),
        ("10.0.0.{}", "fd01::{}/64", "fd01::/64", "public network is IPv4, its internal network IPv6"),
        ("fd00::{}", "fd01::{}/64", "fd01::/64", ""),
    ],
)
def test_networks_of_two_kinds_are_refused(own, other, internal, said):
    nodes = [with_addresses(number, own.format(number), other.format(number)) for number in (1, 2, 3)]
    errors = found(nodes, internal_network=internal).get("error", [])
    assert len(errors) == (1 if said else 0)
    assert all(said in error for error in errors)


def test_machines_of_two_kinds_are_refused():
    nodes = [*THREE[:2], with_addresses(3, "fd00::3", "10.0.0.3/24")]
    (error,) = found(nodes)["error"]
    assert error.startswith("Ceph's public addresses are of different kinds: n1 IPv4, n2 IPv4, n3 IPv6")
    assert "error" not in found(nodes, public_network="10.0.0.0/24")


def test_little_memory_is_a_warning():
    (warning,) = found([*THREE[:2], machine(3, memory=2 * GIB)])["warning"]
    assert "1 OSDs would use 4 GiB of memory, n3 has 2 GiB" in warning

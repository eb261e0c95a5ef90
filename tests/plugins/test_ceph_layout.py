"""Who runs what where, and the files that follow from it."""

import base64
import struct
import time

import pytest
from pydantic import ValidationError

from mcloud import Disk, Nic, Node, Survey, disk_loss, stable_path
from mcloud_ceph.files import client_caps, conf, keyring, monitor_addresses, new_key
from mcloud_ceph.layout import (
    copies,
    has_filesystem,
    monitors,
    osd_uuid,
    public_address,
    step_name,
)
from mcloud_ceph.settings import CephNode, CephSettings

FSID = "11111111-2222-4333-8444-555555555555"


def machine(number, *, address=None, standing="joining", abilities=(), disks=()):
    nic = Nic(name="eth1", addresses=(f"10.1.0.{number}/24",))
    return Node(
        name=f"n{number}",
        addresses=(address or f"10.0.0.{number}",),
        founder=number == 1,
        standing=standing,
        survey=Survey(abilities=abilities, nics=(nic,), disks=disks),
    )


def cloud(size, **more):
    return [machine(number, **more) for number in range(1, size + 1)]


@pytest.mark.parametrize(("size", "names"), [(1, "n1"), (2, "n1"), (3, "n1 n2 n3"), (5, "n1 n2 n3")])
def test_monitors_are_on_three_machines_or_on_one(size, names):
    assert [node.name for node in monitors(cloud(size))] == names.split()


@pytest.mark.parametrize(
    ("with_disks", "replicas", "number"), [(0, 3, 1), (1, 3, 1), (2, 3, 2), (5, 3, 3), (3, 2, 2)]
)
def test_copies_are_counted_by_machines_with_disks(with_disks, replicas, number):
    own = {f"n{n}": CephNode(disks=("/dev/sdb", "/dev/sdc")) for n in range(1, with_disks + 1)}
    assert copies(cloud(5), CephSettings(replicas=replicas), own) == number


def test_a_file_system_needs_every_kernel_and_the_operators_will():
    able = cloud(2, abilities=("ceph",))
    assert has_filesystem(able, CephSettings())
    assert not has_filesystem(able, CephSettings(cephfs=False))
    assert not has_filesystem(able, CephSettings(encrypt_traffic=True))
    assert not has_filesystem([*able, machine(3)], CephSettings())


def test_an_osd_has_the_same_id_in_every_run_and_each_disk_its_own():
    (one,) = CephNode(disks=("/dev/sdb",)).disks
    (other,) = CephNode(disks=({"path": "/dev/sdc", "wipe": True},)).disks
    assert osd_uuid(FSID, machine(1), one) == osd_uuid(FSID, machine(1), one)
    ids = {
        osd_uuid(fsid, node, disk)
        for fsid in (FSID, FSID[::-1])
        for node in cloud(2)
        for disk in (one, other)
    }
    assert len(ids) == 8


def test_a_disk_is_found_again_after_a_reboot():
    disk = Disk(
        device="/dev/sdb",
        size=10 * 2**30,
        model="FAST 1",
        links=("/dev/disk/by-path/pci-1", "/dev/disk/by-id/wwn-0x5", "/dev/disk/by-id/ata-FAST_1"),
    )
    node = machine(1, disks=(disk,))
    (plain,) = CephNode(disks=("/dev/sdb",)).disks
    (chosen,) = CephNode(disks=("/dev/disk/by-path/pci-1",)).disks
    assert stable_path(Disk(device="/dev/sdq", size=1)) == "/dev/sdq"
    said = "everything on /dev/sdb (ata-FAST_1) of n1 (10.7 GB, FAST 1)"
    assert (disk_loss(node, plain), disk_loss(node, chosen)) == (said, said)
    assert disk_loss(machine(2), plain) == "everything on /dev/sdb of n2"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/dev/sdb", "osd-sdb"), ("/dev/disk/by-id/nvme-SAM_1.2", "osd-by-id-nvme-sam-1-2")],
)
def test_steps_are_named_after_disks(path, name):
    assert step_name(CephNode(disks=(path,)).disks[0]) == name


def test_the_conf_names_monitors_that_run_already():
    first = conf(FSID, machine(2), cloud(3), CephSettings())
    assert "mon_host = 10.0.0.1\n" in first
    assert f"\nfsid = {FSID}\n" in first
    members = [machine(1), *(machine(n, standing="member") for n in (2, 3)), machine(4)]
    assert "mon_host = 10.0.0.1,10.0.0.2,10.0.0.3\n" in conf(FSID, members[3], members, CephSettings())


def test_the_conf_follows_the_networks():
    settings = CephSettings(public_network="10.1.0.0/24", internal_network="10.0.0.0/24")
    text = conf(FSID, machine(2), cloud(3), settings)
    assert "mon_host = 10.1.0.1\n" in text
    assert "public_addr = 10.1.0.2\ncluster_addr = 10.0.0.2\n" in text
    assert public_address(machine(2), settings) == "10.1.0.2"


def test_osds_listen_for_each_other_on_the_public_network_where_no_other_is_named():
    assert "public_addr = 10.0.0.2\ncluster_addr = 10.0.0.2\n" in conf(
        FSID, machine(2), cloud(3), CephSettings()
    )


def test_encrypted_nobody_speaks_the_first_messenger():
    text = conf(FSID, machine(2), cloud(3), CephSettings(encrypt_traffic=True))
    assert "ms_bind_msgr1 = false\n" in text
    assert text.count("_mode = secure\n") == 6
    assert "ms_" not in conf(FSID, machine(2), cloud(3), CephSettings())
    assert monitor_addresses("10.0.0.1", encrypted=True) == "[v2:10.0.0.1:3300]"


def test_ipv6_is_bound_and_bracketed():
    nodes = [machine(number, address=f"fd00::{number}") for number in (1, 2, 3)]
    text = conf(FSID, nodes[1], nodes, CephSettings())
    addresses = "mon_host = [fd00::1]\npublic_addr = fd00::2\ncluster_addr = fd00::2\n"
    assert f"{addresses}ms_bind_ipv4 = false\nms_bind_ipv6 = true\n" in text
    assert monitor_addresses("fd00::1") == "[v2:[fd00::1]:3300,v1:[fd00::1]:6789]"


def test_keys_are_as_ceph_makes_them():
    one, other = new_key(), new_key()
    assert one != other
    kind, seconds, nanoseconds, length = struct.unpack("<HIIH", base64.b64decode(one)[:12])
    assert (kind, length, len(base64.b64decode(one))) == (1, 16, 28)
    assert abs(seconds - time.time()) < 60
    assert nanoseconds < 10**9


def test_a_keyring_is_as_ceph_reads_it():
    assert keyring("mon.", "K", {"mon": "allow *"}) == '[mon.]\n\tkey = K\n\tcaps mon = "allow *"\n'


def test_the_client_may_use_its_pools_only():
    assert client_caps(filesystem=False) == {
        "mon": "profile rbd",
        "mgr": "profile rbd pool=remote",
        "osd": "profile rbd pool=remote",
    }
    assert "*" not in "".join(client_caps(filesystem=True).values())
    assert "mds" in client_caps(filesystem=True)


def test_settings_refuse_what_makes_no_sense():
    for wrong in ({"replicas": 0}, {"public_network": "10.0.0.1/24"}, {"public_netwrk": "10.0.0.0/24"}):
        with pytest.raises(ValidationError):
            CephSettings.model_validate(wrong)

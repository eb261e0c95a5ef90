"""What a reset of our services takes for theirs, and what it leaves: told apart on machines in memory."""

import json
import sys

import pytest

from mcloud import Disk, Node, Result, Survey
from mcloud.plugins import Plugins
from mcloud.remains import Remains
from mcloud.reset import Reset, reset_plan
from mcloud.steps import Step
from mcloud.testing import FakeDisk, FakeFile, FakeHost
from mcloud_ceph import plugin as ceph
from mcloud_ceph.files import MARK
from mcloud_lxd import plugin as lxd
from mcloud_lxd.client import SNAP_SOCKET
from mcloud_ovn import plugin as ovn

OSD, CLUSTER = "0f3b5e4c-1111-4222-8333-944455566677", "5d1c8ac2-aaaa-4bbb-8ccc-9ddd0eee0fff"
SURVEY = Survey(disks=tuple(Disk(device=f"/dev/sd{letter}", size=10**10) for letter in "ab"))
NODE = Node(name="n1", addresses=("10.0.0.1",), survey=SURVEY)
FORGET = Step(name="cloud", run=lambda _ctx: None, probe=lambda _ctx: ())


def machine(answers, *files, disks=(), **texts):
    """Return a machine that answers commands by how they begin; anything else succeeds silently.

    `disks` are /dev/sda and /dev/sdb.
    """

    def answer(call):
        line = " ".join(call)
        return next((said for start, said in answers.items() if line.startswith(start)), "")

    there = {path: FakeFile() for path in files}
    there |= {path: FakeFile(content=text.encode()) for path, text in texts.items()}
    both = (*disks, *(FakeDisk() for _ in range(2)))
    named = dict(zip(("/dev/sda", "/dev/sdb"), both, strict=False))
    return FakeHost(answer=answer, files=there, disks=named)


def reset_of(host, *, disks="wipe", node_settings=None, **plugins):
    remains = Remains(frozenset(plugins), {}, node_settings or {})
    return Reset(host, reset_plan(Plugins.of(**plugins), NODE, remains, disks=disks, own=FORGET))


def seen(reset):
    """Return what each step finds, by its name: what is to go, and what stays."""
    found = reset.look()
    return {one.step.name: one.lines for one in found if one.to_do}, [
        line for one in found if not one.to_do for line in one.lines
    ]


def ran(host, *start):
    return [" ".join(one) for one in host.calls if one[: len(start)] == start]


# ---- Ceph ------------------------------------------------------------------------------------------------

HERE = {"/var/lib/ceph/osd/ceph-3/fsid": f"{OSD}\n", "/etc/ceph/ceph.conf": f"{MARK}\n"}
CONF = {"/etc/ceph/ceph.conf": f"{MARK}\n[global]\nfsid = {CLUSTER}\n"}


def an_osd(osd=OSD, cluster=CLUSTER, **more):
    """Return a disk that BlueStore has labelled."""
    known = b"\x09\0\0\0ceph_fsid\x24\0\0\0" + cluster.encode() if cluster else b""
    return FakeDisk(
        content="ceph_bluestore", head=f"bluestore block device\n{osd}\n".encode() + known, **more
    )


def lvm(*lines, volumes=("/dev/sda;PV-A", "/dev/sdb;PV-B")):
    """Return what LVM's tools say: tags and devices of volumes, ids of labels."""
    return {"lvs": "\n".join(lines), "pvs": "\n".join(volumes)}


def in_lvm():
    return [FakeDisk(content="LVM2_member", id=name) for name in ("PV-A", "PV-B")]


@pytest.mark.parametrize("known", [HERE, CONF], ids=["by the OSD's folder", "by our ceph.conf"])
def test_only_disks_with_bluestores_label_of_our_cluster_are_ours(known):
    other = an_osd("00000000-1111-4222-8333-944455566677", "00000000-aaaa-4bbb-8ccc-9ddd0eee0fff")
    host = machine({}, disks=[an_osd(), other], **known)
    to_go, stays = seen(reset_of(host, ceph=ceph))
    assert to_go["disks"][0] == f"/dev/sda: an OSD of Ceph ({OSD})"
    assert not [line for line in stays if "/dev/sda" in line]
    reset = reset_of(host, ceph=ceph)
    reset.carry_out(reset.look())
    assert [disk.content for disk in host.disks.values()] == ["", "ceph_bluestore"]


def test_an_osd_of_a_cluster_of_which_nothing_is_here_stays_and_is_named():
    host = machine({}, disks=[an_osd()])
    assert seen(reset_of(host, ceph=ceph)) == (
        {},
        [f"/dev/sda holds an OSD of Ceph ({OSD}), of which nothing of ours is here: it stays"],
    )


def test_an_osds_disk_is_found_whatever_its_name():
    host = machine({}, disks=[an_osd()], **HERE)
    reset = reset_of(host, ceph=ceph)
    shown = reset.look()
    host.exchange("/dev/sda", "/dev/sdb")
    host.disks["/dev/sda"].hold("ext4")
    reset.carry_out([one for one in shown if one.step.name == "disks"])
    assert [disk.content for disk in host.disks.values()] == ["ext4", ""]


def test_disks_are_kept_and_named_unless_they_shall_be_wiped():
    host = machine({}, disks=[an_osd()], **HERE)
    to_go, stays = seen(reset_of(host, disks="keep", ceph=ceph))
    assert "disks" not in to_go
    assert stays == [f"/dev/sda still holds an OSD of Ceph ({OSD}): --wipe-disks wipes it"]


def test_osds_in_lvm_are_found_by_their_tags():
    tags = f"  ceph.cluster_fsid={CLUSTER},ceph.osd_fsid={OSD};/dev/sdb(0)"
    host = machine(lvm(tags, "  ;/dev/sda(0)"), "/usr/sbin/lvs", disks=in_lvm(), **HERE)
    assert seen(reset_of(host, ceph=ceph))[0]["disks"] == (f"/dev/sdb: an OSD of Ceph ({OSD})",)


def test_a_disk_with_volumes_of_others_beside_an_osd_is_never_wiped():
    osd = f"  ceph.cluster_fsid={CLUSTER},ceph.osd_fsid={OSD}"
    said = lvm(f"{osd};/dev/sdb(0)", "  ;/dev/sdb(256),/dev/sda(0)")
    host = machine(said, "/usr/sbin/lvs", disks=in_lvm(), **HERE)
    to_go, stays = seen(reset_of(host, ceph=ceph))
    assert "disks" not in to_go
    assert stays == ["/dev/sdb holds an OSD of Ceph beside volumes of others, and is left alone: see `lvs`"]


@pytest.mark.parametrize("disks", [in_lvm(), [an_osd()]], ids=["in LVM", "straight"])
def test_the_disks_of_a_cluster_that_cephadm_runs_here_are_left_alone(disks):
    answers = lvm(f"  ceph.cluster_fsid={CLUSTER},ceph.osd_fsid={OSD};/dev/sdb(0)")
    folder = f"/var/lib/ceph/{CLUSTER}/mon.n1/store"
    host = machine(answers, "/usr/sbin/lvs", folder, disks=disks)
    to_go, stays = seen(reset_of(host, ceph=ceph))
    assert to_go == {}
    assert stays == [f"cephadm runs cluster {CLUSTER}: `cephadm rm-cluster --fsid {CLUSTER} --force` ends it"]


def test_a_wiped_disk_belongs_to_root_again():
    host = machine({}, disks=[an_osd()], **HERE)
    reset = reset_of(host, ceph=ceph)
    reset.carry_out([one for one in reset.look() if one.step.name == "disks"])
    assert "chown root:disk /dev/sda" in ran(host, "chown")
    assert host.disks["/dev/sda"].content == ""


def test_a_disk_in_use_is_left_and_said_so():
    host = machine({}, disks=[an_osd(used="somebody")], **HERE)
    reset = reset_of(host, ceph=ceph)
    (left,) = [one for one in reset.carry_out(reset.look()) if one.key.endswith("disks")]
    assert "/dev/sda of n1 is in use" in left.reason
    assert host.disks["/dev/sda"].content == "ceph_bluestore"


def test_a_conf_of_another_cluster_stays_and_one_of_ours_goes():
    conf = f"[global]\nfsid = {CLUSTER}\n"
    foreign = machine({}, **{"/etc/ceph/ceph.conf": conf})
    to_go, stays = seen(reset_of(foreign, ceph=ceph))
    assert to_go == {}
    assert CLUSTER in stays[0]
    ours = machine({}, **{"/etc/ceph/ceph.conf": f"# Written by mcloud.\n{conf}"})
    assert seen(reset_of(ours, ceph=ceph))[0] == {"access": ("/etc/ceph/ceph.conf",)}


ADMIN = "/etc/ceph/ceph.client.admin.keyring"


def test_a_client_of_another_ceph_stays_one():
    """Seen: its ceph.conf and its admin key were removed, because there was a key at all."""
    conf = f"[global]\nfsid = {CLUSTER}\nmon_host = 192.0.2.1\n"
    host = machine({}, **{"/etc/ceph/ceph.conf": conf, ADMIN: "[client.admin]\n\tkey = theirs\n"})
    before, reset = dict(host.files), reset_of(host, ceph=ceph)
    to_go, stays = seen(reset)
    assert to_go == {}
    whose = f"of Ceph {CLUSTER} that mcloud did not make"
    assert stays == [f"/etc/ceph/ceph.conf, {ADMIN}: {whose}; stays, and joining wants it gone"]
    assert reset.carry_out(reset.look()) == ()
    assert host.files == before


def test_a_member_of_another_ceph_is_not_ended():
    """Its monitor, its OSD's folder and what the kernel has mapped of its pool are not ours."""
    host = machine(
        {"systemctl list-units": "ceph-mon@a.service loaded active running\n"},
        "/var/lib/ceph/mon/ceph-a/keyring",
        "/var/lib/ceph/osd/ceph-0/fsid",
        "/sys/bus/rbd/devices/0/name",
        **{
            "/etc/ceph/ceph.conf": f"[global]\nfsid = {CLUSTER}\n",
            "/sys/bus/rbd/devices/0/pool": "remote\n",
        },
    )
    before, reset = dict(host.files), reset_of(host, ceph=ceph)
    to_go, stays = seen(reset)
    assert to_go == {}
    assert stays[-1] == "osd.0, mon.a: of a Ceph that mcloud did not make; stays"
    reset.carry_out(reset.look())
    assert host.files == before
    assert not ran(host, "systemctl", "stop")
    assert not ran(host, "rbd")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/var/lib/ceph/mon/ceph-a/done", "# Written by mcloud\n"),
        ("/var/lib/ceph/mgr/ceph-a/keyring", "# Written by mcloud\n[mgr.a]\n"),
        ("/etc/systemd/system/ceph-osd@0.service.d/mcloud.conf", "# Written by mcloud\n"),
    ],
    ids=["monitor", "manager", "osd"],
)
def test_without_a_ceph_conf_our_daemons_are_known_by_their_marks(path, text):
    host = machine({}, "/var/lib/ceph/osd/ceph-0/fsid", **{path: text})
    assert "data" in seen(reset_of(host, ceph=ceph))[0]


def test_our_ceph_conf_stays_until_the_data_is_gone_that_it_tells_of():
    def answer(call):
        return Result(1, "", "Device or resource busy") if call[0] == "rm" else ""

    host = machine(
        {}, "/var/lib/ceph/mon/ceph-a/keyring", **{"/etc/ceph/ceph.conf": "# Written by mcloud.\n"}
    )
    host.answer = answer
    reset = reset_of(host, ceph=ceph)
    left = {one.key.rpartition("/")[2]: one.reason for one in reset.carry_out(reset.look())}
    assert set(left) == {"data", "access"}
    assert "stays until /var/lib/ceph/mon/ceph-a is gone" in left["access"]


def test_images_of_other_pools_stay_mapped():
    conf = f"# Written by mcloud.\n[global]\nfsid = {CLUSTER}\n"
    files = {
        "/etc/ceph/ceph.conf": conf,
        "/sys/bus/rbd/devices/0/pool": "remote\n",
        "/sys/bus/rbd/devices/0/cluster_fsid": f"{CLUSTER}\n",
        "/sys/bus/rbd/devices/0/name": "container_c1\n",
        "/sys/bus/rbd/devices/1/pool": "theirs\n",
        "/sys/bus/rbd/devices/2/pool": "remote\n",
        "/sys/bus/rbd/devices/2/cluster_fsid": f"{OSD}\n",
    }
    host = machine({}, **files)
    assert seen(reset_of(host, ceph=ceph))[0] == {
        "mappings": ("/dev/rbd0, image container_c1 of pool remote",),
        "access": ("/etc/ceph/ceph.conf",),
    }
    reset = reset_of(host, ceph=ceph)
    reset.carry_out(reset.look())
    assert ran(host, "rbd") == ["rbd device unmap --options force /dev/rbd0"]


# ---- LXD -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "pools", "ours", "named"),
    [
        (
            ["local", ""],
            [],
            [],
            "/dev/sda holds a pool local (btrfs) that is not surely LXD's here: it stays",
        ),
        (["tank", "home"], ["tank"], ["/dev/sda"], ""),
        (["tank", "tank"], ["tank"], [], "/dev/sdb holds a pool tank (btrfs) that is not surely LXD's"),
        (["home", ""], ["local"], [], ""),
    ],
    ids=["a label alone", "a pool of LXD's", "two of one name", "another name"],
)
def test_a_disk_is_lxds_if_it_alone_bears_the_name_of_a_pool_here(labels, pools, ours, named):
    disks = [
        FakeDisk(content="btrfs" if one else "", id=f"id-{n}", label=one) for n, one in enumerate(labels)
    ]
    host = machine({}, *(f"/var/lib/lxd/storage-pools/{pool}/x" for pool in pools), disks=disks)
    to_go, stays = seen(reset_of(host, lxd=lxd))
    assert [line.partition(":")[0] for line in to_go.get("disks", ())] == ours
    assert named in "\n".join((*stays, *to_go.get("disks", ())))


def test_what_lxd_holds_is_told_without_lxd():
    database = "/var/lib/lxd/database/local.db"
    said = json.dumps([[["core.https_address", "10.0.0.1:8443"]], [["n2"], ["n1"], [""]]])
    host = machine(
        {f"{sys.executable} -I -c": said},
        "/var/lib/lxd/cluster.crt",
        "/var/lib/lxd/containers/web",
        "/var/lib/lxd/containers/shop_db",
        "/var/lib/lxd/storage-pools/local/custom/default_data/x",
        database,
    )
    (lines,) = seen(reset_of(host, disks="keep", lxd=lxd))[0].values()
    assert lines == (
        "membership in a cluster of n1, n2",
        "settings: core.https_address 10.0.0.1:8443",
        "containers shop_db, web",
        "pool local with volumes default_data",
    )


def test_a_database_that_cannot_be_read_is_to_go():
    host = machine({f"{sys.executable}": Result(1, "", "no database")}, "/var/lib/lxd/database/local.db")
    assert "which cannot be read" in seen(reset_of(host, lxd=lxd))[0]["server"][0]


def test_lxd_that_was_only_started_has_nothing_to_reset():
    host = machine(
        {f"{sys.executable} -I -c": "[[], []]"}, "/var/lib/lxd/database/local.db", "/var/lib/lxd/server.crt"
    )
    assert seen(reset_of(host, lxd=lxd)) == ({}, [])


def test_a_snap_in_use_is_left_with_what_to_do():
    host = machine({}, SNAP_SOCKET, "/var/snap/lxd/common/lxd/cluster.crt")
    reset = reset_of(host, lxd=lxd)
    (left,) = reset.carry_out(reset.look())
    assert "snap" in left.reason
    assert "snap remove --purge lxd" in left.hint


# ---- OVN -------------------------------------------------------------------------------------------------


FOREIGN = """-----BEGIN CERTIFICATE-----
MIIBfDCCASOgAwIBAgIUdu60m3tDAqw39szq4QMAmt1ai78wCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIY2hhcm0gQ0EwIBcNMjYxMTI4MDgxNDAyWhgPMjEyNjExMDQw
ODE0MDJaMBMxETAPBgNVBAMMCGNoYXJtIENBMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEaA/HCWfpJXVLvaZzveMHryu7VoOMWp22bQ21G0wKIFEt/jp4vNpOSFOn
egkS2oT5xP5sMXHYdpB4r1cTjLn0PKNTMFEwHQYDVR0OBBYEFK6ZPyL/lwFhWRCC
HElT4B7X1EmEMB8GA1UdIwQYMBaAFK6ZPyL/lwFhWRCCHElT4B7X1EmEMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgIQj/5Dn3Ip/jvq2aoV18veDK
a+pRx+uNdXAgcthkNQoCIAuuJ1ixcHD8PGdekidkoNSKjI1xU9MT2HVJpisZrE+n
-----END CERTIFICATE-----
"""


def switch(ids, *bridges):
    """Return what ovs-vsctl answers: settings of the switch, and bridges without a mark."""
    listed = [[bridge, ["map", []]] for bridge in bridges]
    return {
        "ovs-vsctl --timeout=30 --format=json --columns=external_ids": json.dumps(
            {"data": [[["map", list(ids.items())]]]}
        ),
        "ovs-vsctl --timeout=30 --format=json --columns=name,external_ids list Bridge": json.dumps(
            {"headings": ["name", "external_ids"], "data": listed}
        ),
        "ovs-vsctl --timeout=30 --format=json --columns=name,external_ids list Port": json.dumps(
            {"headings": ["name", "external_ids"], "data": []}
        ),
        "ovs-vsctl --timeout=30 list-br": "\n".join(bridges),
    }


def test_bridges_that_are_not_ovns_stay_and_are_named():
    theirs = {"ovn-bridge": "br-office", "system-id": "x"}
    host = machine(switch(theirs, "br-int", "br-office", "br-uplink", "lxdovn1"), "/usr/bin/ovs-vsctl")
    assert seen(reset_of(host, ovn=ovn)) == (
        {},
        [
            "bridge br-office in Open vSwitch is not mcloud's",
            "bridge br-uplink in Open vSwitch is not mcloud's",
            "in Open vSwitch: ovn-bridge, set by others",
        ],
    )
    reset = reset_of(host, ovn=ovn)
    reset.carry_out(reset.look())
    assert not [line for line in ran(host, "ovs-vsctl") if "del-br" in line]


def test_a_switch_that_hangs_is_changed_for_later():
    hangs = {"ovs-vsctl --timeout=30 remove": Result(1, "", "Alarm clock")}
    host = machine(hangs | switch({"ovn-remote": "x", "mcloud": "ours"}), "/usr/bin/ovs-vsctl")
    reset = reset_of(host, ovn=ovn)
    reset.carry_out(reset.look())
    later = ["ovs-vsctl", "--timeout=30", "--no-wait"]
    (line,) = ran(host, *later)
    assert " ".join([*later, "remove", "Open_vSwitch", ".", "external_ids", "ovn-remote"]) in line


def test_keys_and_databases_of_another_ovn_stay_and_are_named():
    """`openssl req -x509` is who signed them."""
    clustered = {"ovsdb-tool db-is-clustered": ""}
    files = {"/etc/ovn/cert_host": FOREIGN, "/etc/ovn/ovn-central.crt": FOREIGN, "/etc/ovn/key_host": "key"}
    host = machine(clustered, "/var/lib/ovn/ovnnb_db.db", **files)
    to_go, stays = seen(reset_of(host, ovn=ovn))
    assert to_go == {}
    assert stays == [
        "a clustered database, /var/lib/ovn/ovnnb_db.db: not mcloud's",
        *(f"/etc/ovn/{name}: not mcloud's" for name in ("key_host", "cert_host", "ovn-central.crt")),
    ]


def test_a_machine_without_ovn_has_nothing_to_reset():
    assert seen(reset_of(machine({}), ovn=ovn, lxd=lxd, ceph=ceph)) == ({}, [])

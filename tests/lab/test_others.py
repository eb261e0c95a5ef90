"""Machines on which other people have something, with the real services: named, left alone, given back."""

import json
import re

import clouds
import pytest

from mcloud.lab.forming import LOG

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

OWN_BRIDGE = (
    "ovs-vsctl add-br br-uplink -- set Bridge br-uplink datapath_type=netdev -- add-port br-uplink eth1"
)
"""A bridge of the operator's, of the name that OVN takes where packets go through userspace."""

LEFTOVERS = """
ovs-vsctl add-br br-ex -- set Bridge br-ex datapath_type=netdev
ovs-vsctl set Open_vSwitch . external_ids:ovn-bridge=br-old external_ids:ovn-encap-type=vxlan \
    external_ids:ovn-transport-zones=tz1 external_ids:ovn-monitor-all=true \
    'external_ids:ovn-bridge-mappings="physnet1:br-ex,UPLINK:br-ex"'
"""
"""What another OVN has left in Open vSwitch."""

FOUNDERS = """
lxc profile device add default nic0 nic nictype=bridged parent=eth1 name=eth0
lxc profile create base
lxc config set core.https_address 10.10.0.11:8443
lxc config set cluster.https_address 10.10.2.11:8443
"""
"""A default profile with a NIC under another name, and an address kept of a cluster that was left."""

JOINERS = """
lxc profile create web
lxc project create shop
lxc network acl create block
lxc config set user.owner=we core.trust_password=geheim
"""

LISTING = r"""
ovs-vsctl --timeout=5 show | sed 1d
ovs-vsctl --timeout=5 get open . external_ids
ovs-vsctl --timeout=5 --columns=name,external_ids,datapath_type list Bridge
ip -brief address | sed 's/fe80[^ ]*//' | grep -v netdev
lxc query /1.0 | jq -c '[.config, .environment.certificate_fingerprint]'
for kind in profiles projects network-acls certificates; do lxc query "/1.0/$kind?recursion=1" | jq -c .; done
ls -d /var/lib/lxd-before* /etc/systemd/system/mcloud*
"""


def typed(machine, text):
    return machine.run(["sh", "-ec", text.strip()], timeout=60).stdout


def listing(machine):
    return sorted(machine.run(["sh", "-c", LISTING], check=False, timeout=60).stdout.splitlines())


def _without_certificate(lines):
    return [line for line in lines if not re.fullmatch(r'\[\{\},"[0-9a-f]{64}"\]', line)]


def said(lab, name="n1"):
    return " ".join(lab.machine(name).run(["cat", LOG]).stdout.split())


@pytest.fixture(scope="module")
def lab(make_lab):
    """Three machines, used before: the second is a clone of the first."""
    lab = make_lab(machines=3)
    n1, n2, n3 = (lab.machine(name) for name in lab.names())
    typed(n1, "lxc query /1.0")
    files = typed(n1, "cd /var/lib/lxd && tar -cz server.crt server.key | base64 -w0")
    typed(n2, f"systemctl stop lxd.service lxd.socket; echo {files} | base64 -d | tar -xz -C /var/lib/lxd")
    typed(n2, "systemctl start lxd.socket")
    identity = typed(n1, "cat /etc/openvswitch/system-id.conf").strip()
    typed(n2, f"echo {identity} >/etc/openvswitch/system-id.conf; systemctl restart openvswitch-switch")
    typed(n1, FOUNDERS)
    typed(n2, LEFTOVERS + JOINERS)
    typed(n3, OWN_BRIDGE)
    return lab


@pytest.fixture(scope="module")
def before(lab):
    """What there was before the first cloud, when no machine is a clone any more."""
    refused = clouds.form(lab, clouds.cloud_file(3, services=("lxd", "ovn")))
    assert all(refused.values())
    text = said(lab)
    assert "n1, n2 have one and the same identity in Open vSwitch" in text
    assert "LXD on n1, n2 has the same certificate" in text
    assert "there is a br-uplink already that mcloud did not make" in text
    n2 = lab.machine("n2")
    typed(n2, "rm -f /etc/openvswitch/system-id.conf && systemctl restart openvswitch-switch")
    typed(n2, "systemctl stop lxd.service lxd.socket && rm /var/lib/lxd/server.crt /var/lib/lxd/server.key")
    typed(n2, "systemctl start lxd.socket")
    return {name: listing(lab.machine(name)) for name in lab.names()}


def test_a_cloud_is_formed_beside_what_others_have_and_instances_start(lab, before):
    text = clouds.cloud_file(3, services=("lxd", "ovn"), lxd={"default_profile": "replace"})
    text = text.replace("underlay_ip: 10.10.2.13", "underlay_ip: 10.10.2.13, uplink_interface: br-uplink")
    assert "br-uplink" in text
    lab.machine("n1").run(["rm", LOG])
    clouds.formed(lab, text)
    shown = said(lab)
    for what in ("profile web of LXD on n2", "project shop of LXD on n2", "ovn-bridge=br-old", "nic0"):
        assert what in shown
    assert "cluster.https_address 10.10.2.11:8443" in shown
    clouds.launch_instances(lab)
    clouds.eventually(lambda: clouds.instances_ping(lab), seconds=60)
    ids = typed(lab.machine("n2"), "ovs-vsctl get open . external_ids")
    assert "physnet1:br-ex,UPLINK:lxdovn" in ids.replace('"', "") or "physnet1:br-ex,UPLINK:br-uplink" in ids


def test_an_undo_gives_all_of_it_back(lab, before):
    typed(lab.machine("n1"), "lxc delete --force i-n1 i-n2 i-n3; lxc image delete tiny")
    for name in reversed(lab.names()):
        undone = lab.machine(name).run(["mcloud", "undo", "--yes"], check=False, timeout=300)
        assert undone.returncode == 0, undone.stdout + undone.stderr
    for name in ("n1", "n2"):
        assert listing(lab.machine(name)) == before[name], name
    # Nobody had made anything in the third one's LXD: it was emptied, and has made itself a new certificate.
    now, then = (_without_certificate(lines) for lines in (listing(lab.machine("n3")), before["n3"]))
    assert now == then


def test_a_reset_lists_no_bridge_of_the_operators_among_what_goes(lab):
    told = lab.machine("n3").run(["mcloud", "reset", "--plan", "--json"], timeout=60).stdout
    shown = [json.loads(line) for line in told.splitlines()]
    found = [line for one in shown if one["type"] == "found" for line in one["lines"]]
    assert not [line for line in found if "bridge" in line]
    assert any(
        "br-uplink in Open vSwitch is not mcloud's" in one["what"] for one in shown if one["type"] == "stays"
    )

"""Programs that have a time-out of their own are told a longer one on a slow machine."""

import json
import time

import pytest

from mcloud import Result, ServiceError
from mcloud.testing import FakeDisk, FakeHost
from mcloud_ceph import client as ceph
from mcloud_lxd import client as lxd
from mcloud_lxd import disk
from mcloud_lxd.machine import switches
from mcloud_ovn import client as ovn


def machine(stdout="", stretch=1.0):
    return FakeHost(answer=lambda _call: Result(0, stdout, ""), stretch=stretch)


def words(host):
    (call,) = host.calls
    return " ".join(call)


@pytest.mark.parametrize(("stretch", "told"), [(1.0, 24), (2.0, 48), (0.01, 1)])
def test_ceph(stretch, told):
    host = machine("[]", stretch)
    ceph.ask(host, ["status"])
    assert f"ceph --connect-timeout {told} " in words(host)


@pytest.mark.parametrize(("stretch", "told"), [(1.0, 10), (2.0, 20), (0.01, 1)])
def test_a_ceph_client_that_is_to_be_let_in(stretch, told):
    host = machine(stretch=stretch)
    ceph.lets_in(host, "osd.1", "/keyring")
    assert f"--connect-timeout {told} " in words(host)


def test_a_ceph_daemons_socket():
    host = machine("{}", 3.0)
    ceph.daemon(host, "osd.1", "status")
    assert "15.0" in host.calls[0]


@pytest.mark.parametrize(("stretch", "told"), [(1.0, 30), (2.0, 60), (0.01, 1)])
def test_ovn_and_open_vswitch(stretch, told):
    for ask, option in (
        (lambda host: ovn.vsctl(host, "show"), f"--timeout={told}"),
        (lambda host: ovn.northbound(host, "ssl:x", "show"), f"--timeout={told}"),
        (lambda host: ovn.tunnel_addresses(host, "ssl:x"), f"--timeout={told}"),
        (lambda host: ovn.daemon_status(host, "ovn-northd", "status"), f"-T {told} "),
        (lambda host: ovn.raft(host, ovn.SB), f"-T {told} "),
        (lambda host: ovn.leave_raft(host, ovn.SB), f"-T {told} "),
    ):
        host = machine(stretch=stretch)
        ask(host)
        assert option in words(host)


@pytest.mark.parametrize(("stretch", "told"), [(1.0, 5), (2.0, 10), (0.01, 1)])
def test_open_vswitch_in_a_reset_of_lxd(stretch, told):
    host = machine(stretch=stretch)
    switches(host)
    assert f"--timeout={told} " in words(host)


@pytest.mark.parametrize(("stretch", "told"), [(1.0, 30), (2.0, 60), (0.01, 1)])
def test_an_operation_of_lxd(stretch, told):
    asked = []

    def answer(request):
        asked.append(request.path_url)
        if request.method == "POST":
            return 202, {"type": "async", "operation": "/1.0/operations/7"}
        return 200, {"type": "sync", "metadata": {"status": "Running", "status_code": 103}}

    host = FakeHost(sockets={lxd.SOCKET: answer}, stretch=stretch)
    with pytest.raises(lxd.LxdError, match=f"still running after {told} s"):
        lxd.call(host, "POST", "/1.0/networks", json.loads("{}"))
    assert asked[-1] == f"/1.0/operations/7/wait?timeout={told}"


def test_a_disk_that_is_in_use_for_a_moment_yet():
    used = FakeDisk(content="btrfs", used="somebody")
    host = FakeHost(disks={"/dev/sdb": used}, stretch=0.001)
    begun = time.monotonic()
    with pytest.raises(ServiceError, match="/dev/sdb of n1 is in use"):
        disk.release(host, lambda found: found.content.type == "btrfs")
    assert time.monotonic() - begun < disk.LETTING_GO / 2
    assert used.content == "btrfs"

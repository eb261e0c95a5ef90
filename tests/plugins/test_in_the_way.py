"""LXD and Ceph: what is in the way on a machine is said before the first change, and servers are reached."""

import json

import pytest
from regrouping import Doing
from test_ceph_life import FourMachines
from test_lxd_life import TestAlone as LxdAlone

from mcloud import Node, Result, RunFailed
from mcloud.testing import FakeHost
from mcloud_ceph import plugin as ceph
from mcloud_ceph.settings import CephSettings
from mcloud_lxd import plugin as lxd
from mcloud_lxd.looks import PORT
from mcloud_lxd.settings import LxdSettings


def errors(module, name, nodes, settings):
    """Return what is said of each machine, by machine."""
    said = module.preflight(nodes=nodes, settings=settings, node_settings={})
    return [(check.machine, check.message) for check in said if check.level == "error" and check.machine]


def seen(walk, module, name):
    """Return the roster with what `inspect` finds on each machine now."""
    return [
        node.model_copy(update={"services": {name: module.inspect(walk.hosts[node.name])}})
        for node in walk.inputs.nodes
    ]


def test_ceph_names_ports_of_monitors_masked_units_and_a_missing_user():
    with FourMachines()._begun() as walk:
        for name in ("n3", "n4"):
            machine = walk.hosts[name].answer.__self__
            machine.taken, machine.masked = {3300: "nginx"}, {"ceph-osd@.service"}
        walk.hosts["n4"].answer.__self__.users.clear()
        said = errors(ceph, "ceph", seen(walk, ceph, "ceph"), CephSettings())
    port = "port 3300, for Ceph's monitor (msgr2), is taken by nginx (process 99) at 0.0.0.0"
    masked = "the unit ceph-osd@.service is masked: systemd starts it for nobody"
    missing = "there is no user ceph, which its package makes"
    assert said == [("n3", port), ("n3", masked), ("n4", masked), ("n4", missing)]


def test_lxd_names_who_has_its_port():
    with LxdAlone()._begun() as walk:
        walk.hosts["n1"].answer.__self__.taken = {PORT: "nginx"}
        said = errors(lxd, "lxd", seen(walk, lxd, "lxd"), LxdSettings())
    assert said == [("n1", "port 8443, for LXD's API, is taken by nginx (process 99) at all addresses")]


def test_lxd_whose_port_is_taken_later_refuses_by_name_and_is_not_there():
    with LxdAlone()._begun() as walk:
        machine = walk.hosts["n1"].answer.__self__
        machine.taken = {PORT: "nginx"}
        with pytest.raises(RunFailed) as failed:
            walk.run()
        assert "port 8443 is taken by nginx (process 99)" in str(failed.value.exceptions)
        machine.taken = {}
    with LxdAlone()._begun() as walk:
        walk.run()
        step = Doing(walk, "bootstrap/lxd/n1/n1/cluster")
        assert step.probe() == ()
        walk.hosts["n1"].answer.__self__.taken = {PORT: "nginx"}
        assert step.probe() is None


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ("HTTPS_PROXY=http://me:word@proxy:3128\0PATH=/bin", True),
        ("https_proxy=http://proxy:3128\0no_proxy=10.0.0.0/8", False),
        ("PATH=/bin", False),
    ],
)
def test_a_proxy_in_lxds_environment_is_named_and_not_shown(environ, named):
    with LxdAlone()._begun() as walk:
        host = walk.hosts["n1"]
        inside = host.answer

        def answer(call):
            return "77" if "--property=MainPID" in call else inside(call)

        host.answer = answer
        host.write("/proc/77/environ", environ)
        found = lxd.inspect(host)
    node = Node(name="n1", addresses=("10.0.0.1",), services={"lxd": found}, founder=True)
    said = errors(lxd, "lxd", [node], LxdSettings())
    assert [message for _, message in said] == (
        ["LXD runs with HTTPS_PROXY in its environment: members would go through it"] if named else []
    )
    assert "word" not in json.dumps(found.model_dump(mode="json"))


def test_where_there_is_no_getent_no_user_is_missing():
    host = FakeHost(answer=lambda call: Result(127, "", "") if call[0] == "getent" else None)
    assert not [one for one in ceph.inspect(host).obstacles if one.kind == "user"]

"""OVN's servers: reached where others need them, northd before any controller, and units that fail."""

import pytest
from ovn_machines import survey
from regrouping import Doing
from test_ovn_life import OvnContract, formed

from mcloud import RunFailed
from mcloud_ovn import plugin
from mcloud_ovn.settings import OvnSettings


class Four(OvnContract):
    machines = 4

    def survey(self):
        return survey(("openvswitch", "geneve"))


class Alone(Four):
    machines = 1


def nodes(walk, machine):
    """Return the roster with what `inspect` finds on one of the machines now."""
    found = plugin.inspect(walk.hosts[machine])
    return [
        node.model_copy(update={"services": {"ovn": found}}) if node.name == machine else node
        for node in walk.inputs.nodes
    ]


def test_northd_has_filled_the_database_before_any_controller_is_started():
    with formed(Four()) as (walk, _debian):
        plan = walk.plan("n1").steps
        assert plan["bootstrap/ovn/n1/n1/northd"][0].stage == "found"
        assert "join/ovn/n1/n1/northd" not in plan


def test_the_first_northd_is_there_only_when_the_global_row_is():
    with formed(Alone()) as (walk, debian):
        step = Doing(walk, "bootstrap/ovn/n1/n1/northd")
        assert step.probe() == ()
        debian.cloud.filled = False
        assert step.probe() is None


def test_a_server_that_does_not_listen_for_its_raft_is_not_there():
    with formed(Alone()) as (walk, debian):
        step = Doing(walk, "bootstrap/ovn/n1/n1/databases")
        assert step.probe() == ()
        debian.taken[6643] = "python3"
        assert step.probe() is None


def test_a_founder_whose_raft_port_is_taken_says_so_at_once():
    contract = Alone()
    with contract._begun() as walk:
        walk.hosts["n1"].answer.__self__.taken[6643] = "python3"
        with pytest.raises(RunFailed) as failed:
            walk.run()
        said = str(failed.value.exceptions)
        assert "port 6643 is taken by python3 (process 99)" in said


@pytest.mark.parametrize(("machine", "errors"), [("n3", 2), ("n4", 0)])
def test_taken_ports_are_found_before_the_first_change_on_machines_that_serve(machine, errors):
    contract = Four()
    with contract._begun() as walk:
        debian = walk.hosts[machine].answer.__self__
        debian.taken |= {6641: "nginx", 6644: "nginx"}
        found = plugin.preflight(nodes=nodes(walk, machine), settings=OvnSettings(), node_settings={})
        said = [one.message for one in found if one.level == "error" and one.machine == machine]
        assert len([line for line in said if "is taken by nginx (process 99)" in line]) == errors


def test_a_controller_that_failed_is_started_again_and_one_that_fails_on_is_named():
    contract = Alone()
    with contract._begun() as walk:
        walk.hosts["n1"].answer.__self__.failing["ovn-controller"] = 2
        walk.run()
    contract = Alone()
    with contract._begun() as walk:
        walk.hosts["n1"].answer.__self__.failing["ovn-controller"] = 99
        with pytest.raises(RunFailed) as failed:
            walk.run()
        said = str(failed.value.exceptions)
        assert "ovn-controller.service fails again and again (signal: segmentation fault)" in said

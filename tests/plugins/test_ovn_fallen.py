"""Machines fall out of an OVN that is formed, and come back: who is in its rafts, and what they offer."""

from dataclasses import replace
from typing import ClassVar

import pytest
from ovn_machines import survey
from regrouping import Doing, with_all_back, without
from test_ovn_life import OvnContract, formed, offered

from mcloud import NetworkAccess

SERVERS, DATABASES = "configure/ovn/n1/n1/servers", "join/ovn/n3/n3/databases"


class InTheKernel(OvnContract):
    machines = 4

    def survey(self):
        return survey(("openvswitch", "geneve"))


class Three(InTheKernel):
    machines = 3


class InUserspace(OvnContract):
    machines = 2

    def survey(self):
        return survey(())


class WithoutUplink(InTheKernel):
    node_settings: ClassVar = {}
    settings: ClassVar = {}
    machines = 1


def numbers(debian):
    """Return the numbers of the machines in each raft."""
    return [sorted(address.split(".")[-1][:1] for address in raft) for raft in debian.cloud.rafts.values()]


# ---- who falls out ---------------------------------------------------------------------------------------


def test_servers_of_the_fallen_are_put_out_and_only_those():
    with formed(InTheKernel()) as (walk, debian):
        for raft in debian.cloud.rafts.values():
            raft |= {"ssl:10.9.9.9:6643": "aaaa", "ssl:10.0.0.30:6644": "bbbb"}
        before = {short: dict(raft) for short, raft in debian.cloud.rafts.items()}
        step = Doing(without(walk, "n3"), SERVERS)
        assert step.probe() is None
        step.run()
        assert step.probe() == ()
        for short, port in (("nb", 6643), ("sb", 6644)):
            del before[short][f"ssl:10.0.0.3:{port}"]
        assert debian.cloud.rafts == before


def test_where_nobody_fell_out_nobody_is_put_out():
    with formed(InTheKernel()) as (walk, debian):
        debian.cloud.rafts["nb"]["ssl:10.9.9.9:6643"] = "aaaa"
        assert Doing(walk, SERVERS).probe() == ()


def test_who_is_left_of_four_makes_up_for_the_server_that_fell_out():
    with formed(InTheKernel()) as (walk, debian):
        assert numbers(debian) == [["1", "2", "3"]] * 2
        without(walk, "n3").run()
        assert numbers(debian) == [["1", "2", "4"]] * 2


# ---- who comes back --------------------------------------------------------------------------------------


def test_a_server_that_was_put_out_is_made_anew():
    with formed(Three()) as (walk, debian):
        smaller = without(walk, "n3")
        smaller.run()
        assert numbers(debian) == [["1"]] * 2
        files = walk.hosts["n3"].files
        before = files["/var/lib/ovn/ovnnb_db.db"].content
        with_all_back(smaller).run()
        assert numbers(debian) == [["1", "2", "3"]] * 2
        for short, port in (("nb", 6643), ("sb", 6644)):
            server = debian.cloud.rafts[short][f"ssl:10.0.0.3:{port}"]
            assert files[f"/var/lib/ovn/ovn{short}_db.db"].content == f"CLUSTER {server}".encode()
        assert files["/var/lib/ovn/ovnnb_db.db"].content != before


def test_a_server_that_is_still_in_is_left_as_it_is():
    with formed(Three()) as (walk, debian):
        before = {short: dict(raft) for short, raft in debian.cloud.rafts.items()}
        again = with_all_back(without(walk, "n3"))
        assert Doing(again, DATABASES).probe() == ()
        again.run()
        assert debian.cloud.rafts == before


# ---- what a machine offers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contract", "uplinks"),
    [
        (InTheKernel(), {"UPLINK": "eth1"}),
        (InUserspace(), {"UPLINK": "br-uplink"}),
        (WithoutUplink(), {}),
    ],
)
def test_each_machine_offers_its_own_part_of_the_uplink(contract, uplinks):
    with formed(contract) as (walk, _debian):
        for name in walk.hosts:
            access = offered(walk, NetworkAccess, name)
            assert (access.driver, access.uplinks) == ("ovn", uplinks)


def test_the_part_of_the_uplink_is_a_machines_own():
    with InTheKernel()._begun() as alike:
        own = {"ovn": {name: {"uplink_interface": f"eth-{name}"} for name in alike.hosts}}
        walk = replace(alike, inputs=alike.inputs.model_copy(update={"node_settings": own}))
        walk.run()
        for name in walk.hosts:
            assert offered(walk, NetworkAccess, name).uplinks == {"UPLINK": f"eth-{name}"}

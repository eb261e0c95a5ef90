"""Turns: so many machines at once as a service admits, in the order of asking."""

from mcloud.turns import Turns


def test_without_a_limit_everybody_has_the_turn():
    turns = Turns({"lxd": None})
    assert all(turns.ask(plugin, machine) for plugin in ("lxd", "unknown") for machine in ("n2", "n3", "n4"))


def test_with_a_limit_they_wait_in_order():
    turns = Turns({"ceph": 1})
    assert turns.ask("ceph", "n2")
    assert not turns.ask("ceph", "n3")
    assert not turns.ask("ceph", "n4")
    assert turns.leave("n2") == (("ceph", "n3"),)
    assert turns.leave("n3") == (("ceph", "n4"),)
    assert turns.leave("n4") == ()


def test_asking_again_changes_nothing():
    turns = Turns({"ceph": 1})
    assert turns.ask("ceph", "n2")
    assert turns.ask("ceph", "n2")
    assert not turns.ask("ceph", "n3")
    assert not turns.ask("ceph", "n3")
    assert turns.leave("n2") == (("ceph", "n3"),)
    assert turns.leave("n3") == ()


def test_who_gives_up_waiting_is_not_called():
    turns = Turns({"ceph": 1})
    turns.ask("ceph", "n2")
    turns.ask("ceph", "n3")
    turns.ask("ceph", "n4")
    assert turns.leave("n3") == ()
    assert turns.leave("n2") == (("ceph", "n4"),)


def test_leaving_twice_gives_no_second_turn():
    turns = Turns({"ceph": 2})
    for machine in ("n2", "n3", "n4", "n5"):
        turns.ask("ceph", machine)
    assert turns.leave("n2") == (("ceph", "n4"),)
    assert turns.leave("n2") == ()
    assert turns.leave("n3") == (("ceph", "n5"),)


def test_each_service_has_turns_of_its_own():
    turns = Turns({"ceph": 1, "lxd": 1})
    assert turns.ask("ceph", "n2")
    assert turns.ask("lxd", "n3")
    assert not turns.ask("ceph", "n3")
    assert not turns.ask("lxd", "n2")
    assert turns.leave("n2") == (("ceph", "n3"),)
    assert turns.leave("n3") == ()


def test_tokens_are_wanted_of_those_who_join_and_of_the_next():
    turns = Turns({"lxd": 1})
    for machine in ("n2", "n3", "n4"):
        turns.ask("lxd", machine)
        turns.ask("other", machine)
    assert turns.near("lxd") == ("n2", "n3")
    assert sorted(turns.near("other")) == ["n2", "n3", "n4"]
    turns.leave("n2")
    assert turns.near("lxd") == ("n3", "n4")

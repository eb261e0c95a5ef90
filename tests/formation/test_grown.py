"""Who fell out of a cloud comes in when the same command is typed again on all machines."""

import itertools

import pytest
from breaking import Broken, Fault
from trying import EVERYTHING, try_all

from mcloud.journal import Journal
from mcloud.secrets import Secrets

ALL = {"n1", "n2", "n3"}
BEFORE, AFTER = ("n3", "enter", "before"), ("n3", "enter", "after")
"""Where the third machine fails: out of the service, or in it already, to be written out by the others."""


@pytest.fixture
def broken():
    """Return a maker of clouds in which the third machine fails a given number of times at one place."""
    opened = []

    def make(where=BEFORE, *, times=1, faults=(), **more):
        made = Broken(3, faults, fails={where: times}, **more)
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.__exit__()


def of(broken, event):
    """Return on which machines' journals there is a line of this event."""
    return {name for name in broken.names if broken.cloud[name].journal().has(event)}


@pytest.mark.parametrize("where", [BEFORE, AFTER])
def test_the_others_go_on_without_it_and_then_it_comes_in(broken, where):
    cloud = broken(where)
    cloud.resume()
    assert cloud.out == ("n3",)
    assert cloud.world.members == {"n1", "n2"}, "who fell out is written out by the service, too"
    record = cloud.cloud["n1"].cloud
    cloud.bring_back()
    assert [member["name"] for member in cloud.cloud["n1"].cloud["members"]] == ["n1", "n2", "n3"]
    assert cloud.cloud["n1"].cloud["id"] == record["id"]
    assert cloud.check_cloud() == ALL
    assert of(cloud, "grown") == ALL


def test_trust_is_not_asked_again(broken):
    cloud = broken()
    cloud.resume()
    for name in ("n2", "n3"):
        cloud.cloud[name].codes = ["these words are wrong"]
    cloud.bring_back()
    assert [machine.codes for machine in cloud.cloud.machines.values()].count(["these words are wrong"]) == 2


def test_it_may_fail_again_and_the_cloud_stays_as_it_was(broken):
    cloud = broken(AFTER, times=2)
    cloud.resume()
    record = cloud.cloud["n1"].cloud
    outcome = cloud.cloud.form(seconds=28)
    assert set(outcome.failures) == {"n3"}
    assert cloud.cloud["n1"].cloud == cloud.cloud["n2"].cloud == record
    assert cloud.world.members == {"n1", "n2"}
    cloud.bring_back()
    assert cloud.check_cloud() == ALL


def test_a_member_that_fails_meanwhile_is_not_left_out(broken):
    """It is in the cloud: the run fails instead, and goes on when it is typed again."""
    cloud = broken()
    cloud.resume()
    cloud.cloud["n2"].host.write("/svc/adapted", None)
    cloud.service.fails["n2", "adapt", "before"] = 1
    outcome = cloud.cloud.form(seconds=28)
    assert {"n1", "n2"} <= set(outcome.failures)
    assert "n2 failed" in repr(outcome.failures["n1"].exceptions)
    assert [node["name"] for node in cloud.cloud["n1"].journal().inputs["nodes"]] == ["n1", "n2", "n3"]
    cloud.bring_back()
    assert {member["name"] for member in cloud.cloud["n1"].cloud["members"]} == ALL


@pytest.mark.parametrize("order", list(itertools.permutations(("n1", "n2", "n3")))[::2])
def test_all_of_it_can_be_taken_back(broken, order):
    cloud = broken(AFTER)
    cloud.resume()
    cloud.bring_back()
    cloud.undo(order)
    cloud.check_nothing()
    cloud.form_anew()


def test_undo_on_the_one_that_came_late_leaves_the_old_cloud_well(broken):
    cloud = broken()
    cloud.resume()
    cloud.bring_back()
    cloud.undo(["n3"])
    assert cloud.world.members == {"n1", "n2"}
    assert all(cloud.files(name)["/svc/adapted"] == "done" for name in ("n1", "n2"))


def test_who_took_its_part_back_meanwhile_is_let_in_by_the_code(broken):
    cloud = broken(AFTER)
    cloud.resume()
    cloud.undo(["n3"])
    for deed in [deed for deed in cloud.deeds if deed[0] == "n3"]:
        del cloud.deeds[deed]  # it was taken back
    cloud.bring_back()
    assert cloud.check_cloud() == ALL
    shown = cloud.cloud["n3"].state.runs()
    assert len(shown) == 2
    cloud.undo(["n3"])


def test_who_fails_while_the_initiator_is_off_tries_again_and_does_not_fall_out(broken):
    off = []

    def on_happening(machine, happening):
        if (machine, happening.step, happening.what) == ("n3", "packages", "started") and not off:
            off.append(machine)
            cloud.cloud.kill("n1")

    cloud = broken(("n3", "packages", "before"), on_happening=on_happening)
    cloud.resume()
    assert off
    assert cloud.check_cloud() == ALL
    assert not of(cloud, "cut")


@pytest.mark.timeout(900 if EVERYTHING else 90)
def test_killed_at_every_line_of_coming_in():
    cases = [(name, number) for name in ("n1", "n2", "n3") for number in range(1, 24)]
    if not EVERYTHING:
        cases = cases[::4]
    killed = []

    def attempt(case):
        name, number = case
        with Broken(3, fails={AFTER: 1}, patience=4.0) as cloud:
            cloud.resume()
            cloud.faults.append(Fault(machine=name, at="line", number=number, how="after"))
            cloud.bring_back()
            killed.extend(cloud.killed)
            cloud.calm()
            assert cloud.check_cloud() == ALL

    print(f"\ncoming in, killed and typed again: {try_all(cases, attempt)} tried, {len(killed)} were killed")
    assert len(killed) > len(cases) / 2


def test_a_journal_counts_what_is_done_for_the_roster_it_has(tmp_path):
    nodes = [{"name": name} for name in ("n1", "n2")]
    journal = Journal.create(tmp_path / "run.jsonl", {"nodes": nodes}, Secrets())
    journal.write("done", "join/svc/n1/n1/enter", offers=[])
    journal.write("finished")
    assert journal.settled("join/svc/n1/n1/enter")
    journal.write("grown", nodes=[*nodes, {"name": "n3"}])
    read = Journal.open(tmp_path / "run.jsonl", Secrets())
    for one in (journal, read):
        assert not one.settled("join/svc/n1/n1/enter")
        assert one.last("join/svc/n1/n1/enter") == "done", "undo and history still know"
        assert not one.finished
    journal.write("done", "join/svc/n1/n1/enter", offers=[])
    assert journal.settled("join/svc/n1/n1/enter")

"""Killed at each line of the journal, on the initiator and on a joiner: the same command again finishes."""

import itertools

import pytest

INITIATOR_LINES, JOINER_LINES = 21, 17
"""Lines of the journals of an undisturbed run of two machines; a test below looks whether that is so."""

LINES = [
    *(("n1", line) for line in range(1, INITIATOR_LINES + 1)),
    *(("n2", line) for line in range(1, JOINER_LINES + 1)),
]
MOMENTS = itertools.cycle(["before", "torn", "after"])


UNDISTURBED = {
    "n1": {
        "/compute/joined": "n1",
        "/compute/members": "n1,n2",
        "/compute/pools": "fast",
        "/store/access": "yes",
        "/store/brick": "n1",
        "/store/founded": "n1",
        "/store/pool": "n1,n2",
    },
    "n2": {
        "/compute/joined": "n2",
        "/compute/members": "n1,n2",
        "/store/access": "yes",
        "/store/brick": "n2",
        "/store/joined": "token-made-for-n2-who-said-n2 asks",
        "/store/request": "asked",
    },
}


def test_the_lines_are_as_many_as_are_tried(make_cloud):
    cloud = make_cloud(2)
    cloud.form().good()
    assert len(cloud["n1"].lines()) == INITIATOR_LINES
    assert len(cloud["n2"].lines()) == JOINER_LINES


@pytest.mark.parametrize(
    ("victim", "line", "moment"), [(*which, moment) for which, moment in zip(LINES, MOMENTS, strict=False)]
)
def test_killed_at_any_line(make_cloud, files, deeds, victim, line, moment):
    hopeless = victim == "n1" and line in {1, INITIATOR_LINES - 1, INITIATOR_LINES}
    cloud = make_cloud(2, patience=0.5 if hopeless else 5.0)  # somebody waits for who will not come
    cloud.kill_at(victim, line, moment)
    outcome = cloud.form()
    assert outcome.killed == (victim,)
    if _was_over(cloud, victim, line, moment):
        # Nobody is left to hear it, or nothing was left to do; typed again, all are content.
        cloud.form()
    elif victim == "n1" and line == 1:
        # There was no run yet, so the joiners, too, begin from the beginning.
        cloud.form().good()
    else:
        outcome.good()
    for name, machine in cloud.machines.items():
        assert files(machine) == UNDISTURBED[name]
        assert machine.lines()[-1][0] == "finished"
    assert set(deeds.values()) == {1}, f"done twice: {[deed for deed, times in deeds.items() if times > 1]}"


def _was_over(cloud, victim, line, moment):
    """Whether the initiator died when it had only to write down that all is done."""
    return victim == "n1" and line >= INITIATOR_LINES - 1


@pytest.mark.parametrize("victim", ["n1", "n2"])
def test_undo_after_a_kill_takes_back_all(make_cloud, files, victim):
    """Killed in the middle, and then not gone on with, but taken back."""
    for line in (3, 11):
        cloud = make_cloud(2, patience=0.3)
        cloud.kill_at(victim, line)
        cloud.form(again=False)
        for name, machine in cloud.machines.items():
            if machine.state.latest() is not None:
                assert cloud.undo(name).left == {}
            assert files(machine) == {}


def test_killed_twice(make_cloud, files):
    cloud = make_cloud(2)
    cloud.kill_at("n1", 6)
    cloud.kill_at("n2", 5)
    assert sorted(cloud.form().good().killed) == ["n1", "n2"]
    assert {name: files(machine) for name, machine in cloud.machines.items()} == UNDISTURBED


def test_a_joiner_that_does_not_come_back_is_gone_on_without(make_cloud, files):
    cloud = make_cloud(3, patience=1.0)
    cloud.kill_at("n3", 4)
    outcome = cloud.form(again=False)
    assert outcome.good().killed == ("n3",)
    assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]
    assert files(cloud["n2"])["/compute/members"] == "n1,n2"
    assert "n3 is out: nothing was heard of it" in cloud.story()


def test_an_initiator_that_does_not_come_back_is_waited_for(make_cloud, files):
    cloud = make_cloud(2, patience=0.5)
    cloud.kill_at("n1", 8)
    outcome = cloud.form(again=False)
    assert "no connection" in str(outcome.failures["n2"])
    cloud.form().good()
    assert {name: files(machine) for name, machine in cloud.machines.items()} == UNDISTURBED


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_where_a_smaller_roster_takes_over(make_cloud, compute, failing, moment):
    """One machine has failed; the initiator dies as it writes down that it goes on without it."""
    plugins = {"compute": compute, "failing": failing("n3")}
    cloud = make_cloud(3, plugins=plugins)
    cloud.form()
    cut = cloud["n1"].lines().index(("cut", "")) + 1
    cloud = make_cloud(3, plugins=plugins, patience=5.0 if moment == "after" else 3.0)
    cloud.kill_at("n1", cut, moment)
    outcome = cloud.form(seconds=20)
    assert outcome.killed == ("n1",)
    if moment == "after":
        assert set(outcome.failures) == {"n3"}
        assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]
        assert cloud["n2"].cloud == outcome.cloud
    elif "n1" in outcome.failures:
        # Nothing of the cut is known any more: the third machine is expected again.
        plugins["failing"].fails = False
        cloud.form().good()
    else:
        # The third machine had not yet heard that it is out: it came again, and said again that it failed.
        assert set(outcome.failures) == {"n3"}
        assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]

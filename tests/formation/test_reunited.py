"""A run that was broken off without one of its machines: typed again on all, one command brings all in."""

import pytest
from breaking import Broken, Fault
from trying import EVERYTHING, try_all

BEFORE, AFTER = ("n3", "enter", "before"), ("n3", "enter", "after")
ALL = {"n1", "n2", "n3"}


class Off:
    """Has the initiator lose its power when a step begins there, once, after a machine fell out."""

    def __init__(self, step):
        self.step, self.cloud, self.fell = step, None, []

    def __call__(self, machine, happening):
        if (machine, happening.what, happening.step) == ("n1", "started", self.step) and not self.fell:
            journal = self.cloud.cloud["n1"].journal()
            if journal.has("cut"):
                self.fell.append(self.step)
                self.cloud.cloud.kill("n1")


def broken_off(where, step, **more):
    off = Off(step)
    off.cloud = Broken(3, fails={where: 1}, on_happening=off, **more)
    return off.cloud, off


@pytest.mark.parametrize(("where", "step"), [(BEFORE, "adapt"), (AFTER, "pool")])
def test_one_command_brings_all_in(where, step):
    cloud, off = broken_off(where, step, patience=10.0)  # none may be lost to a busy machine
    with cloud:
        cloud.once()
        assert off.fell
        assert cloud.out == ("n3",)
        cloud.cloud.form(seconds=28).good()
        assert (cloud.out, cloud.agreed) == ((), True)
        assert cloud.check_cloud() == ALL
        assert "n3 fell out before, and is back" in cloud.cloud.story()
        assert "did not pick" not in cloud.cloud.story()


def test_who_is_still_away_is_told_of_when_it_comes():
    cloud, _off = broken_off(AFTER, "pool")
    with cloud:
        cloud.once()
        cloud.cloud.form(seconds=28, without=["n3"]).good()
        assert (cloud.out, cloud.agreed) == (("n3",), True)
        cloud.bring_back()
        assert cloud.check_cloud() == ALL


@pytest.mark.timeout(900 if EVERYTHING else 90)
def test_killed_at_every_line_of_it():
    cases = [(name, number) for name in ("n1", "n2", "n3") for number in range(1, 24)]
    killed = []

    def attempt(case):
        name, number = case
        cloud, _off = broken_off(AFTER, "pool", patience=4.0)
        with cloud:
            cloud.once()
            cloud.killed.clear()
            cloud.faults.append(Fault(machine=name, at="line", number=number, how="after"))
            cloud.bring_back()
            killed.extend(cloud.killed)
            cloud.calm()
            assert cloud.check_cloud() == ALL

    try_all(cases if EVERYTHING else cases[::4], attempt)
    assert killed


def test_it_may_fall_out_again_and_the_others_are_a_cloud():
    cloud, _off = broken_off(AFTER, "pool")
    with cloud:
        cloud.once()
        cloud.service.fails[AFTER] = 1
        outcome = cloud.cloud.form(seconds=28)
        assert set(outcome.failures) == {"n3"}
        assert (cloud.out, cloud.agreed) == (("n3",), True)
        cloud.bring_back()
        assert cloud.check_cloud() == ALL

"""Lanes: what runs where, how much of it is done, and how long each part took."""

import pytest

from mcloud.cli.lanes import Lanes, covered
from mcloud.cli.live import lane_lines
from mcloud.session.protocol import OutlookLine
from mcloud.watch import Happening


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lanes(clock):
    return Lanes(clock)


def happening(what, step, *, machine="n1", plugin="lxd", hook="join", about="", seconds=0.0, text=""):
    return Happening(
        machine=machine, plugin=plugin, hook=hook, about=about or machine, step=step, what=what,
        seconds=seconds, text=text,
    )  # fmt: skip


def lines(lanes, width=80, height=24):
    return [line.plain for line in lane_lines(lanes.rows(), headline="  1.0 s", width=width, height=height)]


def test_a_lane_shows_the_step_its_time_and_what_it_reports(lanes, clock):
    lanes.expect({"n1": [OutlookLine(key=f"join/lxd/n1/n1/{step}", to_do=True) for step in "abc"]})
    lanes.note(happening("done", "a", seconds=2.0))
    lanes.note(happening("started", "b"))
    lanes.note(happening("report", "b", text="disk 1 of 2"))
    clock.now += 3.2
    assert lines(lanes)[1:] == ["  n1  lxd    1/3    3.2 s  b: disk 1 of 2"]


def test_steps_side_by_side_in_one_lane_are_counted(lanes):
    for step in "abc":
        lanes.note(happening("started", step))
    assert lines(lanes)[1].endswith("a (+2)")
    lanes.note(happening("done", "a", seconds=1.0))
    assert lines(lanes)[1].endswith("b (+1)")


def test_a_lane_that_failed_says_so_whatever_happens_after(lanes):
    lanes.note(happening("started", "a"))
    lanes.note(happening("failed", "a", seconds=1.0, text="no space"))
    lanes.note(happening("started", "b"))
    assert "FAILED a" in lines(lanes)[1]


def test_a_lane_of_which_all_is_done_says_how_long_it_took(lanes, clock):
    lanes.expect({"n1": [OutlookLine(key="join/lxd/n1/n1/a", to_do=True)]})
    clock.now += 7
    lanes.note(happening("done", "a", seconds=4.0))
    assert lines(lanes)[1:] == ["  n1  lxd    1/1    4.0 s  done"]


def test_gates_and_the_cores_own_steps_are_no_work(lanes):
    assert not lanes.note(happening("waiting", "token"))
    assert "waits for its token" in lines(lanes)[1]
    assert not lanes.note(happening("done", "token"))
    assert not lanes.note(happening("done", "joined", plugin="core", hook="admit", about="n2"))
    assert [row.done for row in lanes.rows()] == [0]


def test_a_service_may_call_its_own_step_token(lanes):
    assert lanes.note(happening("done", "token", hook="issue_token", about="n2", seconds=0.2))
    assert lanes.rows()[0].done == 1


def test_machines_stay_in_the_order_of_the_plan(lanes):
    names = ["n10", "n9", "n1"]
    lanes.expect({name: [OutlookLine(key=f"join/lxd/{name}/{name}/a", to_do=True)] for name in names})
    lanes.note(happening("started", "a", machine="n1"))
    assert [row.machine for row in lanes.rows()] == names


def test_how_far_it_is_counts_all_machines(lanes):
    plan = {name: [OutlookLine(key=f"join/lxd/{name}/{name}/a", to_do=True)] for name in ("n1", "n2")}
    lanes.expect({**plan, "n3": [OutlookLine(key="close/core/n3/n3/record", to_do=True)]})
    lanes.note(happening("done", "a", seconds=1.0))
    assert lanes.steps() == (1, 2)


def test_without_a_plan_the_total_is_not_made_up(lanes):
    lanes.note(happening("done", "a", seconds=1.0))
    assert lanes.steps() == (1, None)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [([], 0), ([(0, 2), (1, 3)], 3), ([(0, 1), (5, 6)], 2), ([(0, 9), (1, 2)], 9)],
)
def test_time_that_two_steps_share_counts_once(spans, seconds):
    assert covered(spans) == seconds


def test_shares_and_stages_are_wall_time(lanes, clock):
    clock.now = 110.0
    lanes.note(happening("done", "cluster", hook="bootstrap", seconds=2.0))
    clock.now = 115.0
    lanes.note(happening("done", "member", machine="n2", seconds=4.0))
    lanes.note(happening("done", "member", machine="n3", seconds=3.0))
    shares = {(share.machine, share.service): (share.steps, share.seconds) for share in lanes.shares()}
    assert shares == {("n1", "lxd"): (1, 2.0), ("n2", "lxd"): (1, 4.0), ("n3", "lxd"): (1, 3.0)}
    assert lanes.stages() == [("founding", 2.0), ("joining", 4.0)]


@pytest.mark.parametrize("width", [80, 40, 20])
def test_lines_never_reach_the_last_column(lanes, width):
    lanes.note(happening("started", "a-step-with-a-long-name", machine="machine-with-a-very-long-name"))
    lanes.note(
        happening(
            "report", "a-step-with-a-long-name", machine="machine-with-a-very-long-name", text="x" * 200
        )
    )
    assert max(map(len, lines(lanes, width=width))) < width


def test_where_there_is_no_room_the_busy_lanes_are_shown_and_the_others_counted(lanes):
    names = [f"n{number}" for number in range(1, 31)]
    lanes.expect({name: [OutlookLine(key=f"join/lxd/{name}/{name}/a", to_do=True)] for name in names})
    lanes.note(happening("started", "a", machine="n20"))
    lanes.note(happening("failed", "a", machine="n29", seconds=1.0))
    shown = lines(lanes, height=10)
    assert len(shown) <= 9
    assert any(line.startswith("  n20") for line in shown)
    assert any("FAILED" in line for line in shown)
    assert shown[-1] == "... and 23 more"

"""What cannot be taken back keeps what it stands on; typed again, undo goes on from there."""

from dataclasses import replace

import pytest

from mcloud import ServiceError, UsedElsewhereError
from mcloud.undo import undo


@pytest.fixture
def take_back(world):
    """Return a function that undoes in a new process."""
    return lambda *lanes: undo(world.around(*lanes), watch=world.happenings.append)


class Pools:
    """Two services: storage makes a pool, instances use it, and say no to its removal while it is in use."""

    def __init__(self, lane, step, apple):
        self.lane, self.step, self.apple = lane, step, apple
        self.in_use, self.answers = True, True

    def lanes(self):
        make, step = self.lane, self.step
        return (
            make(step("monitors"), stage="found", hook="bootstrap", plugin="storage"),
            make(step("cluster", undo=self._end), stage="found", hook="bootstrap", plugin="instances"),
            make(step("osd"), plugin="storage"),
            make(step("other"), plugin="third"),
            make(step("pool", seen=[self.apple()]), stage="configure", hook="configure", plugin="storage"),
            make(
                step("remote", wants=(self.apple,), undo=self._remove, probe=self._look),
                stage="configure",
                hook="configure",
                plugin="instances",
            ),
        )

    def form(self, world):
        for stage in ("found", "enter", "configure"):
            world.run(*self.lanes(), stage=stage)

    def _look(self, ctx):
        if not self.answers:
            raise ServiceError("no quorum")
        return () if ctx.host.read("/remote") is not None else None

    def _remove(self, ctx):
        if self.in_use or not self.answers:
            raise ServiceError("the pool is currently in use" if self.answers else "no quorum")
        ctx.host.write("/remote", None)

    def _end(self, ctx):
        ctx.host.write("/cluster", None)
        ctx.host.write("/remote", None)


@pytest.fixture
def pools(world, lane, step, apple):
    made = Pools(lane, step, apple)
    made.form(world)
    return made


def names(keys):
    return [key.rpartition("/")[2] for key in keys]


def test_what_a_consumer_stands_on_is_not_taken_away_under_it(world, pools, deeds, take_back):
    undone = take_back(*pools.lanes())
    assert undone.left == {
        "configure/instances/n1/n1/remote": "the pool is currently in use",
        **dict.fromkeys(
            (
                "configure/storage/n1/n1/pool",
                "join/storage/n1/n1/osd",
                "bootstrap/storage/n1/n1/monitors",
                "bootstrap/instances/n1/n1/cluster",
            ),
            "left because configure/instances/n1/n1/remote is still there",
        ),
    }
    assert names(undone.taken_back) == ["other"]
    assert world.files() == ["/cluster", "/monitors", "/osd", "/pool", "/remote"]
    assert ("reverted", "") not in world.lines()


def test_typed_again_it_goes_on_once_nothing_keeps_it(world, pools, take_back):
    take_back(*pools.lanes())
    pools.in_use = False
    undone = take_back(*pools.lanes())
    assert undone.left == {}
    # Which of two services was founded first is chance.
    assert names(undone.taken_back)[:3] == ["remote", "pool", "osd"]
    assert {*names(undone.taken_back)[3:]} == {"cluster", "monitors"}
    assert world.files() == []
    assert world.lines()[-1] == ("reverted", "")


def test_where_the_consumers_service_is_dead_it_ends_and_then_nothing_is_held(world, pools, take_back):
    """With all other machines gone nobody can say what is in use: the machine gets free all the same."""
    pools.answers = False
    undone = take_back(*pools.lanes())
    assert undone.left == {}
    assert {*names(undone.taken_back)} == {"other", "cluster", "remote", "pool", "osd", "monitors"}
    assert names(undone.taken_back)[-3:] == ["pool", "osd", "monitors"]  # only then
    assert world.files() == []


def test_a_maker_that_nobody_takes_back_passes_on_what_it_stands_on(world, lane, step, apple, take_back):
    def fail(_ctx):
        raise ServiceError("in use")

    lanes = (
        lane(step("daemon"), step("networks", seen=[apple()], undo=None), plugin="switches"),
        lane(step("user", wants=(apple,), undo=fail), plugin="instances"),
    )
    world.run(*lanes)
    assert take_back(*lanes).left == {
        "join/instances/n1/n1/user": "in use",
        "join/switches/n1/n1/networks": "this step cannot be taken back",
        "join/switches/n1/n1/daemon": "left because join/instances/n1/n1/user is still there",
    }


def test_what_others_machines_use_holds_nothing_here_and_goes_with_its_service(world, pools, take_back):
    def elsewhere(_ctx):
        raise UsedElsewhereError("in use by instances on n2")

    *before, last = pools.lanes()
    (remote,) = last.steps
    undone = take_back(*before, replace(last, steps=(replace(remote, undo=elsewhere),)))
    assert undone.left == {}
    assert {*names(undone.taken_back)} == {"pool", "other", "osd", "cluster", "monitors", "remote"}
    assert world.files() == []


def test_who_watches_hears_why_something_is_left(world, pools, take_back):
    world.happenings.clear()
    take_back(*pools.lanes())
    said = {one.step: one.text for one in world.happenings if one.what == "left"}
    assert said["pool"] == "left because configure/instances/n1/n1/remote is still there"
    assert said["remote"] == "the pool is currently in use"


def test_what_was_there_before_is_left_alone_whoever_stands_on_it(world, lane, step, apple, deeds, take_back):
    def fail(_ctx):
        raise ServiceError("broken")

    world.host.write("/pool", "theirs")
    lanes = (
        lane(step("pool", seen=[apple()]), plugin="storage"),
        lane(step("user", wants=(apple,), undo=fail), plugin="instances"),
    )
    world.run(*lanes)
    assert take_back(*lanes).left == {"join/instances/n1/n1/user": "broken"}
    assert world.host.read("/pool") == "theirs"
    assert deeds.of("undo") == []


def test_who_takes_something_goes_before_it_also_if_that_was_made_once_more(
    world, lane, step, apple, deeds, take_back
):
    """For another roster what was lost is made anew, and what uses it is not."""
    lanes = (
        lane(step("pool", seen=[apple()]), step("behind"), plugin="storage"),
        lane(step("user", wants=(apple,)), plugin="instances"),
    )
    world.run(*lanes)
    journal = world.journal()
    journal.write("cut", nodes=[])
    world.host.write("/pool", None)
    world.run(*lanes)
    assert world.lines()[-4:-2] == [("started", "pool"), ("done", "pool")]
    deeds.clear()
    take_back(*lanes)
    assert deeds.of("undo")[-1] == "pool"

"""Undo: from every state, backwards, and never what is not ours."""

import pytest

from mcloud import JoinToken, RunFailed, ServiceError, Step
from mcloud.undo import undo


def _fail(_ctx):
    raise ServiceError("broken")


@pytest.fixture
def take_back(world):
    """Return a function that undoes in a new process."""
    return lambda *lanes: undo(world.around(*lanes), watch=world.happenings.append)


def _names(keys):
    return [key.rpartition("/")[2] for key in keys]


def test_what_was_done_is_taken_back_in_reverse(world, lane, step, deeds, take_back):
    lanes = (lane(step("a"), step("b")), lane(step("c"), stage="adapt", hook="adapt"))
    world.run(*lanes)
    world.run(*lanes, stage="adapt")
    undone = take_back(*lanes)
    assert _names(undone.taken_back) == ["c", "b", "a"]
    assert undone.left == {}
    assert deeds.of("undo") == ["c", "b", "a"]
    assert world.files() == []
    assert world.lines()[-5:] == [
        ("undoing", ""),
        ("undone", "c"),
        ("undone", "b"),
        ("undone", "a"),
        ("reverted", ""),
    ]


def test_what_was_adopted_is_left_alone(world, lane, step, deeds, take_back):
    world.host.write("/a", "theirs")
    world.run(lane(step("a"), step("b")))
    assert _names(take_back(lane(step("a"), step("b"))).taken_back) == ["b"]
    assert world.host.read("/a") == "theirs"


def test_what_failed_before_it_began_is_left_alone(world, lane, step, deeds, take_back):
    world.host.write("/a", "theirs")
    with pytest.raises(RunFailed):
        world.run(lane(step("a", probe=_fail)))
    assert take_back(lane(step("a"))).taken_back == ()
    assert world.host.read("/a") == "theirs"


@pytest.mark.parametrize("last", ["started", "failed", "done"])
def test_what_was_begun_is_taken_back(world, lane, step, deeds, take_back, last):
    journal = world.journal()
    journal.write("started", "join/fruit/n1/n1/a")
    if last != "started":
        journal.write(last, "join/fruit/n1/n1/a")
    assert _names(take_back(lane(step("a"))).taken_back) == ["a"]
    assert deeds.of("undo") == ["a"]


def test_what_never_began_is_left_alone(world, lane, step, deeds, take_back):
    world.journal()
    assert take_back(lane(step("a"))).taken_back == ()
    assert deeds == []


def test_volatile_steps_have_nothing_to_take_back(world, lane, take_back):
    token = Step(name="token", run=lambda _ctx: [JoinToken(value="the token")], offers=(JoinToken,))
    world.run(lane(token))
    assert take_back(lane(token)) == take_back(lane(token))
    assert take_back(lane(token)).left == {}


def test_a_failure_does_not_stop_the_walk(world, lane, step, deeds, take_back):
    steps = (step("a"), step("b", undo=_fail), step("c"))
    world.run(lane(*steps))
    undone = take_back(lane(*steps))
    assert _names(undone.taken_back) == ["c", "a"]
    assert undone.left == {"join/fruit/n1/n1/b": "broken"}
    assert ("reverted", "") not in world.lines()


def test_any_error_of_an_undo_is_told(world, lane, step, take_back):
    def trouble(_ctx):
        raise ValueError("a bug")

    world.run(lane(step("a", undo=trouble)))
    assert take_back(lane(step("a", undo=trouble))).left == {"join/fruit/n1/n1/a": "ValueError: a bug"}


def test_an_undo_that_did_nothing_is_seen(world, lane, step, take_back):
    world.run(lane(step("a", undo=lambda _ctx: None)))
    (reason,) = take_back(lane(step("a", undo=lambda _ctx: None))).left.values()
    assert "can still be seen" in reason


def test_what_cannot_be_taken_back_is_said(world, lane, step, take_back):
    world.run(lane(step("a", undo=None)))
    assert list(take_back(lane(step("a", undo=None))).left.values()) == ["this step cannot be taken back"]


def test_again_it_goes_on_with_what_was_left(world, lane, step, deeds, take_back):
    world.run(lane(step("a"), step("b", undo=_fail)))
    take_back(lane(step("a"), step("b", undo=_fail)))
    deeds.clear()
    undone = take_back(lane(step("a"), step("b")))
    assert _names(undone.taken_back) == ["b"]
    assert deeds.of("undo") == ["b"]
    assert world.lines().count(("undoing", "")) == 1
    assert world.lines()[-1] == ("reverted", "")


def _end_with(*paths):
    """Return the undo of a founding that ends a service with all that is in it."""

    def end(ctx):
        for path in paths:
            ctx.host.write(path, None)

    return end


def test_what_is_still_seen_did_not_go_with_its_service(world, lane, step, take_back):
    lanes = (
        lane(step("found"), stage="found", hook="bootstrap"),
        lane(step("file", undo=lambda _ctx: None), stage="adapt", hook="adapt"),
    )
    for stage in ("found", "adapt"):
        world.run(*lanes, stage=stage)
    undone = take_back(*lanes)
    assert _names(undone.taken_back) == ["found"]
    assert "can still be seen" in undone.left["adapt/fruit/n1/n1/file"]
    assert ("reverted", "") not in world.lines()


def test_what_lived_in_a_service_went_with_it(world, lane, step, take_back):
    lanes = (
        lane(step("found", undo=_end_with("/found", "/pool")), stage="found", hook="bootstrap"),
        lane(step("pool", undo=_fail), stage="configure", hook="configure"),
        lane(step("other", undo=_fail), stage="configure", hook="configure", plugin="other"),
    )
    for stage in ("found", "configure"):
        world.run(*lanes, stage=stage)
    undone = take_back(*lanes)
    assert set(undone.taken_back) == {"bootstrap/fruit/n1/n1/found", "configure/fruit/n1/n1/pool"}
    assert set(undone.left) == {"configure/other/n1/n1/other"}


def test_a_service_that_still_lives_keeps_what_is_in_it(world, lane, step, take_back):
    lanes = (
        lane(step("found"), step("join", undo=_fail), stage="found", hook="bootstrap"),
        lane(step("pool", undo=_fail), stage="configure", hook="configure"),
    )
    for stage in ("found", "configure"):
        world.run(*lanes, stage=stage)
    assert set(_names(take_back(*lanes).left)) == {"join", "pool"}


def test_undo_gets_the_offers_of_the_journal(world, lane, step, apple, take_back):
    seen = []
    one = step(
        "a", seen=[apple()], undo=lambda ctx: (seen.extend(ctx.offers(apple)), ctx.host.write("/a", None))
    )
    world.run(lane(one))
    take_back(lane(one))
    assert seen == [apple()]


def test_what_another_version_did_is_named(world, lane, step, take_back):
    world.run(lane(step("a"), step("gone")))
    undone = take_back(lane(step("a")))
    assert set(undone.left) == {"join/fruit/n1/n1/gone"}
    assert "another version of its plugin" in undone.left["join/fruit/n1/n1/gone"]


def test_who_watches_sees_it(world, lane, step, take_back):
    world.run(lane(step("a"), step("b", undo=_fail)))
    world.happenings.clear()
    take_back(lane(step("a"), step("b", undo=_fail)))
    assert [(one.step, one.what, one.text) for one in world.happenings] == [
        ("b", "left", "broken"),
        ("a", "undone", ""),
    ]


def test_an_undone_run_is_closed(world, lane, step, take_back):
    world.run(lane(step("a")))
    take_back(lane(step("a")))
    assert world.journal().closed

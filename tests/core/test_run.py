"""Running a plan: the table of section "resume" row by row, verifying, failing, and gates."""

import threading

import pytest

from mcloud import CommandError, JoinToken, McloudError, PluginError, RunFailed, ServiceError, Step
from mcloud.plan import Gate

# ---- last line in the journal, and what the probe says now ---------------------------------------------


def test_none_and_there_is_adopted(world, lane, step, deeds, apple):
    world.host.write("/a", "was here before")
    execution = world.run(lane(step("a", seen=[apple()])))
    assert world.lines() == [("adopted", "a")]
    assert deeds == ["probe a"]
    assert execution.around.board.of("join/fruit/n1/n1/a") == (apple(),)


def test_none_and_not_there_is_run_and_verified(world, lane, step, deeds):
    world.run(lane(step("a")))
    assert world.lines() == [("started", "a"), ("done", "a")]
    assert deeds == ["probe a", "run a", "probe a"]


@pytest.mark.parametrize("last", ["started", "failed"])
def test_begun_and_there_is_done_without_running(world, lane, step, deeds, last):
    journal = world.journal()
    journal.write("started", "join/fruit/n1/n1/a")
    if last == "failed":
        journal.write("failed", "join/fruit/n1/n1/a", error="something")
    world.host.write("/a", "made before we died")
    world.run(lane(step("a")))
    assert world.lines()[-1] == ("done", "a")
    assert deeds == ["probe a"]


@pytest.mark.parametrize("last", ["started", "failed"])
def test_begun_and_not_there_is_run_again(world, lane, step, deeds, last):
    journal = world.journal()
    journal.write("started", "join/fruit/n1/n1/a")
    if last == "failed":
        journal.write("failed", "join/fruit/n1/n1/a", error="something")
    world.run(lane(step("a")))
    assert world.lines()[-2:] == [("started", "a"), ("done", "a")]
    assert deeds.of("run") == ["a"]


@pytest.mark.parametrize("there", [True, False])
def test_done_is_not_asked_and_its_offers_come_from_the_journal(world, lane, step, deeds, apple, there):
    world.run(lane(step("a", seen=[apple(color="green")])))
    if not there:
        world.host.write("/a", None)
    deeds.clear()
    execution = world.run(lane(step("a", seen=[apple(color="yellow")])))
    assert deeds == []
    assert execution.around.board.of("join/fruit/n1/n1/a") == (apple(color="green"),)


def test_adopted_is_not_asked_again(world, lane, step, deeds):
    world.host.write("/a", "was here before")
    world.run(lane(step("a")))
    deeds.clear()
    world.run(lane(step("a")))
    assert deeds == []


def test_volatile_runs_again_though_it_is_done(world, lane):
    made = []

    def issue(_ctx):
        made.append("token")
        return [JoinToken(value=f"secret-token-{len(made)}")]

    token = Step(name="token", run=issue, offers=(JoinToken,))
    for expected in ("secret-token-1", "secret-token-2"):
        execution = world.run(lane(token))
        (offer,) = execution.around.board.of("join/fruit/n1/n1/token")
        assert offer.value.get_secret_value() == expected
    assert world.lines() == [("started", "token"), ("done", "token")] * 2
    assert "secret-token" not in world.path.read_text()


def test_what_failed_before_it_began_is_adopted_not_claimed(world, lane, step, deeds):
    """The probe raised; nothing was done; and what is there later was there before."""

    def trouble(_ctx):
        raise ServiceError("the service does not answer")

    with pytest.raises(RunFailed):
        world.run(lane(step("a", probe=trouble)))
    world.host.write("/a", "made by somebody else")
    world.run(lane(step("a")))
    assert world.lines() == [("failed", "a"), ("adopted", "a")]
    assert deeds.of("run") == []


# ---- verify --------------------------------------------------------------------------------------------


def test_a_step_whose_work_cannot_be_seen_has_failed(world, lane, step):
    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=lambda _ctx: None)))
    (failure,) = raised.value.exceptions
    assert isinstance(failure, ServiceError)
    assert "cannot be seen" in str(failure)
    assert failure.__notes__ == ["join/fruit/n1/n1/a"]
    assert world.lines() == [("started", "a"), ("failed", "a")]


def test_what_comes_and_goes_is_looked_for_until_it_is_seen(world, lane, step):
    looks = []

    def flapping(ctx):
        looks.append(True)
        return () if len(looks) > 3 and ctx.host.read("/a") else None

    world.run(lane(step("a", probe=flapping)))
    assert world.lines() == [("started", "a"), ("done", "a")]
    assert len(looks) == 4


def test_a_run_that_returns_something_is_refused(world, lane, step):
    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=lambda _ctx: ["an offer"])))
    assert isinstance(raised.value.exceptions[0], PluginError)


def test_an_offer_that_was_not_declared_is_refused(world, lane, step, apple):
    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", seen=[apple()], offers=())))
    assert "offers Apple, which it did not declare" in str(raised.value.exceptions[0])
    assert raised.value.exceptions[0].plugin == "fruit"


# ---- side by side --------------------------------------------------------------------------------------


def test_lanes_run_side_by_side(world, lane, step):
    both = threading.Barrier(2, timeout=5)
    steps = {
        name: step(name, run=lambda ctx, name=name: (both.wait(), ctx.host.write(f"/{name}", "x"))[1])
        for name in ("a", "b")
    }
    world.run(*(lane(one, plugin=name) for name, one in steps.items()))
    assert world.files() == ["/a", "/b"]


def test_offers_pass_from_lane_to_lane(world, lane, step, apple):
    eaten = []

    def eat(ctx):
        eaten.extend(ctx.offers(apple))
        ctx.host.write("/eat", "x")

    world.run(
        lane(step("eat", run=eat, wants=(apple,)), plugin="a-eater"),
        lane(step("one", seen=[apple(color="red")]), plugin="one"),
        lane(step("two", seen=[apple(color="green")]), plugin="two"),
    )
    assert {offer.color for offer in eaten} == {"red", "green"}


def test_offers_of_an_earlier_stage_are_seen(world, lane, step, apple):
    eaten = []
    lanes = (
        lane(step("make", seen=[apple()])),
        lane(
            step("eat", probe=lambda ctx: eaten.extend(ctx.offers(apple)) or (), needs=(apple,)),
            stage="configure",
            hook="configure",
        ),
    )
    world.run(*lanes)
    world.run(*lanes, stage="configure")  # a new process: from the journal
    assert eaten == [apple()]


def test_only_the_stage_that_is_asked_for_runs(world, lane, step, deeds):
    world.run(lane(step("now")), lane(step("later"), stage="adapt", hook="adapt"))
    assert deeds.of("run") == ["now"]


# ---- failures ------------------------------------------------------------------------------------------


def _fail(text):
    def run(_ctx):
        raise CommandError(text)

    return run


def test_all_failures_are_raised_together(world, lane, step):
    both = threading.Barrier(2, timeout=5)

    def fail(name):
        def run(_ctx):
            both.wait()
            raise CommandError(f"{name} is broken")

        return run

    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=fail("a")), plugin="one"), lane(step("b", run=fail("b")), plugin="two"))
    told = {str(failure): failure.__notes__ for failure in raised.value.exceptions}
    assert told == {"a is broken": ["join/one/n1/n1/a"], "b is broken": ["join/two/n1/n1/b"]}
    assert "run the same command again" in raised.value.hint


def test_after_a_failure_nothing_new_starts_and_what_runs_may_finish(world, lane, step, deeds):
    failed = threading.Event()

    def slow(ctx):
        assert failed.wait(5)
        ctx.host.write("/slow", "x")

    def fail(_ctx):
        threading.Timer(0.05, failed.set).start()
        raise CommandError("broken")

    with pytest.raises(RunFailed) as raised:
        world.run(
            lane(step("fails", run=fail), step("behind"), plugin="one"),
            lane(step("slow", run=slow), step("never"), plugin="two"),
        )
    assert len(raised.value.exceptions) == 1
    assert world.files() == ["/slow"]
    assert {"behind", "never"} & set(deeds.of("probe")) == set()


def test_the_same_run_again_goes_on_where_it_failed(world, lane, step, deeds):
    with pytest.raises(RunFailed):
        world.run(lane(step("a"), step("b", run=_fail("broken")), step("c")))
    deeds.clear()
    world.run(lane(step("a"), step("b"), step("c")))
    assert deeds.of("run") == ["b", "c"]


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_step_that_wants_to_end_the_program_has_failed(world, lane, step, ending):
    def run(_ctx):
        raise ending

    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=run)))
    assert isinstance(raised.value.exceptions[0], PluginError)
    assert world.lines()[-1] == ("failed", "a")


def test_a_failure_that_cannot_be_journalled_is_told_all_the_same(world, lane, step):
    world.known.add("tulip-hammer")
    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=_fail("tulip-hammer was refused"))))
    assert len(raised.value.exceptions) == 1
    assert world.lines()[-1] == ("failed", "a")
    assert "tulip" not in world.path.read_text()


def test_a_watch_that_raises_stops_nothing_silently(world, lane, step):
    def watch(happening):
        if happening.what == "done":
            raise ValueError("the screen is gone")

    execution = world.execution(lane(step("a")))
    execution._watch = watch
    with pytest.raises(RunFailed, match="1 of the steps") as raised:
        execution.run("enter")
    assert "the screen is gone" in str(raised.value.exceptions[0])


def test_an_error_without_a_plugin_gets_the_one_of_its_step(world, lane, step):
    def run(ctx):
        ctx.host.write("/etc/key", "tulip-hammer")

    world.known.add("tulip-hammer")
    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=run), plugin="flowers"))
    assert raised.value.exceptions[0].plugin == "flowers"


# ---- stopping ------------------------------------------------------------------------------------------


def test_stop_ends_waits_and_starts_nothing_new(world, lane, step, deeds):
    waiting = threading.Event()

    def wait(ctx):
        waiting.set()
        ctx.wait(lambda: None, what="ever", patience=30)

    execution = world.execution(lane(step("a", run=wait), step("b")))
    stopper = threading.Thread(target=lambda: (waiting.wait(5), execution.stop()))
    stopper.start()
    with pytest.raises(RunFailed, match="failed") as raised:
        execution.run("enter")
    stopper.join()
    assert "stopped while waiting for ever" in str(raised.value.exceptions[0])
    assert "b" not in deeds.of("probe")


def test_stop_while_only_gates_are_waited_for(world, lane, step):
    execution = world.execution(
        lane(Gate(name="gate"), step("a")), reached=lambda _lane, _gate: execution.stop()
    )
    with pytest.raises(RunFailed) as raised:
        execution.run("enter")
    assert "stopped before the end" in str(raised.value.exceptions[0])


# ---- gates ---------------------------------------------------------------------------------------------

GATE = "join/fruit/n1/n1/token"


def _token_lane(lane, step):
    return lane(
        step("before"),
        Gate(name="token", offers=(JoinToken,)),
        step("in", needs=(JoinToken,), run=lambda ctx: ctx.host.write("/in", ctx.token.get_secret_value())),
        step("after"),
    )


def test_a_gate_opens_with_what_comes_through_it(world, lane, step):
    reached = []

    def come(_lane, gate):
        reached.append((gate.name, world.files()))
        execution.open(GATE, [JoinToken(value="the token")])

    execution = world.execution(_token_lane(lane, step), reached=come)
    execution.run("enter")
    assert reached == [("token", ["/before"])]
    assert world.host.read("/in") == "the token"
    assert world.files() == ["/after", "/before", "/in"]


def test_a_gate_may_be_opened_before_it_is_reached_and_twice(world, lane, step):
    reached = []
    execution = world.execution(
        _token_lane(lane, step), reached=lambda _lane, gate: reached.append(gate.name)
    )
    for _ in range(2):
        execution.open(GATE, [JoinToken(value="early")])
    execution.run("enter")
    assert world.host.read("/in") == "early"


def test_what_is_behind_a_dropped_gate_is_left_out(world, lane, step, deeds):
    execution = world.execution(_token_lane(lane, step), lane(step("other"), plugin="other"))
    execution.drop(GATE)
    execution.run("enter")
    assert sorted(deeds.of("run")) == ["before", "other"]


def test_a_gate_that_fails_fails_the_run(world, lane, step):
    execution = world.execution(_token_lane(lane, step))
    execution.fail(GATE, McloudError("the other side is gone"))
    with pytest.raises(RunFailed) as raised:
        execution.run("enter")
    assert str(raised.value.exceptions[0]) == "the other side is gone"


def test_a_gate_nobody_needs_any_more_is_passed_by(world, lane, step, deeds):
    """After a restart no second token is asked for, if the step that needed one was done."""
    steps = _token_lane(lane, step)
    first = world.execution(steps)
    first.open(GATE, [JoinToken(value="the token")])
    first.run("enter")
    deeds.clear()
    world.execution(steps, reached=lambda *_: pytest.fail("asked for a token again")).run("enter")
    assert deeds.of("run") == []


def test_a_gate_is_passed_by_where_we_died_after_the_work(world, lane, step):
    world.journal().write("started", "join/fruit/n1/n1/in")
    world.host.write("/in", "the token")
    world.execution(_token_lane(lane, step), reached=lambda *_: pytest.fail("asked for a token again")).run(
        "enter"
    )
    assert ("done", "in") in world.lines()


def test_a_gate_is_asked_at_where_we_died_before_the_work(world, lane, step):
    world.journal().write("started", "join/fruit/n1/n1/in")
    execution = world.execution(
        _token_lane(lane, step), reached=lambda *_: execution.open(GATE, [JoinToken(value="again")])
    )
    execution.run("enter")
    assert world.host.read("/in") == "again"


def test_a_token_is_handed_out_when_it_is_made(world, lane):
    issued = []
    token = Step(name="token", run=lambda _ctx: [JoinToken(value="made here")], offers=(JoinToken,))
    execution = world.execution(
        lane(token, hook="issue_token", about="n2"), issued=lambda *what: issued.append(what)
    )
    execution.run("enter")
    ((for_lane, (offer,)),) = issued
    assert (for_lane.about, offer.value.get_secret_value()) == ("n2", "made here")


def test_a_probe_that_wants_to_end_the_program_is_told_where_a_gate_asks_it(world, lane, step):
    """A gate asks whether all that needs it is done; whatever the answer is, `run` must not wait for ever."""

    def leave(_ctx):
        raise SystemExit(3)

    world.journal().write("started", "join/fruit/n1/n1/needing")
    steps = lane(Gate(name="token", offers=(JoinToken,)), step("needing", needs=(JoinToken,), probe=leave))
    with pytest.raises(RunFailed) as failed:
        world.execution(steps).run("enter")
    assert "wanted to end the whole program" in str(failed.value.exceptions[0])


def test_an_error_where_a_gate_is_reached_is_told(world, lane, step):
    def reached(_lane, _gate):
        raise OSError("the disk is full")

    with pytest.raises(RunFailed) as raised:
        world.execution(_token_lane(lane, step), reached=reached).run("enter")
    assert "the disk is full" in str(raised.value.exceptions[0])


# ---- watching ------------------------------------------------------------------------------------------


def test_who_watches_sees_all_of_it(world, lane, step):
    world.host.write("/there", "x")

    def run(ctx):
        ctx.report("half\x1b[31m done")
        ctx.notice("another disk")
        ctx.host.write("/a", "x")

    world.run(lane(step("there"), step("a", run=run)))
    seen = [(happening.step, happening.what, happening.text) for happening in world.happenings]
    assert seen == [
        ("there", "adopted", ""),
        ("a", "started", ""),
        ("a", "report", "half done"),
        ("a", "notice", "another disk"),
        ("a", "done", ""),
    ]
    world.happenings.clear()
    world.run(lane(step("there"), step("a")))
    assert [happening.what for happening in world.happenings] == ["skipped", "skipped"]

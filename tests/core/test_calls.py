"""Plugins' code that does not come back: it is waited for so long, named, and can do nothing afterwards."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from mcloud import CommandError, PluginError, RunFailed, ServiceError
from mcloud.calls import within
from mcloud.context import Context
from mcloud.errors import Overdue
from mcloud.host import Result
from mcloud.run import Execution
from mcloud.tenure import Tenure, tenured
from mcloud.testing import FakeHost
from mcloud.undo import undo
from mcloud.waits import in_hand

SHORT = 0.3


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    """Give nobody more time after a deadline than a test has."""
    monkeypatch.setattr("mcloud.calls.ORDERLY", 0.2)
    monkeypatch.setattr("mcloud.calls.IN_HAND", SHORT)


@pytest.fixture
def hang():
    """Return what hangs until the test is over, and counts who hangs."""
    wake, hanging, awake = threading.Event(), [], threading.Semaphore(0)

    def hang(*_given, **_named):
        hanging.append(True)
        wake.wait(20)
        awake.release()

    def wake_up():
        wake.set()
        for _ in range(len(hanging)):
            assert awake.acquire(timeout=5)
        hanging.clear()

    hang.wake_up, hang.hanging = wake_up, hanging
    yield hang
    wake_up()


def _tenure(seconds=SHORT, **more):
    return Tenure("n1: fruit ripen", plugin="fruit", seconds=seconds, **more)


# ---- one call ------------------------------------------------------------------------------------------


def test_what_comes_back_in_time_is_returned_or_raised():
    assert within(lambda: 42, _tenure()) == 42
    with pytest.raises(KeyError):
        within(lambda: {}["x"], _tenure())


def test_the_end_of_the_program_passes_through():
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        within(leave, _tenure())


def test_what_does_not_come_back_is_named_with_the_place_where_it_hangs(hang):
    with pytest.raises(
        Overdue, match=r"n1: fruit ripen did not come back within 0.3 s, at test_calls.py line \d+"
    ) as raised:
        within(hang, _tenure())
    assert raised.value.plugin == "fruit"
    assert "--deadlines 2" in raised.value.hint


def test_deadlines_stretch(hang):
    began = time.monotonic()
    with pytest.raises(Overdue, match=r"within 0\.9 s"):
        within(hang, _tenure(stretch=3.0))
    assert time.monotonic() - began >= 3 * SHORT


def test_who_is_waited_for_can_be_asked(hang):

    def wait():
        with pytest.raises(Overdue):
            within(hang, _tenure(0.5))

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not hang.hanging:
        time.sleep(0.001)
    (wait,) = in_hand()
    assert (wait.who, 0 <= wait.seconds < 20, wait.other) == ("n1: fruit ripen", True, False)
    waiting.join()
    assert in_hand() == []


def test_a_stop_ends_the_wait_for_what_goes_on_all_the_same(hang):
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(ServiceError, match="went on for too long after the stop, at test_calls"):
        within(hang, _tenure(600), stopping=stopping)


def test_what_says_itself_why_it_is_late_is_heard(monkeypatch):
    monkeypatch.setattr("mcloud.calls.ORDERLY", 10.0)

    def slow(host):
        while True:
            host.run(["sleep", "1"])
            time.sleep(0.01)

    tenure = _tenure()
    with pytest.raises(
        Overdue, match=r"fruit ripen was not done after 0.3 s: n1: fruit ripen: its time is over"
    ):
        within(lambda: slow(tenured(FakeHost(answer=lambda _argv: ""), tenure)), tenure)


# ---- a tenure that is over -----------------------------------------------------------------------------


@pytest.fixture
def over():
    tenure = _tenure(60)
    tenure.end()
    return tenure


def test_every_use_of_a_machine_is_refused_afterwards(over):
    real = FakeHost(answer=lambda _argv: "")
    host = tenured(real, over)
    uses = [
        lambda: host.run(["rm", "/x"]),
        lambda: host.write("/x", "y"),
        lambda: host.read("/x"),
        lambda: host.stat("/x"),
        lambda: host.list("/x"),
        lambda: host.http("/run/x"),
    ]
    for use in uses:
        with pytest.raises(Overdue, match="its time is over, and it may not"):
            use()
    assert (real.calls, real.files) == ([], {})


def test_a_session_that_was_opened_before_is_refused_afterwards():
    asked = []
    real = FakeHost(sockets={"/run/x": lambda request: (200, asked.append(request.url) or {})})
    tenure = _tenure(60)
    session = tenured(real, tenure).http("/run/x")
    assert session.get("http://localhost/a", timeout=5).json() == {}
    tenure.end()
    with pytest.raises(Overdue, match="may not GET /b"):
        session.get("http://localhost/b", timeout=5)
    assert asked == ["http://localhost/a"]


def test_a_disk_that_was_opened_before_is_refused_afterwards():
    """Whoever holds it open could wipe it behind an undo's back."""
    zeroed = []
    device = SimpleNamespace(size=7, zero=zeroed.append, read=lambda _at, _count: b"x")

    class WithDisk(FakeHost):
        @contextmanager
        def device(self, _path, *, seconds):
            given.append(seconds)
            yield device

    given, tenure = [], _tenure(10)
    with tenured(WithDisk(), tenure).device("/dev/sdb") as held:
        assert (held.size, held.read(0, 1)) == (7, b"x")
        tenure.end()
        with pytest.raises(Overdue, match="may not zero /dev/sdb any more"):
            held.zero([(0, 1)])
    assert zeroed == []
    assert 9 < given[0] <= 10


def test_a_context_refuses_everything_afterwards(world, lane, step, over):
    one = step("a")
    own = lane(one)
    around = world.around(own)
    reports = []
    around.report = lambda key, text: reports.append((key, text))
    ctx = Context(around, own, one, doing="run", tenure=over)
    refused = [
        lambda: ctx.keep("before", "x"),
        lambda: ctx.apply(b"x"),
        lambda: ctx.report("x"),
        lambda: ctx.secret("x"),
        lambda: ctx.wait(lambda: None, what="it"),
        lambda: ctx.host.write("/x", "y"),
    ]
    for one in refused:
        with pytest.raises(Overdue):
            one()
    assert (world.lines(), reports, world.host.files) == ([], [], {})


def test_commands_have_no_more_time_than_is_left():
    given = []

    class Counting(FakeHost):
        def run(self, argv, *, seconds=60, **_how):
            given.append(seconds)
            return Result(0, "", "")

    host = tenured(Counting(stretch=2.0), _tenure(10, stretch=2.0))
    host.run(["mkfs"], seconds=3600)
    host.run(["true"], seconds=3)
    assert 9 < given[0] <= 10
    assert given[1] == 3


def test_a_command_in_hand_comes_to_its_end_before_the_wait_for_it_ends(monkeypatch):
    """Or it would go on behind an undo's back."""
    monkeypatch.setattr("mcloud.calls.ORDERLY", 10.0)
    told = []

    def slow(argv):
        time.sleep(4 * SHORT)
        told.append(argv)
        return ""

    tenure = _tenure()
    host = tenured(FakeHost(answer=slow), tenure)

    def twice():
        host.run(["first"])
        host.run(["second"])

    with pytest.raises(Overdue, match="may not run second"):
        within(twice, tenure)
    assert told == [("first",)]


# ---- steps ---------------------------------------------------------------------------------------------


def _failure(raised):
    (failure,) = raised.value.exceptions
    return failure


def test_a_run_that_hangs_fails_with_plugin_hook_step_and_machine(world, lane, step, hang):
    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=hang, seconds=SHORT)))
    failure = _failure(raised)
    assert str(failure).startswith("n1: fruit a (run in join) did not come back within 0.3 s")
    assert (failure.plugin, failure.__notes__) == ("fruit", ["join/fruit/n1/n1/a"])
    assert world.lines() == [("started", "a"), ("failed", "a")]


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_probe_that_hangs_fails(world, lane, step, hang, monkeypatch, where):
    monkeypatch.setattr("mcloud.preview.LOOKING", SHORT)
    looks = []

    def probe(ctx):
        looks.append(True)
        if len(looks) > (where == "after"):
            hang()

    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", probe=probe)))
    assert "n1: fruit a (probe in join) did not come back" in str(_failure(raised))


def test_what_hangs_takes_nobody_along(world, lane, step, hang, deeds):
    with pytest.raises(RunFailed):
        world.run(lane(step("a", run=hang, seconds=SHORT)), lane(step("b"), plugin="other"))
    assert "run b" in deeds


def test_a_step_that_wakes_up_behind_an_undo_changes_nothing(world, lane, step, hang):
    said, done = [], threading.Event()

    def sleeper(ctx):
        ctx.keep("before", "nothing")
        ctx.host.write("/early", "x")
        hang()
        for use in (lambda: ctx.host.write("/late", "x"), lambda: ctx.keep("late", "x")):
            try:
                use()
            except PluginError as error:
                said.append(str(error))
        done.set()

    own = lane(step("a", run=sleeper, undo=lambda ctx: ctx.host.write("/early", None), seconds=SHORT))
    with pytest.raises(RunFailed):
        world.run(own)
    assert undo(world.around(own)).left == {}
    hang.wake_up()
    assert done.wait(5)
    assert [text.partition("may not ")[2] for text in said] == [
        "write /late any more",
        "keep something any more",
    ]
    assert world.host.files == {}
    assert world.journal().has("reverted")


def test_an_undo_that_hangs_is_left_and_the_walk_goes_on(world, lane, step, hang):
    own = lane(step("a"), step("b", undo=hang, seconds=SHORT))
    world.run(own)
    undone = undo(world.around(own))
    assert list(undone.left) == ["join/fruit/n1/n1/b"]
    assert "n1: fruit b (undo in join) did not come back" in undone.left["join/fruit/n1/n1/b"]
    assert undone.taken_back == ("join/fruit/n1/n1/a",)


def test_stop_ends_a_run_whose_step_hangs(world, lane, step, hang):
    execution = Execution(world.around(lane(step("a", run=hang))), watch=world.happenings.append)
    threading.Timer(0.1, execution.stop).start()
    with pytest.raises(RunFailed) as raised:
        execution.run("enter")
    assert "n1: fruit a (run in join) went on for too long after the stop" in str(_failure(raised))


def test_ctrl_c_ends_a_run_whose_step_hangs(world, lane, step, hang):
    """As the signal's handler raises it, in the thread that waits."""
    execution = Execution(world.around(lane(step("a", run=hang))), watch=world.happenings.append)
    hear, heard = execution._hear, []

    def interrupted(*given):
        if not heard and hang.hanging:
            heard.append(True)
            raise KeyboardInterrupt
        hear(*given)

    execution._hear = interrupted
    with pytest.raises(KeyboardInterrupt):
        execution.run("enter")
    assert world.lines()[-1] == ("failed", "a")


def test_a_failing_command_at_the_deadline_is_the_deadlines(world, lane, step):
    def run(ctx):
        time.sleep(1.5 * SHORT)
        raise CommandError("killed at its deadline")

    with pytest.raises(RunFailed) as raised:
        world.run(lane(step("a", run=run, seconds=SHORT)))
    assert "n1: fruit a (run in join) was not done after 0.3 s: killed at its deadline" in str(
        _failure(raised)
    )

"""What a step is given, and what it is refused."""

import itertools
import threading

import pytest
from pydantic import SecretStr

from mcloud import JoinToken, PluginError, ServiceError
from mcloud.context import Context, read_offers, write_offers
from mcloud.headway import Headway
from mcloud.plan import Gate


@pytest.fixture
def context(world, lane, step):
    """Return a maker of contexts of one step; `around` is what it is in."""

    def make(*, doing="run", more=(), **given):
        one = step("a", **given)
        own = lane(*more, one)
        around = world.around(own)
        made = Context(around, own, one, doing=doing)
        made.around = around
        return made

    return make


def test_keep_is_written_before_it_returns_and_the_first_one_wins(context, world):
    ctx = context()
    assert ctx.keep("before", "first") == "first"
    assert world.journal().kept("join/fruit/n1/n1/a", "before") == (True, "first")
    assert ctx.keep("before", "second") == "first"
    assert ctx.kept("before") == "first"


def test_nothing_kept_and_kept_nothing_are_two_things(context):
    ctx = context()
    assert ctx.kept("before") is None
    assert not ctx.has_kept("before")
    ctx.keep("before", None)
    assert ctx.kept("before") is None
    assert ctx.has_kept("before")


@pytest.mark.parametrize("doing", ["probe", "undo"])
def test_only_run_keeps(context, doing):
    with pytest.raises(PluginError, match=f"keeps something while it is in its {doing}"):
        context(doing=doing).keep("before", "x")


def test_a_secret_is_not_kept(context, world):
    world.known.add("tulip-hammer")
    with pytest.raises(PluginError):
        context().keep("password", "tulip-hammer")


def test_offers_of_other_kinds_are_refused(context, apple):
    with pytest.raises(PluginError, match="asks for Apple, which it neither needs nor wants"):
        context().offers(apple)


def test_undo_may_ask_for_all_offers(context, apple):
    assert context(doing="undo").offers(apple) == ()


def test_offers_are_all_of_a_kind_in_order(context, step, apple):
    ctx = context(
        wants=(apple,), more=(step("one", seen=[apple()]), step("two", seen=[apple(color="green")]))
    )
    ctx.around.board.put("join/fruit/n1/n1/one", [apple()])
    ctx.around.board.put("join/fruit/n1/n1/two", [apple(color="green")])
    assert [offer.color for offer in ctx.offers(apple)] == ["red", "green"]


def test_the_token_of_the_own_lane(context):
    ctx = context(needs=(JoinToken,), more=(Gate(name="token", offers=(JoinToken,)),))
    with pytest.raises(PluginError, match="no token yet"):
        _ = ctx.token
    ctx.around.board.put("join/fruit/n1/n1/token", [JoinToken(value="the token")])
    assert ctx.token.get_secret_value() == "the token"


def test_a_request_goes_the_way_of_the_lane(context, world):
    ctx = context()
    ctx.apply(b"\x00certificate request")
    assert world.journal().kept("join/fruit/n1/n1", "applied") == (True, b"\x00certificate request".hex())
    assert ctx.request == b""
    ctx.around.requests["join/fruit/n1/n1"] = b"from the joiner"
    assert ctx.request == b"from the joiner"


def test_a_request_has_a_limit(context):
    context().apply(b"x" * 65536)
    with pytest.raises(PluginError, match="too long"):
        context().apply(b"x" * 65537)


def test_secrets_are_the_own_plugins(context, world):
    world.secrets = {"fruit": {"password": SecretStr("tulip")}, "other": {"key": SecretStr("rose")}}
    ctx = context()
    assert ctx.secret("password").get_secret_value() == "tulip"
    assert ctx.secret("key") is None


def test_facts_are_the_own_plugins(context, apple, pear):
    ctx = context()
    ctx.around.facts.update({("fruit", "n2"): (apple(),), ("other", "n2"): (pear(),)})
    assert ctx.facts("n2") == (apple(),)
    assert ctx.facts("n3") == ()


# ---- waiting -------------------------------------------------------------------------------------------


def test_wait_returns_what_it_was_waiting_for(context):
    seen = iter([None, None, "there"])
    assert context().wait(lambda: next(seen), what="it") == "there"


def test_false_and_empty_are_something(context):
    assert context().wait(lambda: 0, what="it") == 0


def test_wait_gives_up_and_says_what_for(context):
    with pytest.raises(ServiceError, match="still waiting for a quorum") as raised:
        context().wait(lambda: None, what="a quorum", patience=0.05)
    assert "own log" in raised.value.hint


def test_wait_names_the_last_answer(context):
    def look():
        raise ServiceError("connection refused")

    with pytest.raises(ServiceError, match=r"still waiting for it .*last answer: connection refused"):
        context().wait(look, what="it", patience=0.05)


def test_wait_bears_a_service_that_is_not_there_yet(context):
    answers = iter([ServiceError("not yet"), ServiceError("not yet"), "there"])

    def look():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert context().wait(look, what="it") == "there"


def test_other_errors_end_a_wait(context):
    def look():
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        context().wait(look, what="it")


def test_the_time_starts_anew_with_progress(context):
    """Eight looks take longer than the patience, as the pauses between them grow."""
    looks, figures = iter([None] * 7 + ["there"]), iter(range(10**6))
    found = context().wait(lambda: next(looks), what="it", patience=0.4, progress=lambda: next(figures))
    assert found == "there"


def test_without_progress_it_ends(context):
    with pytest.raises(ServiceError, match="without progress"):
        context().wait(lambda: None, what="it", patience=0.05, progress=lambda: 42)


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param(
            [frozenset({"10.0.0.2"}), frozenset({"10.0.0.3"})], id="who is missing, of cloned machines"
        ),
        pytest.param([("SLOW_OPS",), ()], id="a warning that comes and goes"),
        pytest.param([3, 2], id="a count that falls and rises"),
        pytest.param([float("nan")], id="no number at all"),
        pytest.param([True, False], id="yes and no"),
    ],
)
def test_what_comes_and_goes_is_no_progress(context, figures):
    """Each of them once, and never again."""
    changing = itertools.cycle(figures)
    with pytest.raises(ServiceError, match=r"still waiting for it after \d+ s without progress"):
        context().wait(lambda: None, what="it", patience=0.3, progress=lambda: next(changing), most=600)


def test_there_is_an_end_however_much_gets_on(context):
    counting = itertools.count()
    with pytest.raises(ServiceError, match="still waiting for it after 1 s in all"):
        context().wait(lambda: None, what="it", patience=0.4, progress=lambda: next(counting), most=1.0)


def test_that_end_is_ten_patiences_if_nothing_is_said():
    now = [0.0]
    headway = Headway(6, clock=lambda: now[0])
    for second in range(60):
        now[0] = float(second)
        headway.note(second)
        assert not headway.over
    now[0] = 60.5
    headway.note(61)
    assert headway.over == "60 s in all"


def test_a_figure_that_cannot_be_had_is_no_progress(context):
    def progress():
        raise ServiceError("no figure")

    with pytest.raises(ServiceError, match="without progress"):
        context().wait(lambda: None, what="it", patience=0.05, progress=progress)


def test_stopping_ends_a_wait_at_once(context):
    ctx = context()
    threading.Timer(0.05, ctx.around.stopping.set).start()
    with pytest.raises(ServiceError, match="stopped while waiting for it"):
        ctx.wait(lambda: None, what="it", patience=60)


# ---- offers on paper -----------------------------------------------------------------------------------


def test_offers_come_back_as_they_were_written(apple, pear):
    offers = (apple(color="green"), pear())
    assert read_offers(write_offers(offers), (apple, pear)) == offers


def test_kinds_of_a_newer_version_are_left_out(apple, pear):
    assert read_offers(write_offers([apple(), pear()]), (pear,)) == (pear(),)

"""A plan exists only if its order holds."""

import pytest

from mcloud import JoinToken, PlanError, Step
from mcloud.plan import STAGES, Gate, Plan, refuse_more_losses


def _graph(plan, stage="enter"):
    """Return who waits for whom, by names."""
    return {
        key.rpartition("/")[2]: {other.rpartition("/")[2] for other in before}
        for key, before in plan.graph(stage).items()
    }


def test_steps_of_a_lane_run_as_they_are_yielded(lane, step):
    plan = Plan("n1", (lane(step("a"), step("b"), step("c")),))
    assert _graph(plan) == {"a": set(), "b": {"a"}, "c": {"b"}}


def test_lanes_do_not_wait_for_each_other(lane, step):
    plan = Plan("n1", (lane(step("a"), plugin="one"), lane(step("b"), plugin="two")))
    assert _graph(plan) == {"a": set(), "b": set()}


def test_a_step_waits_for_all_makers_of_what_it_wants(lane, step, apple):
    plan = Plan(
        "n1",
        (
            lane(step("one", seen=[apple()]), plugin="one"),
            lane(step("two", seen=[apple()]), plugin="two"),
            lane(step("eat", wants=(apple,)), plugin="eater"),
        ),
    )
    assert _graph(plan)["eat"] == {"one", "two"}


def test_wanting_what_nobody_makes_is_no_matter(lane, step, apple):
    assert _graph(Plan("n1", (lane(step("eat", wants=(apple,))),)))["eat"] == set()


def test_needing_what_nobody_makes_is_no_plan(lane, step, apple, pear):
    with pytest.raises(PlanError, match=r"eat needs Apple; .*drink needs Pear") as raised:
        Plan("n1", (lane(step("eat", needs=(apple,)), step("drink", needs=(pear,))),))
    assert "switch on a service" in raised.value.hint


def test_makers_of_an_earlier_stage_have_come_to_their_end(lane, step, apple):
    plan = Plan(
        "n1",
        (
            lane(step("make", seen=[apple()]), stage="enter"),
            lane(step("eat", needs=(apple,)), stage="configure", hook="configure"),
        ),
    )
    assert _graph(plan, "configure")["eat"] == set()


def test_makers_of_a_later_stage_come_too_late(lane, step, apple):
    with pytest.raises(PlanError, match="eat needs Apple"):
        Plan(
            "n1",
            (
                lane(step("make", seen=[apple()]), stage="configure", hook="configure"),
                lane(step("eat", needs=(apple,)), stage="enter"),
            ),
        )


def test_steps_that_wait_for_each_other_are_named(lane, step, apple, pear):
    with pytest.raises(PlanError, match="these steps wait for each other") as raised:
        Plan(
            "n1",
            (
                lane(step("chicken", seen=[apple()], wants=(pear,)), plugin="one"),
                lane(step("egg", seen=[pear()], wants=(apple,)), plugin="two"),
            ),
        )
    assert "join/one/n1/n1/chicken" in str(raised.value)
    assert "join/two/n1/n1/egg" in str(raised.value)


def test_a_cycle_over_the_order_of_a_lane_is_one(lane, step, apple):
    with pytest.raises(PlanError, match="wait for each other"):
        Plan(
            "n1",
            (
                lane(step("first", wants=(apple,)), step("second"), plugin="one"),
                lane(step("other", seen=[apple()], wants=()), plugin="two"),
                lane(step("third", seen=[apple()], wants=(apple,)), plugin="three"),
            ),
        )


def test_two_steps_of_one_name_are_refused(lane, step):
    with pytest.raises(PlanError, match="two steps are called join/fruit/n1/n1/a"):
        Plan("n1", (lane(step("a"), step("a")),))


def test_a_token_is_seen_in_its_own_lane_only(lane, step):
    gate = Gate(name="token", offers=(JoinToken,))
    plan = Plan("n1", (lane(gate, step("in", needs=(JoinToken,))),))
    assert _graph(plan)["in"] == {"token"}
    with pytest.raises(PlanError, match="in needs JoinToken"):
        Plan("n1", (lane(gate, plugin="one"), lane(step("in", needs=(JoinToken,)), plugin="two")))


@pytest.mark.parametrize(
    "sinner",
    [
        {"probe": None},
        {"offers": (JoinToken,)},
    ],
    ids=["nobody can see it", "what is seen must not be written"],
)
def test_steps_that_nobody_could_verify_are_refused(lane, step, sinner):
    with pytest.raises(PlanError, match="probe"):
        Plan("n1", (lane(step("a", **sinner)),))


def test_volatile_offers_stand_alone(lane, step, apple):
    with pytest.raises(PlanError, match="volatile kinds beside others"):
        Plan("n1", (lane(step("a", offers=(apple, JoinToken))),))


def test_losses_are_told(lane, step):
    plan = Plan("n1", (lane(step("a", destroys=("all on sdb",)), step("b", destroys=("all on sdc",))),))
    assert plan.destroys() == ("all on sdb", "all on sdc")


def test_a_smaller_roster_may_lose_less_and_not_more(lane, step):
    small = Plan("n1", (lane(step("a", destroys=("sdb",))),))
    large = Plan("n1", (lane(step("a", destroys=("sdb",)), step("b", destroys=("sdc",))),))
    refuse_more_losses(small, confirmed=large)
    with pytest.raises(PlanError, match="sdc"):
        refuse_more_losses(large, confirmed=small)


ROSTER = [("n1", "founder"), ("n2", "joiner")]


def test_the_digest_is_the_same_for_the_same(lane, step):
    plans = [Plan("n1", (lane(step("a"), step("b")),)) for _ in range(2)]
    assert plans[0].digest("inputs", ROSTER) == plans[1].digest("inputs", ROSTER)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "b"},
        {"destroys": ("all",)},
        {"stage": "adapt"},
        {"inputs": "x"},
        {"roster": ROSTER[:1]},
        {"wants": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_tells_what_a_person_confirms(lane, step, apple, change):
    def digest(*, name="a", destroys=(), stage="enter", inputs="inputs", roster=ROSTER, wants=0):
        one = step(name, destroys=destroys, wants=(apple,) if wants else ())
        return Plan("n1", (lane(one, stage=stage),)).digest(inputs, roster)

    assert digest() != digest(**change)


def test_stages_come_in_their_order():
    assert STAGES == ("found", "enter", "configure", "adapt", "close")


def test_a_step_is_found_by_its_key(lane, step):
    plan = Plan("n1", (lane(step("a"), about="n2", hook="issue_token"),))
    (key,) = plan.steps
    assert key == "issue_token/fruit/n1/n2/a"
    assert isinstance(plan.steps[key][1], Step)

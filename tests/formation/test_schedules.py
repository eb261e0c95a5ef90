"""Random schedules of bad luck, each resumed until there is a cloud, or taken back and begun anew."""

import pytest
from breaking import Broken, Fault
from fuzz import BUDGET
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from trying import EVERYTHING, try_all

TRIED = []
STEPS = ("found", "packages", "enter", "pool", "adapt")


@st.composite
def faults(draw, machines):
    """Draw one thing that goes wrong."""
    at = draw(st.sampled_from(["line", "use", "to", "from"]))
    name = f"n{draw(st.integers(2 if at in {'to', 'from'} else 1, machines))}"
    number = draw(st.integers(1, 24 if at == "line" else 40))
    if at == "line":
        return Fault(
            machine=name, at=at, number=number, how=draw(st.sampled_from(["before", "torn", "after"]))
        )
    if at == "use":
        return Fault(machine=name, at=at, number=number)
    how = draw(st.sampled_from(["lost", "after", "drop"]))
    kills = draw(st.sampled_from(["", "", "n1", *(f"n{one}" for one in range(2, machines + 1))]))
    return Fault(machine=name, at=at, number=number, how=how, kills=kills)


@st.composite
def schedules(draw):
    """Draw how many machines there are, what goes wrong, and what people do about it."""
    machines = draw(st.integers(2, 4))
    step = st.tuples(
        st.sampled_from([f"n{one}" for one in range(1, machines + 1)]),
        st.sampled_from(STEPS),
        st.sampled_from(["before", "after"]),
    )
    return {
        "machines": machines,
        "faults": draw(st.lists(faults(machines), max_size=5)),
        "fails": draw(st.dictionaries(step, st.integers(1, 2), max_size=2)),
        "others": draw(st.sampled_from(["go-on", "stop"])),
        "then": draw(st.sampled_from(["resume", "resume", "undo"])),
        "order": draw(st.permutations([f"n{one}" for one in range(1, machines + 1)])),
    }


def follow(schedule):
    """Have it all happen, and look whether all holds that must."""
    made = {key: schedule[key] for key in ("machines", "faults", "fails", "others")}
    with Broken(**made, patience=2.5) as broken:
        if schedule["then"] == "undo":
            broken.once()
        else:
            broken.resume()
            broken.check_cloud()
        broken.undo(schedule["order"])
        broken.check_nothing()
        broken.calm()
        broken.form_anew()
        TRIED.append(len(broken.happened) + len(broken.killed))


@pytest.mark.timeout(3000 if EVERYTHING else 90)
@settings(
    max_examples=max(1, int(3 * BUDGET)),
    derandomize=BUDGET <= 1,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # What fails is told as it is: to make it smaller would take minutes.
    phases=[Phase.generate],
    database=None,
)
@given(batch=st.lists(schedules(), min_size=8, max_size=8))
def test_random_schedules(batch):
    try_all(batch, follow)


def test_schedules_were_tried():
    """Say how many there were, and that things did go wrong in them."""
    print(f"\nrandom schedules: {len(TRIED)}, with {sum(TRIED)} things that went wrong (budget {BUDGET:g})")
    assert sum(TRIED) >= len(TRIED) > 0

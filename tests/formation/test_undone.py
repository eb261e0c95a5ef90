"""Taken back from every state, in any order, by an undo that is killed itself; then formed anew."""

import itertools

import pytest
from breaking import Broken, Fault
from trying import EVERYTHING, try_all, undisturbed

MOMENTS = ("before", "torn", "after")
UNDO_LINES = 9
"""More lines than an undo of one machine writes."""


@pytest.mark.timeout(900 if EVERYTHING else 60)
def test_undone_from_every_state():
    there = undisturbed(3)
    orders = itertools.cycle(itertools.permutations(("n1", "n2", "n3")))
    turn = itertools.cycle(MOMENTS)
    cases = []
    for name, at in [(name, at) for name in ("n1", "n2") for at in ("line", "use")]:
        for number in range(1, there[name, at] + 1):
            how = "before" if at == "use" else next(turn)
            fault = Fault(machine=name, at=at, number=number, how=how)
            cases += [(fault, next(orders)) for _ in range(6 if EVERYTHING else 1)]
    if not EVERYTHING:
        cases = cases[::3]

    def attempt(case):
        fault, order = case
        with Broken(3, [fault], patience=5.0) as broken:
            broken.once()
            assert broken.killed == [fault.machine]
            broken.undo(order)
            broken.check_nothing()
            broken.form_anew()

    print(f"\nkilled, undone and formed anew: {try_all(cases, attempt)} states")


@pytest.mark.timeout(900 if EVERYTHING else 60)
def test_an_undo_that_is_killed_is_typed_again():
    cases, killed = [], []
    for name, number, half in itertools.product(("n1", "n2"), range(1, UNDO_LINES + 1), (True, False)):
        moments = MOMENTS if EVERYTHING else (MOMENTS[number % 3],)
        cases += [(name, number, how, half) for how in moments]

    def attempt(case):
        name, number, how, half = case
        faults = [Fault(machine="n2", at="line", number=11)] if half else []
        with Broken(2, faults, patience=5.0) as broken:
            broken.once()
            broken.killed.clear()
            broken.faults.append(Fault(machine=name, at="line", number=number, how=how))
            broken.undo(("n2", "n1") if number % 2 else ("n1", "n2"))
            killed.extend(broken.killed)
            broken.check_nothing()
            broken.form_anew()

    tried = try_all(cases, attempt)
    print(f"\nundo killed and typed again: {tried} tried, {len(killed)} were killed")
    assert len(killed) > tried / 2

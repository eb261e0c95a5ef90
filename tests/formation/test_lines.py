"""Three machines; one loses its power at any line of its journal or use of its host; then resumed."""

import itertools

import pytest
from breaking import Broken, Fault
from trying import EVERYTHING, try_all, undisturbed

MOMENTS = ("before", "torn", "after")


@pytest.mark.timeout(900 if EVERYTHING else 60)
def test_killed_anywhere_and_resumed():
    there = undisturbed(3)
    cases = []
    turn = itertools.cycle(MOMENTS)
    for name, at in [(name, at) for name in ("n1", "n2", "n3") for at in ("line", "use")]:
        for number in range(1, there[name, at] + 1):
            if at == "use":
                cases.append(Fault(machine=name, at=at, number=number))
            else:
                moments = MOMENTS if EVERYTHING else (next(turn),)
                cases += [Fault(machine=name, at=at, number=number, how=how) for how in moments]
    if not EVERYTHING:
        # At each line of two machines: test_killed.py.
        cases = [case for case in cases if case.machine != "n3"][::2]

    def attempt(fault):
        with Broken(3, [fault]) as broken:
            broken.resume()
            assert broken.killed == [fault.machine]
            assert broken.check_cloud() == {"n1", "n2", "n3"}

    print(f"\nkilled and resumed: {try_all(cases, attempt)} kill points")

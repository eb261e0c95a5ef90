"""The wire cut at every message, on its way or on its arrival, with the processes living on or killed."""

import itertools

import pytest
from breaking import Broken, Fault
from trying import EVERYTHING, try_all, undisturbed

WAYS = list(itertools.product(("lost", "after"), ("", "n1", "n2")))
"""Whether the message arrives, and who loses its power with it."""


@pytest.mark.timeout(900 if EVERYTHING else 60)
def test_cut_at_every_message_and_resumed():
    there = undisturbed(2)
    cases, turn = [], itertools.cycle([WAYS[0], WAYS[4], WAYS[2], WAYS[3], WAYS[1], WAYS[5]])
    for at in ("to", "from"):
        for number in range(1, there["n2", at] + 1):
            cases += [
                Fault(machine="n2", at=at, number=number, how=how, kills=kills)
                for how, kills in (WAYS if EVERYTHING else (next(turn),))
            ]
    reached = []

    def attempt(fault):
        with Broken(2, [fault]) as broken:
            broken.resume()
            reached.extend(broken.happened)
            assert broken.check_cloud() == {"n1", "n2"}

    print(f"\ncut and resumed: {try_all(cases, attempt)} cuts, {len(reached)} of them reached")
    # The last ones are goodbyes, of which there may be fewer on a busy machine.
    assert len(reached) > 0.9 * len(cases)

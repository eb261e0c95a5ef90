"""What other machines say of their steps is bounded, whatever they say and however often."""

import pytest

from mcloud.errors import ProtocolError
from mcloud.hearsay import FLOOD, REPORTS, STEPS, TIMES, Hearsay
from mcloud.watch import Happening


def _said(what="done", *, step="a", machine="n3", text=""):
    return Happening(
        machine=machine, plugin="fruit", hook="join", about=machine, step=step, what=what, text=text
    )


@pytest.fixture
def notices():
    return []


@pytest.fixture
def hearsay(notices):
    return Hearsay(notices.append)


def test_what_an_honest_joiner_says_is_shown(hearsay, notices):
    for number in range(60):
        for what in ("started", "report", "done"):
            assert hearsay.heeds(_said(what, step=f"step-{number}"))
    assert notices == []
    assert hearsay.ended("n3") == 60


def test_the_same_is_shown_so_often_and_no_more(hearsay, notices):
    shown = [hearsay.heeds(_said("undone")) for _ in range(1000)]
    assert (sum(shown), shown[:TIMES]) == (TIMES, [True] * TIMES)
    assert notices == ["n3 says more than can be shown: some of it is left out"]
    assert hearsay.ended("n3") == 1


def test_names_that_are_invented_have_an_end(hearsay):
    shown = sum(hearsay.heeds(_said(step=f"step-{number}")) for number in range(5000))
    assert shown == hearsay.ended("n3") == STEPS


def test_lines_of_progress_are_so_many_and_no_more(hearsay, notices):
    """How fast they come is another's business: `session/talk.py`."""
    shown = sum(hearsay.heeds(_said("report", text=str(number))) for number in range(3 * REPORTS))
    assert shown == REPORTS
    assert notices == []


def test_one_machines_flood_takes_nothing_from_another(hearsay):
    for _ in range(1000):
        hearsay.heeds(_said())
    assert hearsay.heeds(_said(machine="n2"))
    assert hearsay.ended("n2") == 1


def test_a_flood_is_no_honest_joiner(hearsay):
    def flood():
        for _ in range(FLOOD + TIMES + 1):
            hearsay.heeds(_said("undone"))

    with pytest.raises(ProtocolError, match="n3 says more of its steps than there can be to say"):
        flood()

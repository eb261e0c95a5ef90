"""Whom a run waits for, and until when: who is away, who left, and who is there and does not get on."""

from types import SimpleNamespace

import pytest

from mcloud.minding import BESIDE, Minding

PATIENCE = 60.0
LONGEST = 100.0
LIMIT = LONGEST + BESIDE


class Session:
    """One joiner, n3, as the initiator knows it, and a clock."""

    def __init__(self):
        self.now, self.ended, self.out = 0.0, 0, []
        self.guest = SimpleNamespace(
            name="n3", fingerprint="3" * 64, standing="here", reason="", said={"go enter"}, asked=set(),
            tokens={}, done=set(), entering=True, outlook=object(),
        )  # fmt: skip
        lobby = SimpleNamespace(all=lambda: [self.guest])
        self.initiator = SimpleNamespace(
            lobby=lobby, phase="enter", farewell=None, start=SimpleNamespace(inputs=None)
        )
        self.inputs = SimpleNamespace(joiners=[SimpleNamespace(fingerprint="3" * 64)])
        hosting = SimpleNamespace(
            inputs=self.inputs,
            longest={"n3": LONGEST},
            hearsay=SimpleNamespace(ended=lambda _name: self.ended),
            cut_off=lambda guest, reason: self.out.append((guest.name, reason)),
        )
        self.minding = Minding(self.initiator, hosting, patience=PATIENCE, clock=lambda: self.now)

    def after(self, seconds):
        """Look once, and once more after so many seconds; return who was cut off, and why."""
        self.minding.look()
        self.now += seconds
        self.minding.look()
        return self.out


@pytest.fixture
def session():
    return Session()


def test_one_that_is_there_and_says_nothing_is_cut_off_in_the_end(session):
    assert session.after(LIMIT - 1) == []
    assert session.after(2) == [("n3", f"it is there, but came to the end of no step for {LIMIT:.0f} s")]
    assert session.guest.standing == "failed"


def test_each_step_that_ends_renews_the_patience(session):
    for _ in range(5):
        session.ended += 1
        assert session.after(LIMIT - 1) == []
    assert session.after(2) != []


def test_one_that_waits_for_us_is_not_to_blame(session):
    session.guest.asked = {"lxd"}
    assert session.after(100 * LIMIT) == []
    session.guest.tokens = {"lxd": "x"}
    assert session.after(LIMIT - 1) == []
    assert session.after(2) != []


@pytest.mark.parametrize(
    "idle",
    [
        {"said": set()},
        {"done": {"enter"}, "entering": False},
    ],
    ids=["not told to go", "in already"],
)
def test_one_that_has_nothing_to_do_may_be_silent(session, idle):
    vars(session.guest).update(idle)
    assert session.after(100 * LIMIT) == []


def test_one_that_came_back_and_does_not_show_its_plan_is_cut_off(session):
    session.guest.outlook = None
    assert session.after(LIMIT - 1) == []
    assert session.after(2) != []


def test_another_stage_is_another_part(session):
    assert session.after(LIMIT - 1) == []
    session.initiator.phase, session.guest.said = "adapt", {"go adapt"}
    assert session.after(LIMIT - 1) == []
    assert session.after(2) != []


@pytest.mark.parametrize("standing", ["away", "trusted", "refused"])
def test_one_that_is_not_there_is_waited_for_so_long(session, standing):
    session.guest.standing = standing
    assert session.after(PATIENCE - 1) == []
    assert session.after(2) == [("n3", "nothing was heard of it for 60 s")]


def test_one_that_was_away_and_is_back_has_the_whole_patience_again(session):
    session.guest.standing = "away"
    assert session.after(PATIENCE - 1) == []
    session.guest.standing = "here"
    assert session.after(1) == []
    session.guest.standing = "away"
    assert session.after(PATIENCE - 1) == []


def test_one_that_left_is_cut_off_at_once_with_its_own_words(session):
    session.guest.standing, session.guest.reason = "parted", "stopped by its operator"
    assert session.after(0)[0] == ("n3", "stopped by its operator")


def test_one_that_is_not_in_the_roster_is_nobodys_business(session):
    """It fell out before, and may be let in later."""
    session.inputs.joiners.clear()
    for standing in ("here", "away", "refused", "parted"):
        session.guest.standing = standing
        assert session.after(100 * LIMIT) == []
        assert session.guest.standing == standing

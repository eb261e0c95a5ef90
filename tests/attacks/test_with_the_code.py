"""Who has the code, but not the key of the certificate that he names: he is nobody, and renames nobody."""

from honest import N2, N3, join, joiner, seat
from kit import HIS, WORDS, guess_as_joiner

from mcloud import errors

RIGHT = WORDS[0]


def test_somebody_elses_certificate_without_its_key_is_not_pinned():
    with seat() as here:
        guess_as_joiner(here.port, RIGHT, own=N3, key=HIS)
        refused = here.outcome()
        assert isinstance(refused, errors.ProtocolError)
        assert "does not hold the key" in str(refused)
        assert here.pinned == []
        assert here.book.failures == 0, "the code was right"


def test_a_machine_that_is_away_is_not_renamed_by_who_shows_its_certificate():
    """Else the initiator waits for ever for a machine that nobody is any more."""
    with seat() as here:
        join(here.port)
        assert here.outcome() is None
        (guest,) = here.initiator.lobby.all()
        guest.standing = "away"
        for taken in (False, True):
            if taken:
                here.initiator.lobby.choose(["n2"])
            guess_as_joiner(here.port, RIGHT, own=N2, key=HIS, name="n9")
            assert isinstance(here.outcome(), errors.ProtocolError)
            assert here.pinned == ["n2"]


def test_not_even_a_machine_itself_changes_its_name_once_it_is_taken():
    """It is in a roster by that name, and whoever waits for it, or cuts it off, goes by that."""
    with seat() as here:
        join(here.port, joiner(N2, name="n2"))
        here.outcome()
        join(
            here.port, joiner(N2, name="n5")
        )  # its operator gave it another one, and typed the command again
        here.outcome()
        assert here.pinned == ["n5"]
        here.initiator.lobby.choose(["n5"])
        join(here.port, joiner(N2, name="n9"))
        here.outcome()
        assert here.pinned == ["n5"]


def test_who_proves_it_with_the_right_key_is_pinned():
    """So that those above were refused for their keys."""
    with seat() as here:
        guess_as_joiner(here.port, RIGHT, own=N3, key=N3, name="n9")
        assert here.outcome() is None
        assert here.pinned == ["n9"]

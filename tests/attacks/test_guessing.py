"""Guessing: one guess an attempt, booked on the side attacked, and nothing to be found out offline.

The dictionary has the right words in it; each defence is taken out once, to show that the kit works.
"""

from contextlib import suppress
from copy import copy

import pytest
from honest import CODE, N1, N2, N3, join, joiner, meanwhile, seat
from kit import HIS, WORDS, Seen, Tap, guess_as_joiner, lying, middle, side, untouched
from mutants import mutant
from pydantic import SecretStr
from spake2.ed25519_basic import Base, L
from spake2.spake2 import DefaultParams

from mcloud import errors
from mcloud.session import guesses, trust
from mcloud.session.binding import binding_of
from mcloud.session.guesses import Tries

RIGHT, WRONG = WORDS[0], WORDS[1:]
N, M = 20_061_964, 31_415_926
"""Discrete logarithms that nobody knows of the real points: trapdoors of our own making."""


def trapdoored():
    """Return parameters whose trapdoors are known."""
    params = copy(DefaultParams)
    params.M, params.N = Base.scalarmult(M), Base.scalarmult(N)
    return params


def with_trapdoors(params):
    """Return the trust plugin, made with those parameters."""
    change = ("SPAKE2_A(_password(code), ", "SPAKE2_A(_password(code), params=PARAMS, ")
    return mutant(trust, change, PARAMS=params)


# ---- dialling in -------------------------------------------------------------------------------------------


def test_a_guess_is_one_word_and_booked():
    with seat() as here:
        for number, word in enumerate(WRONG, start=1):
            seen = guess_as_joiner(here.port, word)
            assert isinstance(here.outcome(), errors.TrustError)
            assert here.book.failures == number
            assert seen.confirmed == {}  # nothing to try a word on, the right one or another
        assert here.pinned == []
        guess_as_joiner(here.port, RIGHT)
        assert here.outcome() is None


def test_a_guess_without_a_confirmation_is_booked_all_the_same():
    with seat() as here:
        for number in (1, 2, 3):
            guess_as_joiner(here.port, RIGHT, confirm=False)
            assert here.outcome() is not None
            assert here.book.failures == number


def test_it_would_be_free_if_it_were_not_booked():
    free = mutant(guesses, ("self._booked += attempt.code is self._code", "pass"))
    with seat(book=free.GuessBook) as here:
        for word in WRONG:
            guess_as_joiner(here.port, word)
            here.outcome()
        assert here.book.failures == 0


def test_without_confirmation_any_word_would_do():
    change = (
        "if not hmac.compare_digest(channel.receive(), _confirmation(key, transcript, _JOINER_CONFIRMS)):",
        "if not channel.receive():",
    )
    with seat(trust=mutant(trust, change)) as here:
        guess_as_joiner(here.port, WRONG[0])
        assert here.outcome() is None
        assert here.pinned == ["n9"]


# ---- posing as the initiator -------------------------------------------------------------------------------


@pytest.mark.parametrize("guess", WRONG)
def test_what_a_false_initiator_saw_confirms_no_word(guess: str):
    tries = Tries()
    with lying(guess) as liar, pytest.raises(errors.TrustError):
        join(liar.port, tries=tries)
    assert tries.left == 2
    (seen,) = liar.seen
    assert set(seen.confirmed) == {"A"}
    assert seen.found() == []


def test_his_one_guess_may_be_right_and_he_knows():
    with lying(RIGHT) as liar:
        join(liar.port)
    assert liar.seen[0].found() == [RIGHT]


def test_with_a_trapdoor_he_would_find_the_word_offline():
    """The same attack on points whose logarithm is known: whoever chose them could find any code."""
    params = trapdoored()
    with lying(WRONG[0], params=params) as liar, pytest.raises(errors.TrustError):
        join(liar.port, joiner(trust=with_trapdoors(params)))
    (seen,) = liar.seen
    assert seen.found(params=params, trapdoor=N) == [RIGHT]
    assert seen.found(params=params) == []


def test_a_false_initiator_gets_three_guesses_over_all_beacons():
    tries = Tries()
    with lying(*WRONG, *WORDS) as one, lying(*WRONG, *WORDS) as other:
        for port in (one.port, other.port, one.port):
            with pytest.raises(errors.TrustError):
                join(port, tries=tries)
        assert tries.left == 0
        for port in (one.port, other.port):
            with pytest.raises(errors.TrustError, match="not used any more"):
                join(port, tries=tries)
        assert len(one.seen) + len(other.seen) == 3


def test_a_joiner_without_a_limit_would_be_asked_for_ever():
    endless = mutant(guesses, ("self._left -= 1", "pass")).Tries()
    with lying(*WRONG, *WRONG, *WRONG, RIGHT) as liar:
        for _ in range(9):
            with pytest.raises(errors.TrustError):
                join(liar.port, tries=endless)
        join(liar.port, tries=endless)


# ---- listening ---------------------------------------------------------------------------------------------


def test_who_only_listens_hears_nothing_he_could_use():
    with seat() as here, Tap(here.port) as tap:
        join(tap.port)
        assert here.outcome() is None
    for said in tap.bytes_seen.values():
        assert len(said) > 500
        for secret in (N1.der, N2.der, b"hello", *(word.encode() for word in WORDS)):
            assert secret not in said


def test_who_reads_all_and_has_the_right_words_confirms_none():
    """As if TLS did not exist: both shares and both confirmations of a good exchange lie before him."""
    seen = _overheard(trust)
    assert set(seen.confirmed) == {"A", "B"}
    assert seen.found() == []


def test_with_poor_randomness_he_would():
    poor = mutant(trust, ("SPAKE2_A(_password(code), ", "SPAKE2_A(_password(code), entropy_f=bytes, "))
    assert _overheard(poor).found() == [RIGHT]


def _overheard(joiners_trust) -> Seen:
    """Return what one hears who holds the initiator's own key, and only passes on."""
    with seat() as here, middle(here.port, credentials=N1, change=untouched) as ear:
        join(ear.port, joiner(trust=joiners_trust))
        assert here.outcome() is None
    said = {who: [message for by, message in ear.heard if by == who] for who in ("joiner", "initiator")}
    (hello_a, a, confirmed_a, _proof), (hello_b, b, confirmed_b) = said["joiner"], said["initiator"]
    binding = binding_of(
        initiator_hello=hello_b, joiner_hello=hello_a, server_certificate=N1.der, method="words"
    )
    return Seen(binding, a, b, {"A": confirmed_a, "B": confirmed_b}, played="A")


@pytest.mark.parametrize("which", ["A", "B"])
def test_a_share_is_as_likely_under_each_word(which: str):
    """For each word there is exactly one secret number under which it is the same share, to the byte."""
    params, blinding = trapdoored(), {"A": M, "B": N}[which]
    number = params.group.password_to_scalar
    shown = side(which, RIGHT, params=params)
    for word in WORDS:
        other = shown.xy_scalar + (number(RIGHT.encode()) - number(word.encode())) * blinding
        again = side(which, word, params=params, scalar=other)
        assert again.share == shown.share
    wrong = side(which, WRONG[0], params=params, scalar=shown.xy_scalar % L)
    assert wrong.share != shown.share


# ---- in the middle -----------------------------------------------------------------------------------------


def test_a_relay_costs_each_side_a_guess_and_tells_him_nothing():
    tries = Tries()
    with seat() as here, middle(here.port) as his:
        with pytest.raises(errors.TrustError):
            join(his.port, tries=tries)
        assert isinstance(here.outcome(), errors.TrustError)
        assert (here.book.failures, tries.left) == (1, 2)
        assert here.pinned == []
    hello_a, a, confirmed = [message for who, message in his.heard if who == "joiner"]
    hello_b, b, *rest = [message for who, message in his.heard if who == "initiator"]
    assert rest in ([], [b"refused"])  # no confirmation of the initiator's was to be had
    binding = binding_of(
        initiator_hello=his.change("initiator", 0, hello_b),
        joiner_hello=hello_a,
        server_certificate=HIS.der,
        method="words",
    )
    assert Seen(binding, a, b, {"A": confirmed}).found() == []


def test_a_guess_on_both_sides_at_once_is_booked_on_both():
    """He plays the initiator to the joiner and a joiner to the initiator, each with a guess."""
    tries = Tries()
    with seat() as here, lying(WRONG[0]) as liar:
        ended = meanwhile(lambda: join(liar.port, tries=tries))
        guess_as_joiner(here.port, WRONG[1])
        assert isinstance(here.outcome(), errors.TrustError)
        assert isinstance(ended(), errors.TrustError)
        assert (here.book.failures, tries.left) == (1, 2)
        assert liar.seen[0].found() == []


def test_an_honest_joiner_gets_in_after_all_that():
    with seat() as here:
        for word in WRONG:
            with suppress(errors.McloudError):
                guess_as_joiner(here.port, word)
            here.outcome()
        with pytest.raises(errors.TrustError):
            join(here.port, code=SecretStr(WRONG[2]))
        here.outcome()
        join(here.port, joiner(N3, name="n3"), code=CODE)
        assert here.outcome() is None
        assert here.pinned == ["n3"]


def test_the_kit_confirms_as_the_plugin_does():
    """Else all the attempts above would have failed for another reason."""
    with seat() as here:
        seen = guess_as_joiner(here.port, RIGHT)
        assert here.outcome() is None
    assert seen.found() == [RIGHT]

"""Guesses: counted when an answer goes out, taken back on success, slowed, and ended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from pydantic import SecretStr

from mcloud.errors import SettingsError, TrustError
from mcloud.session.guesses import GuessBook, Tries
from mcloud.session.tally import Tally

PHRASE = SecretStr("an operators own phrase")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stub:
    """A channel that has something to say and swallows what it is told."""

    def __init__(self) -> None:
        self.alive = True

    def send(self, message: bytes) -> None:
        pass

    def receive(self) -> bytes:
        return b"share"


def words() -> Callable[[], SecretStr]:
    made = iter(f"code {number}" for number in range(1, 100))
    return lambda: SecretStr(next(made))


def book(*, clock: Clock | None = None, renew: Callable[[], SecretStr] | None = None, **more) -> GuessBook:
    return GuessBook(SecretStr("code 0"), renew=renew or words(), clock=clock or Clock(), **more)


@contextmanager
def hangs_up() -> Iterator[None]:
    with suppress(ConnectionError):
        yield


def fail(guesses: GuessBook, source: str = "192.0.2.1", carrier: str = "") -> None:
    with hangs_up(), guesses.exchange(Stub(), source=source, carrier=carrier) as (channel, _code):
        channel.receive()
        channel.send(b"share")
        raise ConnectionError


def waits(guesses: GuessBook, source: str, carrier: str = "") -> tuple[threading.Event, threading.Event]:
    """Begin an exchange in a thread; return when it got its turn, and what lets it end."""
    turn, end = threading.Event(), threading.Event()

    def work() -> None:
        with guesses.exchange(Stub(), source=source, carrier=carrier) as (channel, _code):
            channel.receive()
            turn.set()
            end.wait(20)
            channel.send(b"share")

    threading.Thread(target=work, daemon=True).start()
    return turn, end


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.002)


def test_a_share_taken_and_the_line_dropped_counts():
    guesses = book()
    fail(guesses)
    assert guesses.failures == 1


def test_success_does_not_count():
    guesses = book()
    with guesses.exchange(Stub(), source="192.0.2.1") as (channel, code):
        assert code.get_secret_value() == "code 0"
        channel.receive()
        channel.send(b"share")
        assert guesses.failures == 1  # it counts until it is proven
    assert guesses.failures == 0


def test_a_stranger_who_never_got_an_answer_does_not_count():
    guesses = book()
    with hangs_up(), guesses.exchange(Stub(), source="192.0.2.1") as (channel, _code):
        channel.receive()
        raise ConnectionError
    assert guesses.failures == 0


def test_it_is_booked_before_the_answer_goes_out():
    guesses = book()

    class Dead(Stub):
        def send(self, message: bytes) -> None:
            raise ConnectionError

    with hangs_up(), guesses.exchange(Dead(), source="192.0.2.1") as (channel, _code):
        channel.receive()
        channel.send(b"share")
    assert guesses.failures == 1


def test_failures_are_two_a_second_after_the_first_few():
    clock = Clock()
    guesses = book(clock=clock)
    for _ in range(8):
        fail(guesses)
    assert guesses.delay() == pytest.approx(0.5)
    clock.now += 0.5
    assert guesses.delay() == 0
    fail(guesses)
    assert guesses.delay() == pytest.approx(0.5)
    clock.now += 1000
    for _ in range(8):
        fail(guesses)
    assert guesses.delay() > 0


def test_success_is_never_slowed():
    guesses = book(clock=Clock())
    for _ in range(100):
        with guesses.exchange(Stub(), source="192.0.2.1") as (channel, _code):
            channel.receive()
            channel.send(b"share")
    assert guesses.delay() == 0


def test_two_are_computed_at_once_and_no_third():
    guesses = book()
    first, second = waits(guesses, "192.0.2.1"), waits(guesses, "192.0.2.2")
    assert first[0].wait(5)
    assert second[0].wait(5)
    third = waits(guesses, "192.0.2.3")
    assert not third[0].wait(0.3)
    first[1].set()
    assert third[0].wait(5)
    second[1].set()
    third[1].set()


@pytest.mark.parametrize(
    ("before", "dirty"),
    [
        (("192.0.2.66", ""), ("192.0.2.66", "")),
        (("fd00::66", "02:00:00:00:00:66"), ("fd00::67", "02:00:00:00:00:66")),
    ],
    ids=["by its address", "by what carries its addresses"],
)
def test_who_has_not_failed_yet_goes_first(before: tuple[str, str], dirty: tuple[str, str]):
    guesses = book()
    for _ in range(3):
        fail(guesses, *before)
    busy = [waits(guesses, "192.0.2.1"), waits(guesses, "192.0.2.2")]
    assert all(turn.wait(5) for turn, _end in busy)
    guilty = waits(guesses, *dirty)
    until(lambda: len(guesses._waiting) == 1)
    clean = waits(guesses, "192.0.2.7")
    until(lambda: len(guesses._waiting) == 2)
    busy[0][1].set()
    assert clean[0].wait(5)
    assert not guilty[0].is_set()
    clean[1].set()
    assert guilty[0].wait(5)
    guilty[1].set()
    busy[1][1].set()


def test_nobody_waits_for_ever():
    clock = Clock()
    guesses = book(clock=clock)
    for _ in range(8):
        fail(guesses)

    errors: list[BaseException] = []

    def work() -> None:
        try:
            with guesses.exchange(Stub(), source="192.0.2.9") as (channel, _code):
                channel.receive()
        except TrustError as error:
            errors.append(error)

    stuck = threading.Thread(target=work, daemon=True)
    guesses._computing = 2
    stuck.start()
    until(lambda: len(guesses._waiting) == 1)
    clock.now += 11
    stuck.join(5)
    assert len(errors) == 1


def test_who_hung_up_while_waiting_gives_up_its_turn():
    guesses = book()
    guesses._computing = 2
    gone = Stub()
    gone.alive = False
    with pytest.raises(TrustError), guesses.exchange(gone, source="192.0.2.9") as (channel, _code):
        channel.receive()
    assert guesses._waiting == []
    assert guesses.failures == 0


def test_after_a_thousand_failures_there_are_new_words():
    clock, changes, failures = Clock(), list[str](), list[tuple[str, int]]()
    guesses = book(
        clock=clock,
        on_change=lambda code: changes.append(code.get_secret_value()),
        on_failure=lambda source, number: failures.append((source, number)),
    )
    for number in range(1, 1000):
        clock.now += 1
        fail(guesses)
        assert guesses.failures == number
    assert changes == []
    assert failures[-1] == ("192.0.2.1", 999)
    clock.now += 1
    fail(guesses)
    assert changes == ["code 1"]
    assert guesses.code.get_secret_value() == "code 1"
    assert guesses.failures == 0
    assert not guesses.closed


def test_an_exchange_begun_finishes_under_the_old_words():
    clock = Clock()
    guesses = book(clock=clock)
    with guesses.exchange(Stub(), source="192.0.2.2") as (channel, code):
        channel.receive()
        for _ in range(1000):
            clock.now += 1
            fail(guesses)
        channel.send(b"share")
        assert code.get_secret_value() == "code 0"
    assert guesses.code.get_secret_value() == "code 1"
    assert guesses.failures == 0
    with guesses.exchange(Stub(), source="192.0.2.2") as (_channel, code):
        assert code.get_secret_value() == "code 1"


def test_a_phrase_of_the_operators_own_is_long_enough():
    with pytest.raises(SettingsError):
        GuessBook(SecretStr("short phrase"[:11]), renew=None)
    with pytest.raises(SettingsError):
        GuessBook(SecretStr("a -  - - - - - b"), renew=None)
    GuessBook(SecretStr("long   enough!"), renew=None)


def test_a_phrase_closes_after_twenty_failures_and_that_is_said_once():
    clock, closed = Clock(), []
    guesses = GuessBook(PHRASE, renew=None, clock=clock, on_closed=lambda: closed.append(True))
    for _ in range(20):
        assert not guesses.closed
        clock.now += 1
        fail(guesses)
    assert guesses.closed
    for _ in range(2):
        with pytest.raises(TrustError, match="nobody new"), guesses.exchange(Stub(), source="192.0.2.2"):
            pass
    assert closed == [True]


def test_what_is_told_of_is_failures_and_no_exchange_that_still_runs():
    told = list[tuple[str, int]]()
    guesses = book(on_failure=lambda source, number: told.append((source, number)))
    with guesses.exchange(Stub(), source="192.0.2.1") as (channel, _code):
        channel.receive()
        channel.send(b"share")
        fail(guesses, "192.0.2.1")
        fail(guesses, "192.0.2.2")
    fail(guesses, "192.0.2.1")
    assert told == [("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.1", 2)]


@pytest.mark.parametrize(
    "fail", [Tally.wrong_code, lambda tally, source: tally.turned_away(source, "it {} left")]
)
def test_an_operator_is_told_of_the_first_tenth_and_hundredth_failure_of_a_source(fail):
    tally = Tally()
    lines = {number: fail(tally, "192.0.2.1") for number in range(1, 1001)}
    assert [number for number, line in lines.items() if line] == [1, 10, 100, 1000]
    assert all("192.0.2.1" in line for line in lines.values() if line)


def test_wrong_codes_are_not_hidden_by_other_failures():
    tally = Tally()
    assert tally.turned_away("192.0.2.1", "it speaks version 1") == (
        "192.0.2.1 was turned away: it speaks version 1"
    )
    assert tally.wrong_code("192.0.2.1") == "192.0.2.1 gave a wrong code; the session goes on"


def test_whoever_has_many_addresses_gets_no_line_for_each():
    """Nor for the tenth failure of each: those who are not among the first ten are told of together."""
    tally = Tally()
    lines = [tally.wrong_code(f"192.0.2.{number}") for number in range(1, 201) for _ in range(10)]
    told = [line for line in lines if line]
    assert len(told) == 10 * 2 + 4
    assert told[-1] == (
        "other addresses failed 1000 times so far, 100 of them; guesses are slowed down, the session goes on"
    )


def test_what_is_remembered_of_strangers_has_an_end():
    tally = Tally()
    told = [line for number in range(10**5) if (line := tally.turned_away(f"s{number}", "x" * 10**4))]
    assert len(told) == 10 + 5
    assert max(map(len, told)) < 400
    assert "more than 1000 of them" in told[-1]
    assert len(tally._others) + len(tally._named) <= 1010


def test_six_drawn_words_close_late():
    clock = Clock()
    guesses = GuessBook(SecretStr("acorn blimp crisp dove acid acre"), renew=None, clock=clock)
    for _ in range(999):
        clock.now += 1
        fail(guesses)
    assert not guesses.closed
    clock.now += 1
    fail(guesses)
    assert guesses.closed


def test_twenty_at_once_do_not_get_a_twenty_first():
    """Those who wait for their turn when it closes get none."""
    clock = Clock()
    guesses = GuessBook(PHRASE, renew=None, clock=clock)
    with (
        pytest.raises(TrustError),
        guesses.exchange(Stub(), source="192.0.2.2") as (channel, _code),
    ):
        for _ in range(20):
            clock.now += 1
            fail(guesses)
        clock.now += 1
        channel.receive()
    assert guesses.failures == 20


def test_a_joiner_stops_after_three_failures_over_all_addresses():
    tries = Tries()
    for left in (2, 1, 0):
        with hangs_up(), tries.exchange(Stub()) as channel:
            channel.send(b"my share")
            channel.receive()
            channel.send(b"my confirmation")
            raise ConnectionError
        assert tries.left == left
    with pytest.raises(TrustError) as caught, tries.exchange(Stub()):
        pass
    assert "code anew" in caught.value.hint


def test_a_joiner_counts_what_could_be_tested_only():
    """An initiator that falls silent before its share learnt nothing; and success costs nothing."""
    tries = Tries()
    for _ in range(5):
        with hangs_up(), tries.exchange(Stub()) as channel:
            channel.send(b"my share")
            raise ConnectionError
    for _ in range(5):
        with tries.exchange(Stub()) as channel:
            channel.send(b"my share")
            channel.receive()
            channel.send(b"my confirmation")
            assert tries.left == 2
    assert tries.left == 3


def test_two_lines_at_once_share_the_last_try():
    tries = Tries(limit=1)
    with tries.exchange(Stub()) as one, hangs_up(), tries.exchange(Stub()) as other:
        other.receive()
        one.receive()
        one.send(b"confirmation")
        with pytest.raises(TrustError):
            other.send(b"confirmation")
        raise ConnectionError

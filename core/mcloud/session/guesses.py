"""Guesses of the code: how many, how fast and whose; the only place that counts them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from mcloud.errors import SettingsError, TrustError
from mcloud.model import Channel
from mcloud.session.booking import Attempt, Booked, Rate, forget
from mcloud.session.code import drawn, normalised

FAILURES_PER_SECOND = 2.0
AT_ONCE = 2
"""Exchanges computed side by side; each costs 7 ms under the interpreter's lock."""
NEW_WORDS_AFTER = 1000
"""At two a second, after eight minutes at the earliest: people have the time to type the words on all
machines, also while somebody guesses. Were it twenty, a stranger could have them changed every ten
seconds, and nobody would ever get in. A thousand guesses at 2**41 words are one chance in 2000 million."""
DRAWN_CLOSED_AFTER = 1000
PHRASE_CLOSED_AFTER = 20
PHRASE_SHORTEST = 12
_BURST = 8.0
"""Exchanges that may be under way before the rate is felt: so many machines can come at once."""
_TURN_PATIENCE = 10.0
_SOURCES_REMEMBERED = 4096


class GuessBook:
    """The initiator's book of one session: hands out turns and the code in force. Thread-safe."""

    def __init__(
        self,
        code: SecretStr,
        *,
        renew: Callable[[], SecretStr] | None,
        on_change: Callable[[SecretStr], None] = lambda _code: None,
        on_failure: Callable[[str, int], None] = lambda _source, _failures: None,
        on_closed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with `code`; `renew` makes the next one, None: it is given and stays.

        A code that stays closes the door to strangers after so many failures: an operator's own
        phrase soon, six words as `mcloud code` draws them late, since nobody guesses those.
        `on_change(code)` is called with new words, `on_failure(source, failures)` after each failed
        guess with the number of its source's, `on_closed()` when that closes; in the exchange's thread.
        """
        plain = normalised(code.get_secret_value()).get_secret_value()
        if renew is None and len(plain) < PHRASE_SHORTEST:
            raise SettingsError(
                f"the code is shorter than {PHRASE_SHORTEST} characters",
                hint="take a longer one, or let `mcloud code` make one",
            )
        self._closed_after = DRAWN_CLOSED_AFTER if drawn(plain) else PHRASE_CLOSED_AFTER
        self._code = code
        self._renew = renew
        self._on_change = on_change
        self._on_failure = on_failure
        self._on_closed = on_closed
        self._clock = clock
        self._changed = threading.Condition()
        self._booked = 0
        self._sources: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._carriers: Counter[str] = Counter()
        self._rate = Rate(per_second=FAILURES_PER_SECOND, burst=_BURST, clock=clock)
        self._computing = 0
        self._waiting: list[Attempt] = []

    @property
    def code(self) -> SecretStr:
        """Return the code in force."""
        with self._changed:
            return self._code

    @property
    def failures(self) -> int:
        """Return how many guesses are booked against the code in force, running exchanges included."""
        with self._changed:
            return self._booked

    @property
    def closed(self) -> bool:
        """Return whether a code that stays has been guessed at so often that nobody is let in."""
        with self._changed:
            return self._closed()

    @contextmanager
    def exchange(
        self, channel: Channel, *, source: str, carrier: str = ""
    ) -> Iterator[tuple[Channel, SecretStr]]:
        """Give the channel and the code to hand to `trust`; leaving without an exception is success.

        `source` and `carrier` are what `sources.py` says of its address. A channel that has `alive`, as a
        `Connection` has, is asked it while the stranger waits for its turn. `TrustError` where nobody is
        let in, or no turn comes.
        """
        with self._changed:
            if self._closed():
                raise _closed_error()
            attempt = Attempt(source=source, carrier=carrier or source, code=self._code, channel=channel)
        booked = Booked(
            channel, heard=lambda: self._take_turn(attempt), answering=lambda: self._book(attempt)
        )
        try:
            yield booked, attempt.code
        except BaseException:
            self._end(attempt, proven=False)
            raise
        self._end(attempt, proven=True)

    def delay(self) -> float:
        """Return the seconds until the rate of failures allows another exchange; 0: now."""
        with self._changed:
            return self._rate.delay()

    def _closed(self) -> bool:
        return self._renew is None and self._booked >= self._closed_after

    def _take_turn(self, attempt: Attempt) -> None:
        """Wait for one of the places, sources with the fewest failures first."""
        with self._changed:
            self._waiting.append(attempt)
            give_up = self._clock() + _TURN_PATIENCE
            try:
                while not self._may_go(attempt):
                    if not getattr(attempt.channel, "alive", True) or self._clock() >= give_up:
                        raise TrustError(
                            "too many guesses are being made; no turn came", hint="try again later"
                        )
                    # Looks at least four times a second whether the stranger is still there.
                    self._changed.wait(min(0.25, self._rate.delay() or 0.25))
                if self._closed():
                    raise _closed_error()
            finally:
                self._waiting.remove(attempt)
                self._changed.notify_all()
            self._computing += 1
            attempt.computing = True
            self._rate.take()

    def _may_go(self, attempt: Attempt) -> bool:
        first = min(
            self._waiting, key=lambda other: (self._carriers[other.carrier], self._sources[other.source])
        )
        return first is attempt and self._computing < AT_ONCE and self._rate.delay() == 0

    def _book(self, attempt: Attempt) -> None:
        """Count the guess, before the answer goes out."""
        new_code = None
        with self._changed:
            attempt.booked = True
            # An exchange that began under the old words says nothing about those in force.
            self._booked += attempt.code is self._code
            self._sources[attempt.source] += 1
            self._carriers[attempt.carrier] += 1
            self._release(attempt)
            if self._renew is not None and self._booked >= NEW_WORDS_AFTER:
                new_code = self._code = self._renew()
                self._booked = 0
        if new_code is not None:
            self._on_change(new_code)

    def _end(self, attempt: Attempt, *, proven: bool) -> None:
        failed = attempt.booked and not proven
        with self._changed:
            had_turn = attempt.computing or attempt.booked
            self._release(attempt)
            if had_turn and not failed:
                self._rate.give_back()
            if attempt.booked and proven:
                self._sources[attempt.source] -= 1
                self._carriers[attempt.carrier] -= 1
                if attempt.code is self._code:
                    self._booked = max(0, self._booked - 1)
            self._failed[attempt.source] += failed
            failures = self._failed[attempt.source]
            for counted in (self._sources, self._failed, self._carriers):
                forget(counted, _SOURCES_REMEMBERED)
            closed = failed and self._closed() and self._booked == self._closed_after
            self._changed.notify_all()
        if failed:
            self._on_failure(attempt.source, failures)
        if closed:
            self._on_closed()

    def _release(self, attempt: Attempt) -> None:
        if attempt.computing:
            attempt.computing = False
            self._computing -= 1
            self._changed.notify_all()


class Tries:
    """The joiner's tries with one code, over all addresses: else a false initiator guesses for ever."""

    def __init__(self, limit: int = 3) -> None:
        """Allow so many failures; a person who types a code anew gets a new object."""
        self._left = limit
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Return how many more failures the code bears."""
        return self._left

    @contextmanager
    def exchange(self, channel: Channel) -> Iterator[Channel]:
        """Give the channel to hand to `trust`; no exception is success. `TrustError`: none is left."""
        if self._left <= 0:
            raise _used_up_error()
        booked = Booked(channel, heard=lambda: None, answering=self._book)
        yield booked
        if booked.answered:
            with self._lock:
                self._left += 1

    def _book(self) -> None:
        with self._lock:
            # Two exchanges may have begun with one try left; only one of them may answer.
            if self._left <= 0:
                raise _used_up_error()
            self._left -= 1


def _closed_error() -> TrustError:
    return TrustError(
        "the code was guessed at too often; nobody new is let in by it any more",
        hint="on the initiator: find out who is guessing, then start again, best with another code",
    )


def _used_up_error() -> TrustError:
    return TrustError(
        "the code failed too often; it is not used any more",
        hint="look at the initiator's screen, compare its address, and give the code anew",
    )

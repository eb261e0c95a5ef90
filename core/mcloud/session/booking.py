"""When a guess counts: the moment a side first answers; and how many a second there may be.

A guess is booked with the first message a side sends *after one it received*: from then on the
other side may have learnt whether it guessed right, also if it hangs up without a word. For the
initiator that is its share, for the joiner its confirmation; what is sent before that does not
depend on the code in a way that could be tested.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from mcloud.model import Channel


class Booked:
    """A channel that tells when its side first hears something, and when it first answers."""

    def __init__(self, channel: Channel, *, heard: Callable[[], None], answering: Callable[[], None]) -> None:
        """`heard` is called before the first message is passed on, `answering` before an answer is sent."""
        self._channel = channel
        self._heard = heard
        self._answering = answering
        self._has_heard = False
        self.answered = False

    def send(self, message: bytes) -> None:
        """Send; if it is the first answer, book first."""
        if self._has_heard and not self.answered:
            self._answering()
            self.answered = True
        self._channel.send(message)

    def receive(self) -> bytes:
        """Return the next message; the first one when it is its turn to be looked at."""
        message = self._channel.receive()
        if not self._has_heard:
            self._heard()
            self._has_heard = True
        return message


@dataclass(eq=False, kw_only=True, slots=True)
class Attempt:
    """One exchange of a stranger, for the book of guesses."""

    source: str
    carrier: str
    code: SecretStr
    channel: Channel
    computing: bool = False
    booked: bool = False


def forget(counted: Counter[str], most: int) -> None:
    """Forget those who failed least, if there are more to remember than that."""
    if len(counted) > most:
        stay = counted.most_common(most // 2)
        counted.clear()
        counted.update(dict(stay))


@dataclass(kw_only=True, slots=True)
class Rate:
    """A bucket that time refills: what is taken and not given back is so much a second."""

    per_second: float
    burst: float
    clock: Callable[[], float]
    _left: float = 0.0
    _at: float = 0.0

    def __post_init__(self) -> None:
        self._left, self._at = self.burst, self.clock()

    def delay(self) -> float:
        """Return the seconds until one can be taken; 0: now."""
        now = self.clock()
        self._left = min(self.burst, self._left + (now - self._at) * self.per_second)
        self._at = now
        return max(0.0, (1.0 - self._left) / self.per_second)

    def take(self, number: float = 1.0) -> None:
        """Take one, or so many; what is missing is waited for by who comes next."""
        self._left -= number

    def give_back(self) -> None:
        """Put one back."""
        self._left = min(self.burst, self._left + 1.0)

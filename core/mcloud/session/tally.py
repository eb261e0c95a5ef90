"""What an operator is told of strangers that fail: each source's first failure, its tenth, its hundredth."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mcloud.errors import McloudError
from mcloud.session.limits import printable
from mcloud.session.sources import source_of

NAMED = 10
"""Sources that are told of one by one; whoever has more addresses gets no line for each of them."""
CLOSED = (
    "the code was guessed at too often: nobody new is let in by it. Who is here stays; to let others in, "
    "stop, and type the command again, best with another code"
)
_COUNTED = 1000
"""Other sources that are counted; of more it is only said that there are more."""


class Tally:
    """Counts the failures of a session by source, wrong codes and all others. Thread-safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._named: dict[str, Counter[str]] = {}
        self._others: set[str] = set()
        self._of_others = 0
        self._lock = threading.Lock()

    def wrong_code(self, source: str) -> str:
        """Count one more wrong code; return what to tell, "" for nothing."""
        return self._counted(
            source,
            "guess",
            first="gave a wrong code; the session goes on",
            later="gave {} wrong codes so far; guesses are slowed down, the session goes on",
        )

    def turned_away(self, source: str, why: str) -> str:
        """Count one more stranger that got no further, for whatever reason; the same."""
        why = printable(why, longest=300).replace("{", "(").replace("}", ")")
        return self._counted(
            source,
            "other",
            first=f"was turned away: {why}",
            later=f"was turned away {{}} times so far, at last because: {why}",
        )

    def _counted(self, source: str, kind: str, *, first: str, later: str) -> str:
        with self._lock:
            if source not in self._named and len(self._named) >= NAMED:
                return self._of_another(source)
            counted = self._named.setdefault(source, Counter())
            counted[kind] += 1
            number = counted[kind]
        if number == 1:
            return f"{source} {first}"
        return f"{source} {later.format(number)}" if _round(number) else ""

    def _of_another(self, source: str) -> str:
        self._of_others += 1
        if len(self._others) < _COUNTED:
            self._others.add(source)
        if not _round(self._of_others):
            return ""
        many = "more than " if len(self._others) >= _COUNTED else ""
        return (
            f"other addresses failed {self._of_others} times so far, {many}{len(self._others)} of them; "
            "guesses are slowed down, the session goes on"
        )


class Strangers:
    """Tells an operator of strangers that fail, whichever way: all go through one tally."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        """Begin with none; `tell(line)` is called in the stranger's own thread."""
        self._tally = Tally()
        self._tell = tell
        self._visit = threading.local()  # each has a thread of its own

    def guessed(self, source: str, _failures: int = 0) -> None:
        """Take note that this thread's stranger made a guess, and it was wrong."""
        self._visit.guessed = True
        self._say(self._tally.wrong_code(source))

    @contextmanager
    def visit(self, address: str) -> Iterator[None]:
        """Take note of how a visit ends, if it fails otherwise than by a guess."""
        self._visit.guessed = False
        try:
            yield
        except McloudError as error:
            if not self._visit.guessed:
                self._say(self._tally.turned_away(source_of(address), str(error)))
            raise

    def _say(self, line: str) -> None:
        if line:
            self._tell(line)


def _round(number: int) -> bool:
    return str(number).strip("0") == "1"

"""What an operator is told of wrong codes: each source's first, tenth, hundredth, and no line for each."""

import threading

NAMED = 10
"""Sources that are told of one by one; whoever has more addresses gets no line for each of them."""
CLOSED = (
    "the code was guessed at too often: nobody new is let in by it. Who is here stays; to let others in, "
    "stop, and type the command again, best with another code"
)


class Tally:
    """Counts the failures of a session by source. Thread-safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._failures = 0
        self._sources = 0
        self._lock = threading.Lock()

    def line(self, source: str, of_source: int) -> str:
        """Count one more failure, the source's `of_source`-th; return what to tell, "" for nothing."""
        with self._lock:
            self._failures += 1
            self._sources += of_source == 1
            failures, sources = self._failures, self._sources
        if of_source == 1 and sources <= NAMED:
            return f"{source} gave a wrong code; the session goes on"
        if of_source == 1 and _round(sources):
            return f"{failures} wrong codes so far, from {sources} addresses; guesses are slowed down"
        if of_source > 1 and _round(of_source):
            return (
                f"{source} gave {of_source} wrong codes so far; guesses are slowed down, the session goes on"
            )
        return ""


def _round(number: int) -> bool:
    return str(number).strip("0") == "1"

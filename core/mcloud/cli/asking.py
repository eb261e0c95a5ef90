"""Questions at the terminal; while one is open others may still print, and it is asked again below."""

import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

YES = frozenset({"y", "yes"})
STDIN = 0


class Asker(Protocol):
    """Where questions are shown: the screen."""

    def pose(self, question: str) -> None:
        """Show a question; "" takes it away."""
        ...

    def answered(self) -> None:
        """Know that the person has ended the question's line."""
        ...


class Answers:
    """Reads lines from the terminal in a thread of its own, so that nobody has to wait for a person.

    `heard` gets each line and says whether another one is wanted. Reads the file itself: a thread
    that hangs in `sys.stdin` at the end of the program would bring it down.
    """

    def __init__(self, heard: Callable[[str], bool], *, file: int = STDIN) -> None:
        """Start to listen."""
        self._heard = heard
        self._file = file
        threading.Thread(target=self._listen, name="answers", daemon=True).start()

    def _listen(self) -> None:
        wanted = True
        while wanted:
            try:
                select.select([self._file], [], [])
                line = os.read(self._file, 4096)
            except OSError:
                return
            if not line:
                return
            wanted = self._heard(line.decode(errors="replace").strip())


class AreTheseAll:
    """Asks whether all machines have come, after each newcomer; `__call__` answers at once, never waits.

    A yes counts for the machines that the question named, and for no others.
    """

    def __init__(self, asker: Asker, *, file: int = STDIN) -> None:
        """Begin with nobody; `file` is where answers are read."""
        self._asker = asker
        self._file = file
        self._named: tuple[str, ...] = ()
        self._agreed: tuple[str, ...] = ()
        self._listening = False

    def __call__(self, names: Sequence[str], wake: Callable[[], None]) -> bool:
        """Whether a person said that these are all; `wake` is called when there is a new answer."""
        here = tuple(sorted(names))
        if here and here == self._agreed:
            return True
        if here != self._named:
            self._named = here
            self._show()
        if here and not self._listening:
            self._listening = True
            Answers(lambda line: self._heard(line, wake), file=self._file)
        return False

    def _show(self) -> None:
        names = ", ".join(self._named)
        self._asker.pose(f"Here: {names}. When these are all, type y and Enter: " if names else "")

    def _heard(self, line: str, wake: Callable[[], None]) -> bool:
        self._asker.answered()
        if line.lower() not in YES:
            self._show()
            return True
        self._agreed, self._listening = self._named, False
        wake()
        return False

"""What other machines tell of their steps, as much of it as can be heeded: they may say anything."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from mcloud.errors import ProtocolError
from mcloud.watch import Happening

STEPS = 500
"""Steps of one machine that are heard of; a cloud of nine machines has some 60 on each."""
TIMES = 30
"""How often the same is heard of one step: it is done again for each roster and after each cut."""
REPORTS = 1000
"""Lines of progress of one step in all."""
FLOOD = 20_000
"""Of one machine, what is too much to be heeded: with more it is no honest joiner."""

ENDS = frozenset({"done", "adopted", "skipped", "undone"})

_Step = tuple[str, str, str, str]


@dataclass
class _Told:
    steps: set[_Step] = field(default_factory=set)
    ended: set[_Step] = field(default_factory=set)
    times: dict[tuple[_Step, str], int] = field(default_factory=dict)
    left_out: int = 0


class Hearsay:
    """Keeps count of it, by machine. Thread-safe."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        """Have `notice` told once of each machine that says too much."""
        self._notice = notice
        self._told: dict[str, _Told] = {}
        self._lock = Lock()

    def heeds(self, happening: Happening) -> bool:
        """Take note of what happened; return whether it is to be shown. Raises ProtocolError in a flood."""
        with self._lock:
            told = self._told.setdefault(happening.machine, _Told())
            if self._fits(told, happening):
                return True
            told.left_out += 1
            number = told.left_out
        if number == 1 and happening.what != "report":
            self._notice(f"{happening.machine} says more than can be shown: some of it is left out")
        if number > FLOOD:
            raise ProtocolError(f"{happening.machine} says more of its steps than there can be to say")
        return False

    def ended(self, machine: str) -> int:
        """Return how many different steps of a machine came to a good end: it only grows."""
        with self._lock:
            return len(self._told[machine].ended) if machine in self._told else 0

    def _fits(self, told: _Told, happening: Happening) -> bool:
        step = (happening.plugin, happening.hook, happening.about, happening.step)
        if step not in told.steps and len(told.steps) >= STEPS:
            return False
        told.steps.add(step)
        if happening.what in ENDS:
            told.ended.add(step)
        times = told.times.get((step, happening.what), 0)
        told.times[step, happening.what] = times + 1
        return times < (REPORTS if happening.what == "report" else TIMES)

"""What runs where just now, and how long each part took: kept by machine and service."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mcloud.cloud import CORE, READY, TOKEN
from mcloud.session.protocol import OutlookLine
from mcloud.waits import Wait
from mcloud.watch import Happening

GATES = frozenset({("issue_token", READY), ("join", TOKEN)})
"""Hook and name of what the core puts into the lanes of services: no work, and it takes no time."""

STAGES: Mapping[str, str] = {
    "bootstrap": "founding",
    "issue_token": "joining",
    "join": "joining",
    "configure": "configuring",
    "adapt": "adapting",
}
"""The words for stages, by hook, in the order of a run."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One lane as it is now: what the screen shows of one service on one machine."""

    machine: str
    service: str
    state: str
    """running, waiting, failed, done or idle."""
    done: int
    total: int | None
    seconds: float
    """How long the step (or the wait) has taken so far; of a lane that is done, how long it took."""
    text: str


@dataclass(frozen=True, slots=True)
class Share:
    """What one service on one machine took of a run: seconds in which at least one step of it ran."""

    machine: str
    service: str
    steps: int
    seconds: float
    longest: str
    longest_seconds: float


@dataclass
class _Lane:
    running: dict[tuple[str, str, str], float] = field(default_factory=dict)
    waiting: dict[tuple[str, str, str], float] = field(default_factory=dict)
    reports: dict[tuple[str, str, str], str] = field(default_factory=dict)
    done: set[tuple[str, str, str]] = field(default_factory=set)
    failed: dict[tuple[str, str, str], None] = field(default_factory=dict)
    spans: dict[tuple[str, str, str], Span] = field(default_factory=dict)
    total: int | None = None


class Lanes:
    """Keeps the last word of each lane. Not thread-safe: the screen keeps threads apart."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing running."""
        self._clock = clock
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._awaited: dict[str, float] = {}
        """Machines whose part of a stage is waited for, and since when."""

    def expect(self, plans: Mapping[str, Sequence[OutlookLine]]) -> None:
        """Learn from the plans how many steps there are, and in which order to show machines."""
        for machine, lines in plans.items():
            counts: dict[str, int] = {}
            for line in lines:
                plugin = line.key.split("/")[1]
                counts[plugin] = counts.get(plugin, 0) + 1
            counts.pop(CORE, None)
            for plugin, count in counts.items():
                self._lane(machine, plugin).total = count

    def note(self, happening: Happening) -> bool:
        """Take note of one happening; return whether it is work, and not one of the core's gates."""
        if happening.plugin == CORE:
            self._note_part(happening)
            return False
        gate = (happening.hook, happening.step) in GATES and not happening.seconds
        lane = self._lane(happening.machine, happening.plugin)
        step = (happening.hook, happening.about, happening.step)
        if happening.what in {"report", "notice"}:
            lane.reports[step] = happening.text
        elif happening.what == "started":
            lane.running[step] = self._clock()
        elif happening.what == "waiting":
            lane.waiting[step] = self._clock()
        elif gate:
            lane.waiting.pop(step, None)
        else:
            lane.running.pop(step, None)
            lane.spans[step] = (self._clock() - happening.seconds, self._clock())
            if happening.what == "failed":
                lane.failed[step] = None
            else:
                lane.done.add(step)
        return not gate

    def leave_out(self, machine: str) -> None:
        """Take note that a machine is out: nobody waits for it any longer."""
        self._awaited.pop(machine, None)
        for (of, _service), lane in self._lanes.items():
            if of == machine:
                lane.running.clear()
                lane.waiting.clear()

    def waits(self) -> list[Wait]:
        """Return who is waited for: steps that run, the longest first, then machines without any."""
        now = self._clock()
        steps = [
            Wait(f"{machine}: {service} {_spoken(step, machine)}", now - since, other=False)
            for (machine, service), lane in self._lanes.items()
            for step, since in lane.running.items()
        ]
        at_work = {machine for (machine, _service), lane in self._lanes.items() if lane.running}
        parts = [
            Wait(name, now - since, other=True)
            for name, since in self._awaited.items()
            if name not in at_work
        ]
        return [*sorted(steps, key=lambda wait: -wait.seconds), *parts]

    def rows(self) -> list[Row]:
        """Return all lanes as they are now, in the order in which they became known."""
        return [self._row(machine, service, lane) for (machine, service), lane in self._lanes.items()]

    def steps(self) -> tuple[int, int | None]:
        """Return how many steps are done, and of how many; None where that is not known."""
        lanes = self._lanes.values()
        totals = [lane.total for lane in lanes]
        known = [total for total in totals if total is not None]
        return sum(len(lane.done) for lane in lanes), sum(known) if len(known) == len(totals) else None

    def shares(self) -> list[Share]:
        """Return what each service took on each machine, the longest first."""
        found = []
        for (machine, service), lane in self._lanes.items():
            if seconds := covered(lane.spans.values()):
                (_hook, about, step), (began, ended) = max(
                    lane.spans.items(), key=lambda item: item[1][1] - item[1][0]
                )
                longest = step if about == machine else f"{step} for {about}"
                found.append(Share(machine, service, len(lane.spans), seconds, longest, ended - began))
        return sorted(found, key=lambda share: -share.seconds)

    def stages(self) -> list[tuple[str, float]]:
        """Return how long each stage took, on all machines together, from its first step to its last."""
        found = []
        for stage in dict.fromkeys(STAGES.values()):
            spans = [
                span
                for lane in self._lanes.values()
                for (hook, _about, _step), span in lane.spans.items()
                if STAGES.get(hook) == stage
            ]
            if spans:
                found.append((stage, max(end for _, end in spans) - min(begin for begin, _ in spans)))
        return found

    def _note_part(self, happening: Happening) -> None:
        if happening.about != happening.machine:
            if happening.what == "waiting":
                self._awaited[happening.about] = self._clock()
            else:
                self._awaited.pop(happening.about, None)

    def _lane(self, machine: str, service: str) -> _Lane:
        return self._lanes.setdefault((machine, service), _Lane())

    def _row(self, machine: str, service: str, lane: _Lane) -> Row:
        state, seconds, text = "idle", 0.0, "waits for other parts"
        if lane.failed:
            state, text = "failed", ", ".join(step for _hook, _about, step in lane.failed)
        elif lane.running:
            state = "running"
            first, since = next(iter(lane.running.items()))
            seconds, text = self._clock() - since, _spoken(first, machine)
            text += f" (+{len(lane.running) - 1})" if len(lane.running) > 1 else ""
            text += f": {lane.reports[first]}" if first in lane.reports else ""
        elif lane.total is not None and len(lane.done) >= lane.total:
            state, seconds, text = "done", covered(lane.spans.values()), ""
        elif lane.waiting:
            state = "waiting"
            first, since = next(iter(lane.waiting.items()))
            seconds = self._clock() - since
            text = "waits for its token" if first[0] == "join" else f"waits for {first[1]}"
        elif lane.total is None and lane.done:
            text = ""
        return Row(machine, service, state, len(lane.done), lane.total, seconds, text)


def covered(spans: Iterable[Span]) -> float:
    """Return the seconds that lie in at least one of the spans."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def _spoken(step: tuple[str, str, str], machine: str) -> str:
    _hook, about, name = step
    return name if about == machine else f"{name} for {about}"

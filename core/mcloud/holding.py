"""What an undo leaves where it is, because something that could not be taken back still stands on it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from mcloud.plan import STAGES, Lane, Plan
from mcloud.steps import Step

FOUNDATIONS = frozenset({"bootstrap", "join"})
"""Hooks whose undo ends the service on this machine: what lived inside it is gone then."""


def makers(plan: Plan, key: str) -> set[str]:
    """Return the keys of the steps whose offers a step takes, or could take."""
    lane, step = plan.steps[key]
    found = {maker for kind in (*step.needs, *step.wants) for maker in plan.makers(kind, lane)}
    return {maker for maker in found if isinstance(plan.steps[maker][1], Step)} - {key}


def last_first(plan: Plan, started: Sequence[str]) -> tuple[str, ...]:
    """Return steps in the order in which they are taken back: who takes something goes before who made it.

    `started` are their keys in the order in which they were last started: that alone does not tell, because
    for another roster a maker may have run once more, and what takes its offers not.
    """
    latest = {key: place for place, key in enumerate(started)}
    taken = {key: makers(plan, key) for key in started}
    stage = {key: STAGES.index(plan.steps[key][0].stage) for key in started}
    ordered: dict[str, None] = {}

    def put(key: str) -> None:
        lane = plan.steps[key][0].step_keys()
        behind = {*lane[lane.index(key) + 1 :]}
        for other in started[::-1]:
            if other not in ordered and (other in behind or key in taken[other]):
                put(other)
        ordered[key] = None

    for key in sorted(started, key=lambda one: (-stage[one], -latest[one])):
        if key not in ordered:
            put(key)
    return tuple(ordered)


@dataclass
class Holding:
    """Who still stands on what, while an undo walks backwards through the steps of one machine.

    A step that could not be taken back is a consumer that is still there: the makers of what it needs or
    wants stay, and with them all that their plugin did before, because they live in it. Where the consumer
    itself can be seen, its own service stays, too: only by that it can be taken back once what kept it is
    put right. If it cannot be seen its service may end, as far as anybody can tell it is gone with it, and
    then nothing is held.
    """

    plan: Plan
    walked: tuple[str, ...]
    """Keys of the steps that this run changed something with, in the order of the walk."""
    seen: Callable[[str], bool]
    """Whether a step that could not be taken back can be seen."""
    failed: dict[str, bool] = field(default_factory=dict)
    """Steps that could not be taken back, with whether they keep their service."""
    held: dict[str, str] = field(default_factory=dict)
    """Steps that are left, by the one that stands on them and could not be taken back."""

    def fail(self, key: str) -> None:
        """Take note that a step could not be taken back."""
        self.failed[key] = bool(makers(self.plan, key) & {*self.walked}) and self.seen(key)

    def hold(self, key: str) -> str | None:
        """Return the key of what could not be taken back and stands on this step; None: it may go."""
        lane, _step = self.plan.steps[key]
        consumer = next((root for other, root in self._roots() if self._stands_on(other, key, lane)), None)
        if consumer is not None:
            self.held[key] = consumer
        return consumer

    def free(self, gone: Collection[str]) -> tuple[str, ...]:
        """Forget what is gone by now; return the steps that only it held, in the order of the walk."""
        if not {*self.failed} & {*gone}:
            return ()
        for key in gone:
            self.failed.pop(key, None)
        before, self.held = self.held, {}
        return tuple(key for key in self.walked if key in before and self.hold(key) is None)

    def _roots(self) -> tuple[tuple[str, str], ...]:
        return (*((key, key) for key in self.failed), *self.held.items())

    def _stands_on(self, other: str, key: str, lane: Lane) -> bool:
        """Whether a step that is left would lose what it stands on with another one."""
        if key in makers(self.plan, other):
            return True
        theirs, _step = self.plan.steps[other]
        before = lane.plugin == theirs.plugin and self.walked.index(other) < self.walked.index(key)
        if other in self.held:
            return before
        return before and self.failed[other] and lane.hook in FOUNDATIONS

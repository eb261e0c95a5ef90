"""Machines fall out of a run in memory, and come back: what the commands write to its journals."""

from dataclasses import dataclass, field
from threading import Event

from mcloud.context import Context


def without(walk, *names):
    """Return a run as it goes on when machines fall out of it."""
    return walk.without(*names)


def with_all_back(walk):
    """Return a finished run as it goes on with all back that fell out of it."""
    return walk.with_all_back()


@dataclass
class Doing:
    """One step of a walk, done by hand: its waits look once."""

    walk: object
    key: str
    said: list[str] = field(default_factory=list)

    @property
    def step(self):
        return self.walk.plan(self.machine).steps[self.key][1]

    @property
    def machine(self):
        return self.key.split("/")[2]

    def probe(self):
        return self.step.probe(self._context("probe"))

    def run(self):
        return self.step.run(self._context("run"))

    def _context(self, doing):
        around = self.walk.surroundings(self.machine)
        around.stopping, around.report = Event(), lambda _key, text: self.said.append(text)
        around.stopping.set()
        lane, step = around.plan.steps[self.key]
        return Context(around, lane, step, doing=doing)

"""Invented kinds, steps and lanes, and a machine to run them on."""

from functools import partial

import pytest

from mcloud import Offer, Step
from mcloud.context import Surroundings
from mcloud.journal import Journal
from mcloud.plan import Lane, Plan
from mcloud.run import Execution
from mcloud.secrets import Secrets
from mcloud.testing import FakeHost, memory_folder


class Apple(Offer):
    """A kind."""

    color: str = "red"


class Pear(Offer):
    """Another kind."""


@pytest.fixture
def apple():
    return Apple


@pytest.fixture
def pear():
    return Pear


class Deeds(list):
    """What was done, in order: `run one`, `probe one`, `undo one`."""

    def of(self, what):
        """Return the names with which something was done."""
        return [deed.partition(" ")[2] for deed in self if deed.startswith(what + " ")]


@pytest.fixture
def deeds():
    return Deeds()


@pytest.fixture
def step(deeds):
    """Return a maker of steps that write the file /NAME, and note what they do."""

    def run(name, ctx):
        deeds.append(f"run {name}")
        ctx.host.write(f"/{name}", "made")

    def probe(name, seen, ctx):
        deeds.append(f"probe {name}")
        return seen if ctx.host.read(f"/{name}") is not None else None

    def undo(name, ctx):
        deeds.append(f"undo {name}")
        ctx.host.write(f"/{name}", None)

    def make(name, *, seen=(), **more):
        whole = {
            "name": name,
            "run": partial(run, name),
            "probe": partial(probe, name, tuple(seen)),
            "undo": partial(undo, name),
            "offers": tuple(dict.fromkeys(type(offer) for offer in seen)),
        }
        return Step(**{**whole, **more})

    return make


@pytest.fixture
def lane():
    """Return a maker of lanes of n1."""

    def make(*steps, stage="enter", hook="join", plugin="fruit", about="n1"):
        return Lane(stage=stage, hook=hook, plugin=plugin, machine="n1", about=about, steps=steps)

    return make


class World:
    """One machine with one run: a host, a journal on disk, and what was watched."""

    def __init__(self, folder):
        self.folder, self.host = folder, FakeHost(settling=0.2)
        self.secrets, self.known = {}, Secrets()
        self.happenings = []

    @property
    def path(self):
        return self.folder / "run.jsonl"

    def journal(self):
        """Return the journal as a new process finds it."""
        if self.path.exists():
            return Journal.open(self.path, self.known)
        return Journal.create(self.path, {"run": "0" * 16}, self.known)

    def around(self, *lanes):
        """Return the surroundings of a new process."""
        self.host.secrets = self.known
        plan, journal = Plan("n1", lanes), self.journal()
        return Surroundings(host=self.host, plan=plan, journal=journal, secrets=self.secrets)

    def execution(self, *lanes, **more):
        return Execution(self.around(*lanes), watch=self.happenings.append, **more)

    def run(self, *lanes, stage="enter"):
        """Run one stage in a new process; return its execution."""
        execution = self.execution(*lanes)
        execution.run(stage)
        return execution

    def lines(self):
        """Return the journal as (event, name of the step)."""
        return [(line["event"], line["key"].rpartition("/")[2]) for line in self.journal().lines()][1:]

    def files(self):
        return sorted(self.host.files)


@pytest.fixture
def world():
    with memory_folder() as folder:
        yield World(folder)

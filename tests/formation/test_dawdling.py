"""Machines that are there and do not get on: the others wait for them so long, and go on or say so."""

import threading
from contextlib import suppress
from functools import partial

import pytest
from breaking import Broken
from world import Service

from mcloud.joining import Joining

SHORT = 4.0


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    """Make patiences of minutes short."""
    monkeypatch.setattr("mcloud.calls.ORDERLY", 0.2, raising=False)
    # By its code: on a version that knows no end it is not there.
    with suppress(ImportError):
        monkeypatch.setattr("mcloud.minding.part_within", lambda _longest=0.0: SHORT)


@pytest.fixture
def over():
    """Return what is set when the test is over: nobody hangs any longer."""
    event = threading.Event()
    yield event
    event.set()


def _on(monkeypatch, machine, method, instead):
    """Have one machine's joiner do something else in a method."""
    real = getattr(Joining, method)

    def called(self, *given):
        return instead(self, *given) if self.name == machine else real(self, *given)

    monkeypatch.setattr(Joining, method, called)


def test_a_joiner_that_was_told_to_go_and_does_nothing_falls_out(monkeypatch):
    _on(monkeypatch, "n3", "go", lambda _joining, _go: None)
    with Broken(3, patience=8.0) as broken:
        outcome = broken.cloud.form(seconds=25)
        assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]
        assert "n3 is out: it is there, but came to the end of no step for" in broken.cloud.story()


class Stuck(Service):
    """A service that hangs in a step on one machine, in Python, where nothing can end it."""

    def __init__(self, world, over, **more):
        super().__init__(world, **more)
        self.over = over

    def step(self, machine, name, path, *acts, **more):
        if (machine, name) == ("n3", "packages"):
            return super().step(machine, name, path, lambda _me, _ctx: self.over.wait(60), seconds=1.0)
        return super().step(machine, name, path, *acts, **more)


def test_a_step_that_hangs_on_a_joiner_takes_that_one_out_and_is_named(over):
    with Broken(3, patience=8.0, service=partial(Stuck, over=over)) as broken:
        outcome = broken.cloud.form(seconds=25)
        assert [member["name"] for member in outcome.cloud["members"]] == ["n1", "n2"]
        said = "n3: svc packages (run in join) did not come back within 1 s, at test_dawdling.py line"
        assert f"n3 is out: join/svc/n3/n3/packages: {said}" in broken.cloud.story()


def test_a_step_that_hangs_on_the_initiator_ends_the_run_for_all(over):
    class Founding(Stuck):
        def step(self, machine, name, path, *acts, **more):
            if name == "found":
                return Service.step(
                    self, machine, name, path, lambda _me, _ctx: self.over.wait(60), seconds=1.0
                )
            return Service.step(self, machine, name, path, *acts, **more)

    with Broken(3, patience=8.0, service=partial(Founding, over=over)) as broken:
        failures = broken.cloud.form(seconds=25).failures
        assert "n1: svc found (run in bootstrap) did not come back within 1 s" in str(failures["n1"].lines())
        assert {*failures} == {"n1", "n2", "n3"}

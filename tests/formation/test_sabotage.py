"""Plugins that undo badly, lie, forget or repeat themselves: each is caught."""

from dataclasses import replace

import pytest
from breaking import Broken, Fault
from world import Service

from mcloud import hookimpl


def sabotaged(name, change):
    """Return a service of which one step is changed by a function."""

    class Sabotaged(Service):
        def step(self, machine, step, *what, **more):
            made = super().step(machine, step, *what, **more)
            return change(self, machine, made) if step == name else made

    return Sabotaged


def undoes_nothing(_service, _machine, step):
    return replace(step, undo=lambda _ctx: None)


def undoes_nothing_and_lies(_service, _machine, step):
    """Its probe says that it is gone as soon as undo was called."""
    called = []
    return replace(
        step,
        undo=lambda _ctx: called.append(True),
        probe=lambda ctx: None if called else step.probe(ctx),
    )


def undoes_too_much(_service, _machine, step):
    def undo(ctx):
        step.undo(ctx)
        ctx.host.write("/svc/shared", None)

    return replace(step, undo=undo)


def undoes_only_here(_service, _machine, step):
    """The file is gone, the service still knows the machine."""
    return replace(step, undo=lambda ctx: ctx.host.write("/svc/entered", None))


def undoes_only_what_was_finished(_service, _machine, step):
    """It does not bear a state that is half done."""
    return replace(step, undo=lambda ctx: step.undo(ctx) if step.probe(ctx) is not None else None)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("adapt", undoes_nothing, "cannot take back"),
        ("adapt", undoes_nothing_and_lies, "is not as it was before"),
        ("packages", undoes_too_much, "is not as it was before"),
        ("enter", undoes_only_here, "the service still knows"),
    ],
)
def test_a_broken_undo_is_caught(name, change, said):
    with Broken(2, service=sabotaged(name, change)) as broken:
        broken.resume()
        broken.check_cloud()
        with pytest.raises(AssertionError, match=said):
            _take_back(broken, ("n1", "n2") if name == "adapt" else ("n2", "n1"))


def test_an_undo_that_bears_no_half_done_state_is_caught():
    caught = []
    for number in range(1, 20):
        fault = Fault(machine="n1", at="use", number=number)
        service = sabotaged("found", undoes_only_what_was_finished)
        with Broken(2, [fault], service=service, patience=0.3) as broken:
            broken.once()
            try:
                _take_back(broken, ("n1", "n2"))
            except AssertionError as error:
                caught.append(str(error))
                break
    assert "the service still knows n1" in caught[0]


def _take_back(broken, order):
    broken.undo(order)
    broken.check_nothing()


# ---- probes --------------------------------------------------------------------------------------------


def sees_it_always(_service, _machine, step):
    return replace(step, probe=lambda _ctx: ())


def sees_it_never(_service, _machine, step):
    return replace(step, probe=lambda _ctx: None)


def sees_what_was_begun(service, machine, step):
    """It looks for a mark that outlives the process, and is made before the deed."""
    marks = service.__dict__.setdefault("marks", set())

    def run(ctx):
        marks.add(machine)
        step.run(ctx)

    return replace(step, run=run, probe=lambda _ctx: () if machine in marks else None)


def sees_it_late(_service, _machine, step):
    """Asked for the first time, it says no, whatever there is: after a kill all is done again."""
    asked = []

    def probe(ctx):
        asked.append(True)
        return step.probe(ctx) if len(asked) in {2, 4} else None

    return replace(step, probe=probe)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("enter", sees_it_always, "n2 has not what it should have"),
        ("packages", sees_it_never, "cannot be seen"),
    ],
)
def test_a_lying_probe_is_caught(name, change, said):
    with (
        Broken(2, service=sabotaged(name, change), patience=1.0) as broken,
        pytest.raises(AssertionError, match=said),
    ):
        broken.resume()
        broken.check_cloud()


@pytest.mark.parametrize(
    ("change", "said"),
    [(sees_what_was_begun, "has not what it should have"), (sees_it_late, "done twice")],
)
def test_a_probe_that_lies_of_what_is_half_done_is_caught(change, said):
    """At one of the lines or uses at which it is killed, and told which."""
    caught = []
    for at, number in [(at, number) for at in ("use", "line") for number in range(1, 20)]:
        fault = Fault(machine="n2", at=at, number=number)
        with Broken(2, [fault], service=sabotaged("adapt", change), patience=2.0) as broken:
            try:
                broken.resume()
                broken.check_cloud()
            except AssertionError as error:
                caught.append(str(error))
                break
    assert caught
    assert said in caught[0]


# ---- tokens --------------------------------------------------------------------------------------------


class Careless(Service):
    """It takes back no token of a machine that did not come."""

    @hookimpl
    def configure(self, nodes):
        yield self.step(nodes[0].name, "pool", "/svc/pool")

    def _leave(self, me, _ctx):
        self.world.members.discard(me)


def test_a_token_that_is_left_over_is_caught():
    fails = {("n2", "enter", "before"): 1}
    with Broken(2, fails=fails, service=Service) as broken:
        broken.resume()
        assert broken.check_cloud() == {"n1"}
    with Broken(2, fails=fails, service=Careless) as broken:
        broken.resume()
        with pytest.raises(AssertionError, match="tokens that let in"):
            broken.check_cloud()

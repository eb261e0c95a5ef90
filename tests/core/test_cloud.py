"""What each command does, as lists of stages: read from the plans that are made."""

import pytest

from mcloud import JoinToken, Manifest, Step, hookimpl
from mcloud.cloud import founder_plan, joiner_plan, plan_digest, plan_for
from mcloud.inputs import Inputs
from mcloud.plugins import Plugins

RECORD = Step(name="record", run=lambda _ctx: None, probe=lambda _ctx: ())


def _step(name, **more):
    return Step(name=name, run=lambda _ctx: None, probe=lambda _ctx: (), **more)


class Full:
    """A service with steps in all hooks."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="")

    @hookimpl
    def bootstrap(self):
        yield _step("found")

    @hookimpl
    def issue_token(self, node):
        yield Step(name="token", run=lambda _ctx: [JoinToken(value=node.name)], offers=(JoinToken,))

    @hookimpl
    def join(self, node):
        yield _step("prepare")
        if not node.founder:
            yield _step("enter", needs=(JoinToken,))
        yield _step("settle")

    @hookimpl
    def configure(self, nodes):
        yield _step(f"configure-{len(nodes)}")

    @hookimpl
    def adapt(self):
        yield _step("adapt")


class Local:
    """A service that needs no tokens."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="")

    @hookimpl
    def join(self):
        yield _step("join")


@pytest.fixture
def plugins():
    return Plugins.of(full=Full(), local=Local())


def _inputs(*names, services=("full", "local")):
    nodes = [{"name": name, "addresses": ["10.0.0.1"], "founder": name == names[0]} for name in names]
    return Inputs.model_validate(
        {
            "run": "0" * 16,
            "command": "init",
            "cloud": "c",
            "nodes": nodes,
            "services": services,
            "digest": "d",
        }
    )


def _shape(plan):
    """Return the plan as a person would write it down."""
    steps = {lane.key: " ".join(step.name for step in lane.steps) for lane in plan.lanes}
    return [
        f"{lane.stage}: {lane.hook} {lane.plugin} about {lane.about}: {steps[lane.key]}"
        for lane in plan.lanes
    ]


def test_the_founders_plan(plugins):
    assert _shape(founder_plan(plugins, _inputs("n1", "n2", "n3"), RECORD)) == [
        "found: bootstrap full about n1: found",
        "enter: join full about n1: prepare settle",
        "enter: join local about n1: join",
        "enter: issue_token full about n2: ready token",
        "enter: issue_token full about n3: ready token",
        "enter: admit core about n2: joined",
        "enter: admit core about n3: joined",
        "configure: configure full about n1: configure-3",
        "adapt: adapt full about n1: adapt",
        "adapt: follow core about n2: adapted",
        "adapt: follow core about n3: adapted",
        "close: close core about n1: record",
    ]


def test_a_joiners_plan(plugins):
    assert _shape(joiner_plan(plugins, _inputs("n1", "n2", "n3"), "n3", RECORD)) == [
        "enter: join full about n3: prepare token enter settle",
        "enter: join local about n3: join",
        "adapt: adapt full about n3: adapt",
        "close: close core about n3: record",
    ]


def test_alone(plugins):
    assert [line.split()[1] for line in _shape(founder_plan(plugins, _inputs("n1"), RECORD))] == [
        "bootstrap", "join", "join", "configure", "adapt", "close",
    ]  # fmt: skip


def test_services_that_are_off_have_no_part(plugins):
    lanes = founder_plan(plugins, _inputs("n1", services=("local",)), RECORD).lanes
    assert {lane.plugin for lane in lanes} == {"local", "core"}


def test_every_machine_makes_the_same_plan_of_every_machine(plugins):
    inputs = _inputs("n1", "n2")
    for name in ("n1", "n2"):
        here, there = (
            plan_for(Plugins.of(full=Full(), local=Local()), inputs, name, RECORD) for _ in range(2)
        )
        assert plan_digest(here, inputs) == plan_digest(there, inputs)


def test_the_digest_tells_machines_and_rosters_apart(plugins):
    digests = set()
    for inputs, name in [
        (_inputs("n1", "n2"), "n1"),
        (_inputs("n1", "n2"), "n2"),
        (_inputs("n1", "n2", "n3"), "n2"),
        (_inputs("n1", "n2").model_copy(update={"digest": "another"}), "n2"),
    ]:
        digests.add(plan_digest(plan_for(plugins, inputs, name, RECORD), inputs))
    assert len(digests) == 4


def test_a_machine_that_is_not_on_the_roster_has_no_plan(plugins):
    with pytest.raises(KeyError):
        plan_for(plugins, _inputs("n1", "n2"), "n9", RECORD)


def test_the_record_is_written_last(plugins):
    plan = founder_plan(plugins, _inputs("n1"), RECORD)
    assert plan.lanes[-1].stage == "close"
    assert plan.lanes[-1].steps == (RECORD,)

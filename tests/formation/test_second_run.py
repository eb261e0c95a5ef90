"""The same command once more: nothing is changed, and what was made can still be taken back."""

from collections import Counter

import pytest

from mcloud import Check, Manifest, ServiceState, Step, errors, hookimpl
from mcloud.cloud import plan_digest, plan_for
from mcloud.inputs import Inputs
from mcloud.plugins import Plugins
from mcloud.record import record_step


def test_a_second_identical_run_then_undo_takes_back_all(make_cloud, files, deeds):
    cloud = make_cloud(3)
    cloud.form().good()
    made = {name: files(machine) for name, machine in cloud.machines.items()}
    again = cloud.form(seconds=15)
    assert all(isinstance(error, errors.SettingsError) for error in again.failures.values())
    assert {name: files(machine) for name, machine in cloud.machines.items()} == made
    assert set(deeds.values()) == {1}
    for name in reversed(cloud.machines):
        assert cloud.undo(name).left == {}
        assert files(cloud[name]) == {}
        assert cloud[name].cloud is None


def test_what_was_there_before_is_adopted_and_stays_after_the_undo(make_cloud, store, compute, files):
    """A second run over what the first left: nothing is done twice, and only its own is taken back."""
    cloud = make_cloud(2, plugins={"compute": compute})
    for machine in cloud.machines.values():
        machine.host.write("/compute/joined", "by hand")
    cloud.form().good()
    for name in reversed(cloud.machines):
        assert cloud.undo(name).left == {}
        assert files(cloud[name]) == {"/compute/joined": "by hand"}


def test_tokens_do_not_change_the_plan_that_was_confirmed(make_cloud, store, compute):
    """Neither does anything else that a run makes: the digest is of the inputs and the steps' names."""
    cloud = make_cloud(3)
    cloud.form().good()
    assert sum(store.tokens.values()) == 2
    for name, machine in cloud.machines.items():
        journal = machine.journal()
        inputs = Inputs.model_validate(journal.inputs)
        plugins = Plugins.of(store=store, compute=compute)
        step = record_step(machine.state, inputs, lambda machine=machine: machine.cloud)
        assert plan_digest(plan_for(plugins, inputs, name, step), inputs) == journal.header["confirmed"]


class Clustered:
    """A service that says `clustered` once a machine is in it, and whose check refuses such machines."""

    def __init__(self):
        self.refused = Counter()

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Clusters")

    @hookimpl
    def inspect(self, host):
        return ServiceState(installed=True, standing="clustered" if host.read("/in") else "idle")

    @hookimpl
    def preflight(self, nodes):
        for node in nodes:
            if node.services["clustered"].standing == "clustered":
                self.refused[node.name] += 1
                yield Check(level="error", message="is clustered already", machine=node.name)

    @hookimpl
    def join(self, node):
        yield self._write("in", node.name)

    @hookimpl
    def adapt(self, node):
        yield self._write("adapted", node.name)

    def _write(self, name, text):
        return Step(
            name=name,
            run=lambda ctx: ctx.host.write(f"/{name}", text),
            probe=lambda ctx: () if ctx.host.read(f"/{name}") else None,
            undo=lambda ctx: ctx.host.write(f"/{name}", None),
        )


@pytest.fixture
def clustered():
    return Clustered()


@pytest.mark.parametrize("victim", ["n1", "n2"])
@pytest.mark.parametrize("line", range(2, 8))
def test_a_run_goes_on_though_its_machines_are_clustered_by_now(make_cloud, clustered, files, victim, line):
    """Killed at each line: the machines are not looked at anew, or their own work would keep them out."""
    cloud = make_cloud(2, plugins={"clustered": clustered}, patience=5.0)
    cloud.kill_at(victim, line)
    outcome = cloud.form()
    assert outcome.killed == (victim,)
    if outcome.failures:  # it was written already that all is done
        cloud.form()
    assert not clustered.refused
    for name, machine in cloud.machines.items():
        assert files(machine) == {"/in": name, "/adapted": name}
        assert machine.lines()[-1][0] == "finished"


def test_a_new_run_with_clustered_machines_is_refused(make_cloud, clustered):
    """So that the test above is one: without its journal a clustered machine is kept out."""
    cloud = make_cloud(2, plugins={"clustered": clustered})
    cloud["n2"].host.write("/in", "n2")
    outcome = cloud.form()
    assert clustered.refused == {"n2": 1}
    assert "checks found" in str(outcome.failures["n1"])


def test_who_failed_to_adapt_comes_after_when_all_type_the_command_again(make_cloud, store, compute, failing):
    """It is in the cloud and in the record: its last steps must not be out of reach for ever."""
    service = failing("n2", stage="adapt")
    cloud = make_cloud(3, plugins={"store": store, "compute": compute, "failing": service})
    cloud.form()
    assert "n2 did not hear the end" in cloud.story()
    # As long as it is not put right the same is said again.
    assert isinstance(cloud.form(without=["n3"]).failures["n2"], errors.RunFailed)
    service.fails = False
    cloud.form(without=["n3"]).good()
    assert cloud["n2"].cloud == cloud["n1"].cloud
    assert cloud["n1"].journal().finished
    assert cloud["n2"].lines()[-1][0] == "finished"

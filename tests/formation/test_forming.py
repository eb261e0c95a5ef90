"""Whole clouds in memory, with the real halves: what comes of one command on every machine."""

from types import ModuleType
from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from mcloud import Ask, Check, Manifest, ServiceState, Settings, Step, errors, hookimpl
from mcloud.model import Node
from mcloud.plugins import Plugins


def _expected(number, machines):
    """Return the files of one machine of a formed cloud."""
    name = f"n{number}"
    found = {
        "/compute/joined": name,
        "/compute/members": ",".join(f"n{other}" for other in range(1, machines + 1)),
        "/store/access": "yes",
        "/store/brick": name,
    }
    if number == 1:
        bricks = ",".join(f"n{other}" for other in range(1, machines + 1))
        return {**found, "/store/founded": "n1", "/store/pool": bricks, "/compute/pools": "fast"}
    token = f"token-made-for-{name}-who-said-{name} asks"
    return {**found, "/store/request": "asked", "/store/joined": token}


@pytest.mark.parametrize("machines", [1, 2, 3, 5])
def test_a_cloud_is_formed(make_cloud, files, deeds, machines):
    cloud = make_cloud(machines)
    record = cloud.form().good().cloud
    for number, machine in enumerate(cloud.machines.values(), start=1):
        assert files(machine) == _expected(number, machines)
        assert machine.cloud == record
        assert machine.lines()[-1][0] == "finished"
    assert set(deeds.values()) == {1}
    assert [member["name"] for member in record["members"]] == list(cloud.machines)


def test_a_formed_cloud_is_left_alone(make_cloud, deeds):
    cloud = make_cloud(2)
    cloud.form().good()
    again = cloud.form(seconds=10)
    assert all(isinstance(error, errors.SettingsError) for error in again.failures.values())
    assert set(again.failures) == {"n1", "n2"}
    assert set(deeds.values()) == {1}


def test_who_is_not_there_uses_what_it_can_without(make_cloud, compute, files):
    cloud = make_cloud(2, plugins={"compute": compute})
    cloud.form().good()
    assert files(cloud["n1"])["/compute/pools"] == "none"


def test_all_plans_are_shown_and_confirmed_before_anything_is_done(make_cloud, deeds):
    cloud = make_cloud(2)
    cloud["n1"].person.confirms = False
    outcome = cloud.form()
    assert "was not confirmed" in str(outcome.failures["n1"])
    assert "was not confirmed" in str(outcome.failures["n2"])
    assert not deeds
    shown = cloud["n1"].person.plans
    assert {line.key for line in shown["n2"]} >= {"join/store/n2/n2/enter", "join/compute/n2/n2/join"}
    assert all(line.to_do for lines in shown.values() for line in lines)
    assert cloud["n1"].state.latest() is None
    cloud["n1"].person.confirms = True
    cloud.form().good()


def test_only_the_plan_can_be_asked_for(make_cloud, deeds):
    cloud = make_cloud(2, purpose="plan")
    cloud.form().good()
    assert set(cloud["n1"].person.plans) == {"n1", "n2"}
    assert not deeds
    assert all(machine.state.latest() is None for machine in cloud.machines.values())


def test_what_is_lost_for_good_is_named_to_who_confirms(make_cloud):
    wiper = ModuleType("wiper")

    @hookimpl
    def manifest():
        return Manifest(api=1, summary="Wipes")

    @hookimpl
    def join(node):
        yield Step(
            name="wipe",
            run=lambda ctx: ctx.host.write("/wiped", "x"),
            probe=lambda ctx: () if ctx.host.read("/wiped") else None,
            destroys=(f"all on /dev/sdb of {node.name}",),
        )

    vars(wiper).update(manifest=manifest, join=join)
    cloud = make_cloud(2, plugins={"wiper": wiper})
    cloud["n2"].host.write("/wiped", "long ago")
    cloud.form().good()
    assert cloud["n1"].person.destroys == ("all on /dev/sdb of n1",)


def test_machines_join_side_by_side_as_far_as_the_service_admits_it(make_cloud, store_of, compute):
    one_by_one = store_of(joins_at_once=1)
    make_cloud(4, plugins={"store": one_by_one, "compute": compute}).form().good()
    assert one_by_one.most_joining == 1
    assert dict(one_by_one.tokens) == {"n2": 1, "n3": 1, "n4": 1}


def test_the_initiators_factor_stretches_the_deadlines_of_all(make_cloud):
    slow = ModuleType("slow")

    @hookimpl
    def manifest():
        return Manifest(api=1, summary="Takes its time")

    @hookimpl
    def join():
        yield Step(
            name="note",
            run=lambda ctx: ctx.host.write("/stretch", str(ctx.host.stretch)),
            probe=lambda ctx: () if ctx.host.read("/stretch") else None,
        )

    vars(slow).update(manifest=manifest, join=join)
    cloud = make_cloud(3, plugins={"slow": slow}, deadlines=2.0)
    cloud.form().good()
    assert {cloud[name].host.read("/stretch") for name in ("n1", "n2", "n3")} == {"2.0"}


def test_secrets_reach_the_steps_of_all_machines_and_nothing_else(make_cloud):
    class Locked(Settings):
        key: Annotated[SecretStr | None, Ask("Key")] = Field(default=None, description="Opens it")

    safe = ModuleType("safe")
    planned = []

    @hookimpl
    def manifest():
        return Manifest(api=1, summary="Safe", settings=Locked)

    @hookimpl
    def join(settings):
        planned.append(settings.key)
        yield Step(
            name="lock",
            run=lambda ctx: ctx.host.write("/safe", ctx.secret("key").get_secret_value(), mode=0o600),
            probe=lambda ctx: () if ctx.host.read("/safe") else None,
        )

    vars(safe).update(manifest=manifest, join=join)
    secret = "tulip-hammer-42"
    cloud = make_cloud(
        2,
        plugins={"safe": safe},
        settings={"safe": {"key": None}},
        secrets={"safe": {"key": SecretStr(secret)}},
    )
    record = cloud.form().good().cloud
    assert set(planned) == {None}
    assert secret not in str(record)
    for machine in cloud.machines.values():
        assert machine.host.read("/safe") == secret
        for path in machine.folder.rglob("*"):
            assert not path.is_file() or secret not in path.read_text()


def test_checks_that_find_errors_stop_all_before_any_change(make_cloud, deeds):
    checker = ModuleType("checker")
    seen: list[Node] = []

    @hookimpl
    def manifest():
        return Manifest(api=1, summary="Checks")

    @hookimpl
    def inspect(host):
        return ServiceState(installed=True, version=f"1.{host.name}")

    @hookimpl
    def preflight(nodes):
        seen.extend(nodes)
        yield Check(level="error", message="has no disk", machine="n2", hint="give it one")
        yield Check(level="error", message="is too old", machine="n1")
        yield Check(level="warning", message="is slow", machine="n1")

    @hookimpl
    def join():
        yield Step(name="never", run=lambda ctx: ctx.host.write("/x", "x"), probe=lambda _ctx: None)

    vars(checker).update(manifest=manifest, inspect=inspect, preflight=preflight, join=join)
    cloud = make_cloud(2, plugins={"checker": checker})
    outcome = cloud.form()
    problems = outcome.failures["n1"].problems
    assert [problem.partition(" (")[0] for problem in problems] == ["n2: has no disk", "n1: is too old"]
    assert [node.services["checker"].version for node in seen] == ["1.n1", "1.n2"]
    assert "checks found" in str(outcome.failures["n2"])
    assert not deeds


def test_machines_with_other_versions_of_a_plugin_are_refused(make_cloud, store, compute, monkeypatch):
    whole = Plugins.of

    def older(**modules):
        plugins = whole(**modules)
        if modules["compute"] is compute:
            return plugins
        plugins.versions["compute"] = "0.9"
        return plugins

    monkeypatch.setattr(Plugins, "of", older)
    another = type(compute)()
    cloud = make_cloud(
        2,
        patience=1.0,
        plugins=lambda name: {"store": store, "compute": compute if name == "n1" else another},
    )
    outcome = cloud.form()
    problem = "plugin compute: wanted 0, as on the initiator; found 0.9"
    assert outcome.failures["n2"].problems == (problem,)
    assert f"n2: refused: {problem}" in str(outcome.failures["n1"])


def test_machines_that_plan_differently_are_refused(make_cloud, store, compute, deeds):
    class Other(type(compute)):
        @hookimpl
        def adapt(self, node):
            yield Step(name="something-else", run=lambda _ctx: None, probe=lambda _ctx: ())

    other = Other()
    cloud = make_cloud(
        2, plugins=lambda name: {"store": store, "compute": compute if name == "n1" else other}
    )
    outcome = cloud.form()
    assert "makes another plan" in str(outcome.failures["n1"])
    assert "makes another plan" in str(outcome.failures["n2"])
    assert not deeds


def test_undo_on_each_machine_takes_everything_back(make_cloud, files):
    cloud = make_cloud(3)
    cloud.form().good()
    for name in reversed(cloud.machines):
        undone = cloud.undo(name)
        assert undone.left == {}
        assert files(cloud[name]) == {}
        assert cloud[name].cloud is None
        assert cloud[name].lines()[-1][0] == "reverted"


def test_after_an_undo_a_new_cloud_is_formed(make_cloud, files):
    cloud = make_cloud(2)
    first = cloud.form().good().cloud
    for name in cloud.machines:
        cloud.undo(name)
    second = cloud.form().good().cloud
    assert second["id"] != first["id"]
    assert files(cloud["n2"])["/compute/members"] == "n1,n2"

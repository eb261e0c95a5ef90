"""Inputs: all that a plan is made of, the same on every machine, without secrets."""

from typing import Annotated

import pytest
from pydantic import Field, SecretStr, ValidationError

from mcloud import Ask, DiskChoice, Manifest, PluginError, Settings
from mcloud.inputs import Inputs, digest_of


class Wide(Settings):
    replicas: Annotated[int, Ask("Copies")] = Field(default=3, description="Copies", ge=1)
    key: Annotated[SecretStr | None, Ask("Key")] = Field(default=None, description="Key")


class Single(Settings):
    disks: Annotated[tuple[DiskChoice, ...], Ask("Disks")] = Field(default=(), description="Disks")


MANIFEST = Manifest(api=1, summary="", settings=Wide, node_settings=Single)


@pytest.fixture
def inputs():
    return Inputs.model_validate(
        {
            "run": "0123456789abcdef",
            "command": "init",
            "cloud": "home",
            "nodes": [
                {"name": name, "addresses": [f"10.0.0.{number}"], "founder": number == 1}
                for number, name in enumerate(["n1", "n2", "n3"], start=1)
            ],
            "services": ["ceph"],
            "settings": {"ceph": {"replicas": 2, "key": None}},
            "node_settings": {"ceph": {"n2": {"disks": [{"path": "/dev/sdb", "wipe": True}]}}},
            "digest": "d",
        }
    )


def test_the_founder_comes_first(inputs):
    assert inputs.founder.name == "n1"
    assert [node.name for node in inputs.joiners] == ["n2", "n3"]
    assert inputs.node("n3").address == "10.0.0.3"
    assert inputs.node("n4") is None


def test_hooks_get_their_own_models(inputs):
    asked = inputs.asked("ceph", MANIFEST, inputs.joiners[0])
    assert asked["node"].name == "n2"
    assert [node.name for node in asked["nodes"]] == ["n1", "n2", "n3"]
    assert asked["settings"] == Wide(replicas=2, key=None)
    assert asked["node_settings"] == {
        "n1": Single(),
        "n2": Single(disks=(DiskChoice(path="/dev/sdb", wipe=True),)),
        "n3": Single(),
    }


def test_who_has_no_settings_gets_none(inputs):
    asked = inputs.asked("other", Manifest(api=1, summary=""), inputs.founder)
    assert asked["settings"] is None
    assert asked["node_settings"] == {}


def test_settings_that_no_longer_fit_are_the_plugins_matter(inputs):
    changed = inputs.model_copy(update={"settings": {"ceph": {"replicas": 0}}})
    with pytest.raises(PluginError, match="stored settings of ceph do not fit"):
        changed.asked("ceph", MANIFEST, inputs.founder)


def test_machines_can_be_cut(inputs):
    smaller = inputs.without(["n2"])
    assert [node.name for node in smaller.nodes] == ["n1", "n3"]
    assert [node.name for node in smaller.fallen] == ["n2"]
    assert smaller.model_copy(update={"nodes": inputs.nodes, "fallen": ()}) == inputs
    assert [node.name for node in smaller.without(["n3"]).fallen] == ["n2", "n3"]


def test_of_the_same_run_they_differ_by_who_is_in_and_by_nothing_else(inputs):
    smaller, members = inputs.without(["n2"]), inputs.with_members({"n1"})
    assert [node.standing for node in members.nodes] == ["member", "joining", "joining"]
    assert all(one.is_of(inputs) for one in (inputs, smaller, members, members.without(["n3"])))
    stranger = inputs.nodes[1].model_copy(update={"name": "n9"})
    others = [
        {"services": ("other",)},
        {"settings": {"lxd": {"local": "dir"}}},
        {"nodes": (*inputs.nodes, stranger)},
        {"nodes": inputs.nodes[::-1]},
        {"nodes": inputs.nodes[:2]},  # who is out is named
        {"fallen": (stranger,)},
        {
            "nodes": (
                inputs.nodes[0],
                inputs.nodes[1].model_copy(update={"fingerprint": "f"}),
                inputs.nodes[2],
            )
        },
    ]
    assert not [change for change in others if inputs.model_copy(update=change).is_of(inputs)]


def test_they_come_back_from_paper_the_same(inputs):
    assert Inputs.model_validate_json(inputs.model_dump_json()) == inputs
    assert Inputs.model_validate({**inputs.model_dump(mode="json"), "event": "plan", "newer": 1}) == inputs


@pytest.mark.parametrize("run", ["", "../../etc/passwd", "0123456789ABCDEF", "0123456789abcdef\n"])
def test_a_run_has_an_id(inputs, run):
    with pytest.raises(ValidationError):
        Inputs.model_validate({**inputs.model_dump(mode="json"), "run": run})


def test_digests_do_not_depend_on_order():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"b": [1, 2]}) != digest_of({"b": [2, 1]})

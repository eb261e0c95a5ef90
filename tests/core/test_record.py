"""The cloud's record: who is in it, how it was set up, and what its machines told."""

from types import SimpleNamespace

import pytest

from mcloud import Manifest, McloudError, ProtocolError
from mcloud.context import Board, write_offers
from mcloud.inputs import Inputs
from mcloud.plan import Plan
from mcloud.record import Cloud, by_plugin, cloud_of, own_facts, read_facts, record_step, unknown_yet
from mcloud.state import State


@pytest.fixture
def inputs():
    return Inputs.model_validate(
        {
            "run": "0123456789abcdef",
            "command": "init",
            "cloud": "home",
            "nodes": [
                {"name": "n1", "addresses": ["10.0.0.1", "fd00::1"], "founder": True, "fingerprint": "f1"},
                {"name": "n2", "addresses": ["10.0.0.2"], "fingerprint": "f2"},
            ],
            "services": ["ceph"],
            "settings": {"ceph": {"replicas": 2, "key": None}},
        }
    )


def test_it_names_all_members(inputs, apple):
    facts = {"n1": {"ceph": tuple(write_offers([apple()]))}, "n2": {}}
    record = cloud_of(inputs, {"n1": "cert 1", "n2": "cert 2"}, facts)
    assert record.id == inputs.run
    assert [(member.name, member.founder, member.certificate) for member in record.members] == [
        ("n1", True, "cert 1"),
        ("n2", False, "cert 2"),
    ]
    assert record.members[0].addresses == ("10.0.0.1", "fd00::1")
    assert record.settings == {"ceph": {"replicas": 2, "key": None}}
    assert record.facts == {"ceph": {"n1": ({"kind": "Apple", "fact": {"color": "red"}},)}}
    assert record.formed.tzinfo is not None


def test_it_comes_back_from_paper_and_bears_a_newer_version(inputs):
    record = cloud_of(inputs, {"n1": "", "n2": ""}, {})
    text = record.model_dump(mode="json")
    assert Cloud.model_validate({**text, "of a newer version": 1}) == record


def test_writing_it_is_a_step_like_any_other(tmp_path, inputs):
    state = State(tmp_path / "state")
    record = cloud_of(inputs, {"n1": "", "n2": ""}, {}).model_dump(mode="json")
    step = record_step(state, inputs, lambda: record)
    assert step.probe(None) is None
    assert step.run(None) is None
    assert step.probe(None) == ()
    assert state.read_cloud()["name"] == inputs.cloud
    other = inputs.model_copy(update={"run": "4567456745674567"})
    assert record_step(state, other, dict).probe(None) is None, "it is the record of another run"
    smaller = inputs.without(["n2"])
    assert record_step(state, smaller, dict).probe(None) is None, "it is the record of another roster"
    step.undo(None)
    assert state.read_cloud() is None


def test_where_it_is_not_known_it_is_not_written(tmp_path, inputs):
    with pytest.raises(McloudError, match="not known yet"):
        record_step(State(tmp_path / "state"), inputs, unknown_yet).run(None)


def test_facts_are_what_joins_offered_of_the_kinds_that_are_declared(lane, step, apple, pear):
    plan = Plan(
        "n1",
        (
            lane(step("a", seen=[apple(), pear()])),
            lane(step("b", seen=[apple(color="green")]), stage="configure", hook="configure"),
        ),
    )
    board = Board()
    board.put("join/fruit/n1/n1/a", [apple(), pear()])
    board.put("configure/fruit/n1/n1/b", [apple(color="green")])
    manifests = {"fruit": Manifest(api=1, summary="", facts=(apple,))}
    assert own_facts(plan, board, manifests) == {"fruit": ({"kind": "Apple", "fact": {"color": "red"}},)}


def test_facts_are_read_by_plugin_and_machine(apple):
    manifests = {"fruit": Manifest(api=1, summary="", facts=(apple,))}
    told = by_plugin(
        {"n2": {"fruit": tuple(write_offers([apple()])), "unknown": ({"kind": "X", "fact": {}},)}}
    )
    assert read_facts(told, manifests) == {("fruit", "n2"): (apple(),)}


@pytest.mark.parametrize(
    "nonsense", [{"kind": "Apple", "fact": {"color": 1}}, {"kind": "Apple"}, {"fact": {}}, {}]
)
def test_facts_that_make_no_sense_are_the_other_sides_fault(apple, nonsense):
    manifests = {"fruit": SimpleNamespace(facts=(apple,))}
    with pytest.raises(ProtocolError, match="make no sense"):
        read_facts({"fruit": {"n2": [nonsense]}}, manifests)

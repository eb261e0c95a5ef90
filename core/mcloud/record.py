"""The cloud's record: who is in it and how it was set up; `cloud.json` until a replicated store keeps it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from mcloud.context import Board, read_offers, write_offers
from mcloud.errors import McloudError, ProtocolError
from mcloud.inputs import Inputs
from mcloud.model import Manifest
from mcloud.offers import Offer
from mcloud.plan import Plan
from mcloud.records import Printable, Record
from mcloud.state import State
from mcloud.steps import Step, StepContext

FORMAT = 1
Facts = Mapping[str, tuple[Mapping[str, Any], ...]]
"""What one machine's joins offered of their plugins' fact kinds, as it travels, by plugin."""


class Member(Record):
    """One machine of the cloud, and the certificate it is known by."""

    name: Printable
    addresses: tuple[Printable, ...]
    fingerprint: Printable
    certificate: str
    founder: bool = False


class Cloud(Record):
    """The record as every machine keeps it. No secret is in it."""

    format: int = FORMAT
    id: Printable = Field(description="of the run that formed it")
    name: Printable
    formed: datetime
    members: tuple[Member, ...]
    services: tuple[Printable, ...]
    settings: Mapping[str, Mapping[str, Any]]
    node_settings: Mapping[str, Mapping[str, Mapping[str, Any]]]
    versions: Mapping[str, str]
    facts: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]] = Field(
        default_factory=dict, description="by plugin and machine"
    )


def cloud_of(inputs: Inputs, certificates: Mapping[str, str], facts: Mapping[str, Facts]) -> Cloud:
    """Return the record of a cloud that was formed just now; `facts` and `certificates` by machine."""
    return Cloud(
        id=inputs.run,
        name=inputs.cloud,
        formed=datetime.now(UTC),
        members=tuple(
            Member(
                name=node.name,
                addresses=tuple(str(address) for address in node.addresses),
                fingerprint=node.fingerprint,
                certificate=certificates[node.name],
                founder=node.founder,
            )
            for node in inputs.nodes
        ),
        services=inputs.services,
        settings=inputs.settings,
        node_settings=inputs.node_settings,
        versions=inputs.versions,
        facts=by_plugin(facts),
    )


def record_step(state: State, inputs: Inputs, cloud: Callable[[], Mapping[str, Any]]) -> Step:
    """Return the core's own last step: write what `cloud()` gives to `cloud.json`."""
    names = [node.name for node in inputs.nodes]

    def probe(_ctx: StepContext) -> Sequence[Offer] | None:
        known = state.read_cloud()
        if known is None or known.get("id") != inputs.run:
            return None
        return () if [member.get("name") for member in known.get("members", ())] == names else None

    def write(_ctx: StepContext) -> None:
        state.write_cloud(cloud())

    def forget(_ctx: StepContext) -> None:
        state.write_cloud(None)

    return Step(name="record", run=write, probe=probe, undo=forget)


def unknown_yet() -> Mapping[str, Any]:
    """Stand for the record where a plan is only shown or undone."""
    raise McloudError("the cloud's record is not known yet")


def own_facts(
    plan: Plan, board: Board, manifests: Mapping[str, Manifest]
) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Return what this machine's joins offered of their plugins' fact kinds."""
    facts: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for key, (lane, _step) in plan.steps.items():
        if lane.hook == "join":
            kinds = manifests[lane.plugin].facts
            told = [offer for offer in board.of(key) if type(offer) in kinds]
            facts[lane.plugin] = (*facts.get(lane.plugin, ()), *write_offers(told))
    return facts


def by_plugin(facts: Mapping[str, Facts]) -> dict[str, dict[str, tuple[Mapping[str, Any], ...]]]:
    """Turn facts by machine and plugin into facts by plugin and machine."""
    turned: dict[str, dict[str, tuple[Mapping[str, Any], ...]]] = {}
    for machine, told in facts.items():
        for plugin, offers in told.items():
            turned.setdefault(plugin, {})[machine] = offers
    return turned


def read_facts(
    facts: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], manifests: Mapping[str, Manifest]
) -> dict[tuple[str, str], tuple[Offer, ...]]:
    """Read facts by plugin and machine, as `Surroundings` holds them; unknown plugins are left out.

    Raises ProtocolError for what is no such fact.
    """
    try:
        return {
            (plugin, machine): read_offers(offers, manifests[plugin].facts)
            for plugin, machines in facts.items()
            if plugin in manifests
            for machine, offers in machines.items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"the facts that a machine told make no sense ({type(error).__name__})") from None

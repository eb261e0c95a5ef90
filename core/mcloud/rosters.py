"""Who is in a run: machines fall out of it, and come back when the same command is typed again."""

from collections.abc import Callable, Collection
from typing import Literal

from mcloud.cloud import plan_digest
from mcloud.errors import ProtocolError, SettingsError
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.plan import Plan, refuse_more_losses


def confirmed(journal: Journal) -> Inputs:
    """Return the inputs of the plan that a person confirmed when the run began."""
    return Inputs.model_validate(journal.header)


def present(journal: Journal) -> Inputs:
    """Return the inputs as they are now: with the roster of the last change."""
    return Inputs.model_validate(journal.inputs)


def lacking(journal: Journal) -> tuple[str, ...]:
    """Return the names of the machines that were to be in the cloud and are out."""
    names = {node["name"] for node in journal.inputs["nodes"]}
    return tuple(node["name"] for node in journal.header["nodes"] if node["name"] not in names)


def over(journal: Journal) -> bool:
    """Whether a run cannot go on: all machines are in that were to be, or an undo of it began."""
    return journal.closed or (journal.finished and not lacking(journal))


def going_on(journal: Journal) -> Inputs:
    """Return what a run goes on with: of one that is finished, with all back that fell out of it."""
    return whole(journal) if journal.finished else present(journal)


def whole(journal: Journal) -> Inputs:
    """Return the inputs with all back that fell out; who is in the cloud by now is a member of it.

    Each time they are let back in is told apart from the one before: what they were given then may have been
    revoked since, and a journal that holds the same roster already does not count for it.
    """
    whole = confirmed(journal).with_members({node["name"] for node in journal.inputs["nodes"]})
    return whole.model_copy(update={"back": present(journal).back + 1})


def reunited(journal: Journal, here: Collection[str]) -> Inputs | None:
    """Return the whole roster where somebody fell out of the run before, and by now all are here, else None.

    `here` are the fingerprints of the joiners that are connected.
    """
    inputs = whole(journal)
    everybody = {node.fingerprint for node in inputs.joiners}
    return inputs if lacking(journal) and everybody <= {*here} else None


def change(journal: Journal, inputs: Inputs, planned: Callable[[Inputs], Plan]) -> Plan:
    """Write down another roster, and return its plan; what was done for the last one is looked at again.

    Raises ProtocolError for inputs that differ from those that were confirmed by more than that, PlanError
    if their plan would destroy what nobody confirmed.
    """
    first = confirmed(journal)
    if not inputs.is_of(first):
        raise ProtocolError("the inputs differ from those that were confirmed by more than their roster")
    plan = planned(inputs)
    refuse_more_losses(plan, confirmed=planned(first))
    event: Literal["cut", "grown"] = "cut" if len(inputs.nodes) < len(journal.inputs["nodes"]) else "grown"
    journal.write(event, **inputs.model_dump(mode="json"))
    return plan


def refuse_other_plan(journal: Journal, planned: Callable[[Inputs], Plan]) -> None:
    """Raise SettingsError if what was confirmed is not planned any more: something was installed since."""
    first = confirmed(journal)
    if journal.header.get("confirmed") != plan_digest(planned(first), first):
        raise SettingsError(
            "the unfinished run cannot be planned again: mcloud or a plugin has changed since",
            hint="install the version the run began with, or take the run back with `mcloud undo`",
        )


def members_of(inputs: Inputs) -> Collection[str]:
    """Return the names of those who are in the cloud already."""
    return {node.name for node in inputs.nodes if node.standing == "member"}

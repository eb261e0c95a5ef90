"""Who is in a run: machines fall out of it, and come back when the same command is typed again."""

from collections.abc import Collection
from typing import Literal

from mcloud.errors import ProtocolError
from mcloud.inputs import Inputs
from mcloud.journal import Journal


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


def whole(journal: Journal) -> Inputs:
    """Return the inputs with all back that fell out; who is in the cloud by now is a member of it."""
    return confirmed(journal).with_members({node["name"] for node in journal.inputs["nodes"]})


def change(journal: Journal, inputs: Inputs) -> None:
    """Write down another roster; what was done for the last one is looked at again from here on.

    Raises ProtocolError for inputs that differ from those that were confirmed by more than that.
    """
    if not inputs.is_of(confirmed(journal)):
        raise ProtocolError("the inputs differ from those that were confirmed by more than their roster")
    event: Literal["cut", "grown"] = "cut" if len(inputs.nodes) < len(journal.inputs["nodes"]) else "grown"
    journal.write(event, **inputs.model_dump(mode="json"))


def members_of(inputs: Inputs) -> Collection[str]:
    """Return the names of those who are in the cloud already."""
    return {node.name for node in inputs.nodes if node.standing == "member"}

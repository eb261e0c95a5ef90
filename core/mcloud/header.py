"""The first line of a run's journal: all inputs of planning, who this machine is, and what was confirmed."""

from typing import Any

from mcloud.cloud import plan_digest
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.model import Role
from mcloud.plan import Plan
from mcloud.secrets import Secrets
from mcloud.state import State


def begin_journal(
    state: State, known: Secrets, plan: Plan, inputs: Inputs, *, role: Role, command: str, **more: Any
) -> Journal:
    """Note a run in the index and begin its journal; `more` goes into the first line, too."""
    path = state.journal_path(inputs.run)
    if path.exists() and Journal.open(path, known).has("reverted"):
        state.set_aside(inputs.run)
    state.begin_run(command=command, role=role, digest=inputs.digest, run=inputs.run)
    confirmed = plan_digest(plan, inputs)
    header = {**inputs.model_dump(mode="json"), "machine": plan.machine, **more, "confirmed": confirmed}
    return Journal.create(path, header, known)

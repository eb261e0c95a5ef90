"""A plan with its probes: what would be done, without doing it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from mcloud.context import Surroundings
from mcloud.host import Host
from mcloud.journal import Journal
from mcloud.model import printable
from mcloud.plan import Plan
from mcloud.preview import preview
from mcloud.secrets import Secrets
from mcloud.session.protocol import OutlookLine
from mcloud.steps import Step


def outlook_lines(
    host: Host,
    plan: Plan,
    secrets: Mapping[str, Mapping[str, SecretStr | None]],
    known: Secrets,
    journal: Journal | None,
) -> tuple[OutlookLine, ...]:
    """Probe all steps of a plan; a run's journal is read, and where there is none yet nothing is written."""
    with tempfile.TemporaryDirectory(prefix="mcloud-") as folder:
        used = journal or Journal.create(Path(folder) / "rehearsal.jsonl", {}, known)
        to_do = preview(Surroundings(host=host, plan=plan, journal=used, secrets=secrets))
    return tuple(
        OutlookLine(key=key, to_do=to_do[key], destroys=tuple(printable(loss) for loss in step.destroys))
        for key, (_lane, step) in plan.steps.items()
        if isinstance(step, Step)
    )


def losses(plans: Mapping[str, Sequence[OutlookLine]]) -> list[str]:
    """Return all that some machines' plans destroy, in words."""
    return [loss for lines in plans.values() for line in lines if line.to_do for loss in line.destroys]

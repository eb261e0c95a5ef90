"""One machine of a FakeCloud: what survives when its process does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcloud.journal import Journal
from mcloud.secrets import Secrets
from mcloud.state import State
from mcloud.testing.host import FakeHost
from mcloud.testing.network import Relay
from mcloud.testing.power import Moment
from mcloud.testing.prompts import Scripted
from mcloud.watch import Happening


@dataclass(kw_only=True)
class Machine:
    """One machine: its disk, its wire, the person before it and all that happened on it."""

    name: str
    address: str
    host: FakeHost
    folder: Path
    relay: Relay | None
    """Its wire to the initiator; the initiator has none."""
    person: Scripted = field(default_factory=Scripted)
    happenings: list[Happening] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    """What its person types when asked for the code, one after another; the right one when it is empty."""
    fatal: tuple[int, Moment] | None = None
    """At which line of the journal it will lose its power, and how."""

    @property
    def state(self) -> State:
        """What mcloud keeps on it."""
        return State(self.folder)

    @property
    def cloud(self) -> Mapping[str, Any] | None:
        """The cloud's record as it has it; None if it is in none."""
        return self.state.read_cloud()

    def journal(self) -> Journal:
        """Return the journal of its latest run."""
        entry = self.state.latest()
        assert entry is not None, f"{self.name} has no run"
        return Journal.open(self.state.journal_path(entry.id), Secrets())

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return the journal of its latest run as (event, key)."""
        return tuple((line["event"], line["key"]) for line in self.journal().lines())

"""What the core asks of and shows to the person who typed the command; `cli/screen.py` does it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import SecretStr

from mcloud.model import Check
from mcloud.session.protocol import OutlookLine


class Operator(Protocol):
    """The person at this machine; called from any thread."""

    def notice(self, text: str) -> None:
        """Show one line about the session."""
        ...

    def machine(self, name: str, state: str) -> None:
        """Know where a joiner is now (a `Standing`); what a person is to read of it is a notice."""
        ...

    def show_code(self, code: SecretStr, *, renewed: bool) -> None:
        """Show the code that joiners are to be given."""
        ...

    def show_plans(self, plans: Mapping[str, Sequence[OutlookLine]], checks: Sequence[Check]) -> None:
        """Show what will be done on each machine, what is lost for good, and what the checks found."""
        ...

    def confirm(self, destroys: Sequence[str]) -> bool:
        """Return whether the plan may be carried out. Raises SettingsError if nobody can be asked."""
        ...

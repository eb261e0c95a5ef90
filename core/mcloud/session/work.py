"""What a joiner does with what it is told; `joining.py` does it."""

from collections.abc import Mapping
from typing import Any, Protocol

from mcloud.session.protocol import Go, OutlookLine, Proposal


class Work(Protocol):
    """What a joiner does with what it is told; called from the thread that listens."""

    @property
    def run(self) -> str:
        """The run it is in the middle of, empty if none."""
        ...

    def propose(self, proposal: Proposal) -> tuple[tuple[OutlookLine, ...], str]:
        """Make one's own plan; return it and its digest. Raises McloudError for what cannot be accepted."""
        ...

    def admit(self, digest: str) -> None:
        """Accept the digest that a person confirmed; the journal begins. Raises ProtocolError for another."""
        ...

    def go(self, go: Go) -> None:
        """Begin a stage, or say again what came of it."""
        ...

    def token(self, plugin: str, value: str) -> None:
        """Take a join token."""
        ...

    def close(self, cloud: Mapping[str, Any]) -> None:
        """Keep the cloud's record: the run is complete."""
        ...

    def take_back(self) -> None:
        """Take this machine's part back, because the run is taken back where it is led.

        Raises McloudError if something is left, ProtocolError if the run is complete here.
        """
        ...

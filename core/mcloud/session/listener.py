"""Who is told, on the initiator, what the joiners say."""

from typing import Protocol

from mcloud.session.lobby import Guest
from mcloud.session.protocol import Failed, Joined, Outlook
from mcloud.watch import Happening


class Listener(Protocol):
    """Who is told what the joiners say; called from the guests' threads, must return at once."""

    def noticed(self, guest: Guest, what: str) -> None:
        """Show in one line that a joiner came, left or was refused."""
        ...

    def came(self, guest: Guest) -> None:
        """Show that a joiner is here and what it brings, or why it was refused."""
        ...

    def outlook(self, guest: Guest, outlook: Outlook) -> None:
        """Check a joiner's plan against one's own; raises ProtocolError if they differ."""
        ...

    def ready(self, guest: Guest, plugin: str, request: bytes) -> None:
        """Have a token made for a joiner whose lane waits for it."""
        ...

    def progress(self, guest: Guest, happening: Happening) -> None:
        """Show what happened on a joiner."""
        ...

    def parted(self, guest: Guest) -> None:
        """Take note that a joiner heard that the cloud is formed."""
        ...

    def settled(self, guest: Guest, message: Joined | Failed) -> None:
        """Take note that a joiner's stage came to its end, good or bad."""
        ...

"""One connection at a door, from its first packet on."""

import asyncio
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

from mcloud.session.limits import Visitor, plain_address
from mcloud.session.sources import carrier_of, source_of
from mcloud.session.wire import Wire


class Caller:
    """One connection at the door, from its first packet until nothing of it is left."""

    def __init__(self, arrival: socket.socket, address: str) -> None:
        """Take note of a socket that was accepted, and of the address it comes from."""
        self.address = plain_address(address)
        self.visitor = Visitor(source=source_of(address), carrier=carrier_of(address), cut=self.cut)
        self.arrived_at = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        """Kept: the loop itself does not hold on to its tasks."""
        self.wire: Wire | None = None
        self.fingerprint: str | None = None
        """Of a member; None: a stranger."""
        self.called = False
        self._arrival = arrival

    def cut(self) -> None:
        """Have its place and its descriptor back at once."""
        if self.wire is not None:
            self.wire.abort("somebody else needs the place")
            return
        # Not by cancelling: a task that has not begun, or is about to begin TLS, would clean nothing up.
        with suppress(OSError):
            self._arrival.shutdown(socket.SHUT_RDWR)

    def part(self, reason: str) -> None:
        """Say goodbye, if it got so far."""
        if self.wire is not None:
            self.wire.close(reason)
        else:
            self.cut()


def superfluous(callers: Collection[Caller], newcomer: Caller, most: int) -> Sequence[Caller]:
    """Return the connections of a newcomer's certificate that are to be cut, so that there are so many.

    The newest stays, by which a machine comes back, and the oldest: it may be that of a machine which is
    here, and the others those of a copy of its disk.
    """
    same = [one for one in callers if one.fingerprint == newcomer.fingerprint and one is not newcomer]
    return sorted(same, key=lambda one: one.arrived_at)[most - 1 :]

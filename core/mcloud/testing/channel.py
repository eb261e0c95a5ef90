"""MemoryChannel: two ends of a wire that is only a pair of queues, for trust plugins."""

import queue
from dataclasses import dataclass

from mcloud.errors import ProtocolError

_LONGEST = 4096
_PATIENCE = 5.0


@dataclass(frozen=True)
class MemoryChannel:
    """One end; `pair()` makes both."""

    _inbox: "queue.SimpleQueue[bytes]"
    _outbox: "queue.SimpleQueue[bytes]"

    @classmethod
    def pair(cls) -> tuple["MemoryChannel", "MemoryChannel"]:
        """Return two ends that hear each other."""
        there, back = queue.SimpleQueue[bytes](), queue.SimpleQueue[bytes]()
        return cls(there, back), cls(back, there)

    def send(self, message: bytes) -> None:
        """Send one message, at most 4 KiB as on the real wire."""
        if len(message) > _LONGEST:
            raise ProtocolError(f"a message of {len(message)} bytes is too long to be sent")
        self._outbox.put(message)

    def receive(self) -> bytes:
        """Return the next message; ProtocolError if there is none for five seconds."""
        try:
            return self._inbox.get(timeout=_PATIENCE)
        except queue.Empty:
            raise ProtocolError("the other side said nothing") from None

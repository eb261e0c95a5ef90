"""Messages as they travel: a greeting from its parts, and what many are told written only once."""

from collections import deque
from ipaddress import ip_address
from typing import Literal

from mcloud.session.protocol import VERSION, Hello, Message, encode


class Encoder:
    """Writes what many are told only once: a proposal holds all machines' surveys."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._last: deque[tuple[Message, bytes]] = deque(maxlen=4)

    def __call__(self, message: Message) -> bytes:
        """Return a message as it travels; the same object again is the same bytes. Thread-safe."""
        for known, raw in tuple(self._last):
            if known is message:
                return raw
        raw = encode(message)
        self._last.append((message, raw))
        return raw


def greeting(
    *,
    role: Literal["initiator", "joiner"],
    methods: tuple[str, ...],
    nonce: str,
    name: str,
    address: str,
    certificate: str,
    session: str = "",
) -> bytes:
    """Return a Hello of this version as it travels; `nonce` is 32 hexadecimal characters, fresh."""
    return encode(
        Hello(
            version=VERSION,
            role=role,
            methods=methods,
            session=session,
            nonce=nonce,
            name=name,
            address=ip_address(address),
            certificate=certificate,
        )
    )

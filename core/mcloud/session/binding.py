"""What a trust proof is bound to: everything said before it, byte for byte, and the certificates."""

_LABEL = b"mcloud session 1"


def binding_of(
    *, initiator_hello: bytes, joiner_hello: bytes, server_certificate: bytes, method: str
) -> bytes:
    """Return the start of the transcript that both halves must have alike.

    The Hellos are the raw bytes as sent and received: nothing is serialised a second time. The
    certificate (DER) is that of the server *as seen in this TLS connection*: a man in the middle
    shows another one, so the two halves' proofs differ and both refuse. Python's TLS has no exporter.
    """
    return framed(_LABEL, method.encode(), initiator_hello, joiner_hello, server_certificate)


def framed(*parts: bytes) -> bytes:
    """Return the parts, each behind its length (8 bytes): no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(8) + part for part in parts)

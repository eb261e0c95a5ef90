"""Proof that a machine holds the private key of the certificate by which it wants to be known.

In the first contact a joiner shows no certificate in TLS (Python can ask for none that it does not
know), and one is no secret: who knows the code could name somebody else's in his Hello. So the last
thing a joiner says there is a signature, over all that the trust method was bound to.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mcloud.errors import ProtocolError
from mcloud.session.binding import framed
from mcloud.session.certificates import Credentials

_LABEL = b"mcloud possession 1"
_SIGNED = ec.ECDSA(hashes.SHA256())


def prove(credentials: Credentials, binding: bytes) -> bytes:
    """Return the proof for one first contact: ECDSA with SHA-256 over its `binding`, in DER.

    The binding holds the nonces of both Hellos and the server's certificate as it was seen, so
    nobody can use it anywhere else, or again.
    """
    key = serialization.load_pem_private_key(credentials.key.get_secret_value().encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we make no others
    return key.sign(framed(_LABEL, binding), _SIGNED)


def verify(proof: bytes, *, certificate: str, binding: bytes) -> None:
    """Raise ProtocolError unless this is the proof of the key of a vetted certificate (PEM)."""
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - `vetted` takes no others
    try:
        key.verify(proof, framed(_LABEL, binding), _SIGNED)
    except InvalidSignature:
        raise ProtocolError(
            "it knows the code, but does not hold the key of the certificate that it shows",
            hint="is somebody posing as another machine, with a certificate that he saw?",
        ) from None

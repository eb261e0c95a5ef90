"""The cloud's own CA for OVN: keys, requests, certificates; pure computing, touches no file."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Open vSwitch checks dates, and the clocks of fresh machines are wrong: no clock may decide whether the
# network works. A certificate ends when its CA is replaced (Open vSwitch knows no revocation either).
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 section 4.1.2.5

_AUTHORITY = "mcloud OVN CA"
"""How the names of our CAs begin."""


def make_key() -> str:
    """Return a new EC P-256 private key, PEM (PKCS 8, not encrypted)."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def make_authority(key: str) -> str:
    """Return a self-signed CA certificate, PEM. Its name is unique, so that two can be in one trust file."""
    private = _private(key)
    name = _name(f"{_AUTHORITY} {secrets.token_hex(4)}")
    return _sign(
        _builder(name, name, private.public_key(), private.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True),
        private,
    )


def make_request(key: str, host_name: str) -> bytes:
    """Return a certificate request, DER: proves that its sender holds the key; nothing else in it counts."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(host_name))
    return request.sign(_private(key), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def sign_request(
    request: bytes, *, host_name: str, addresses: Sequence[str], authority: str, authority_key: str
) -> str:
    """Return a certificate, PEM, for the key in a request; name and addresses are ours to say.

    Raises ValueError if the request is damaged, its key is not EC P-256, or it was made without the key.
    """
    try:
        asked = x509.load_der_x509_csr(request)
        public = asked.public_key()
    except UnsupportedAlgorithm:
        raise ValueError("its key is of an unknown kind") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise ValueError("its key is not EC P-256")  # noqa: TRY004 - the caller knows one error
    if not asked.is_signature_valid:
        raise ValueError("its signature does not fit its key")
    return _certificate(public, host_name, addresses, authority, authority_key)


def is_ours(certificate: str) -> bool:
    """Return whether a certificate is that of a CA of mcloud, or signed by one; False if it is none."""
    try:
        names = _load(certificate).issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return False
    return any(str(name.value).startswith(_AUTHORITY) for name in names)


def belongs(certificate: str, *, key: str, authority: str) -> bool:
    """Return whether a certificate is of this key and was signed by this CA."""
    try:
        mine, ca = _load(certificate), _load(authority)
        mine.verify_directly_issued_by(ca)
        return _spki(mine.public_key()) == _spki(_private(key).public_key())
    except (ValueError, TypeError, InvalidSignature):
        return False


def _certificate(
    public: ec.EllipticCurvePublicKey,
    host_name: str,
    addresses: Sequence[str],
    authority: str,
    authority_key: str,
) -> str:
    ca, ca_key = _load(authority), _private(authority_key)
    names = [x509.DNSName(host_name), *(x509.IPAddress(ip_address(address)) for address in addresses)]
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _sign(
        _builder(_name(host_name), ca.subject, public, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False),
        ca_key,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer_public: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_NO_END)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _load(certificate: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.encode())


def _private(key: str) -> ec.EllipticCurvePrivateKey:
    private = serialization.load_pem_private_key(key.encode(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("not an EC key")  # noqa: TRY004 - `belongs` takes one error for all that is wrong
    return private


def _spki(public: object) -> bytes:
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return b""
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

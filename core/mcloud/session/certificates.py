"""A machine's key and certificate, and what is asked of another machine's before it is pinned."""

import datetime as dt
import hashlib
import os
import secrets
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from mcloud.errors import McloudError, ProtocolError

_VALID = dt.timedelta(days=3653)
"""Ten years. Nobody checks the dates while connecting: fresh machines have wrong clocks."""
_LONGEST = 2048
"""Characters of a certificate in PEM that are looked at; our own have about 750."""


@dataclass(frozen=True)
class Credentials:
    """A machine's certificate (PEM) and its private key (PEM, shown nowhere)."""

    certificate: str = field(repr=False)
    key: SecretStr = field(repr=False)

    @cached_property
    def der(self) -> bytes:
        """Return the certificate as it is seen in TLS."""
        return der_of(self.certificate)

    @cached_property
    def fingerprint(self) -> str:
        """Return SHA-256 of the certificate, 64 hexadecimal characters."""
        return fingerprint(self.der)


def make_credentials(host_name: str) -> Credentials:
    """Make a new EC P-256 key and a self-signed certificate in the name of `host_name`.

    CA:FALSE, or a pinned certificate could sign for other names; with subject and authority key
    identifiers, or a second pinned certificate of the same name would be refused by OpenSSL.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host_name)])
    now = dt.datetime.now(dt.UTC)
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name)]), critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Credentials(certificate=certificate_pem.decode(), key=SecretStr(key_pem.decode()))


def store(credentials: Credentials, *, certificate_path: Path, key_path: Path) -> None:
    """Write both files, mode 0600, each whole or not at all; the certificate last: it says both are there."""
    _write(key_path, credentials.key.get_secret_value())
    _write(certificate_path, credentials.certificate)


def load(*, certificate_path: Path, key_path: Path) -> Credentials | None:
    """Return what `store` wrote; None if there is no certificate, `McloudError` if the two do not fit."""
    try:
        certificate_pem = certificate_path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    hint = (
        f"move {certificate_path} and {key_path} away; a new pair is made, to be trusted anew by the others"
    )
    try:
        key_pem = key_path.read_text(encoding="ascii")
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise McloudError(
            f"this machine's key or certificate cannot be read: {type(error).__name__}", hint=hint
        ) from None
    if key.public_key() != certificate.public_key():
        raise McloudError("this machine's key and certificate are not a pair", hint=hint)
    return Credentials(certificate=certificate_pem, key=SecretStr(key_pem))


def fingerprint(certificate: str | bytes) -> str:
    """Return SHA-256 of a certificate (PEM text or DER bytes), 64 hexadecimal characters."""
    der = der_of(certificate) if isinstance(certificate, str) else certificate
    return hashlib.sha256(der).hexdigest()


def short(whole: str) -> str:
    """Return the first 80 bits of a fingerprint in groups of four, for people to compare."""
    return " ".join(whole[start : start + 4] for start in range(0, 20, 4))


def vetted(certificate: str) -> str:
    """Return the fingerprint of another machine's certificate (PEM) if it may be pinned.

    Else `ProtocolError`: it must be one certificate with an EC P-256 key that may sign for nobody else.
    """
    if len(certificate) > _LONGEST:
        raise ProtocolError("the other side's certificate is too long")
    try:
        found = x509.load_pem_x509_certificates(certificate.encode("ascii"))
        (only,) = found
        key = only.public_key()
        constraints = only.extensions.get_extension_for_class(x509.BasicConstraints).value
        der = only.public_bytes(serialization.Encoding.DER)
        # OpenSSL is stricter here and there; a pin that it does not take would close the door to all.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=der)
    except Exception:  # noqa: BLE001 - the library has many errors of its own; what is said here is a stranger's
        raise ProtocolError("the other side's certificate cannot be read") from None
    if constraints.ca or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ProtocolError("the other side's certificate is not one that mcloud makes")
    return fingerprint(der)


def der_of(pem: str) -> bytes:
    """Return the one certificate in a PEM text as it is seen in TLS; `ProtocolError` if there is none."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise ProtocolError("this is not a certificate") from None
    return certificate.public_bytes(serialization.Encoding.DER)


def _write(path: Path, text: str) -> None:
    """Put a whole file in place, readable by root alone from its first byte on."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

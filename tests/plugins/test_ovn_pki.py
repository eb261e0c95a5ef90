"""The CA of OVN: what it signs opens a real TLS connection, and what it must not sign it refuses."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mcloud_ovn import pki

KEY = pki.make_key()
CA_KEY = pki.make_key()
CA = pki.make_authority(CA_KEY)


def signed(key=KEY, *, name="n2", addresses=("10.10.0.12",), authority=CA, authority_key=CA_KEY):
    return pki.sign_request(
        pki.make_request(key, name),
        host_name=name,
        addresses=addresses,
        authority=authority,
        authority_key=authority_key,
    )


def context(folder: Path, name: str, certificate: str, key: str, protocol: int) -> ssl.SSLContext:
    (folder / f"{name}.crt").write_text(certificate)
    (folder / f"{name}.key").write_text(key)
    made = ssl.SSLContext(protocol)
    made.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    made.load_verify_locations(cadata=CA)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host_name: str) -> None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    halves = [
        client.wrap_bio(down, up, server_hostname=host_name),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(4):
        for half in halves:
            try:
                half.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert all(half.getpeercert() for half in halves)


@pytest.mark.parametrize("called", ["n1", "10.10.0.11", "fd10:10::11"])
def test_two_machines_open_tls_to_each_other_by_name_and_address(tmp_path, called):
    server_key = pki.make_key()
    server = signed(server_key, name="n1", addresses=["10.10.0.11", "fd10:10::11"])
    shake_hands(
        context(tmp_path, "server", server, server_key, ssl.PROTOCOL_TLS_SERVER),
        context(tmp_path, "client", signed(), KEY, ssl.PROTOCOL_TLS_CLIENT),
        called,
    )


def test_a_certificate_of_another_ca_opens_nothing(tmp_path):
    other_key = pki.make_key()
    stranger = signed(authority=pki.make_authority(other_key), authority_key=other_key)
    with pytest.raises(ssl.SSLError):
        shake_hands(
            context(tmp_path, "server", signed(), KEY, ssl.PROTOCOL_TLS_SERVER),
            context(tmp_path, "client", stranger, KEY, ssl.PROTOCOL_TLS_CLIENT),
            "n2",
        )


def test_the_ca_signs_certificates_and_a_machine_cannot():
    ca = x509.load_pem_x509_certificate(CA.encode())
    machine = x509.load_pem_x509_certificate(signed().encode())
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not machine.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = machine.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)


def test_no_clock_decides_whether_a_certificate_counts():
    machine = x509.load_pem_x509_certificate(signed().encode())
    assert machine.not_valid_before_utc.year == 1970
    assert machine.not_valid_after_utc.year == 9999


def test_two_cas_have_two_names_so_that_one_file_can_hold_both():
    names = {x509.load_pem_x509_certificate(pki.make_authority(CA_KEY).encode()).subject for _ in range(2)}
    assert len(names) == 2


def test_what_a_request_says_of_itself_does_not_count():
    made = pki.sign_request(
        pki.make_request(KEY, "n1-and-root-of-all"),
        host_name="n2",
        addresses=["10.10.0.12"],
        authority=CA,
        authority_key=CA_KEY,
    )
    assert x509.load_pem_x509_certificate(made.encode()).subject.rfc4514_string() == "CN=n2"


def other_request(key) -> bytes:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def with_another_key() -> bytes:
    """Return a request whose key was exchanged: its sender does not hold the one in it."""
    mine, yours = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    request = other_request(mine)
    assert point(mine) in request
    return request.replace(point(mine), point(yours))


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"junk",
        other_request(ed25519.Ed25519PrivateKey.generate()),
        other_request(ec.generate_private_key(ec.SECP384R1())),
        with_another_key(),
    ],
    ids=["empty", "junk", "ed25519", "p384", "not-its-key"],
)
def test_a_request_that_proves_nothing_is_refused(request_):
    with pytest.raises(ValueError, match=r".+"):
        pki.sign_request(
            request_, host_name="n2", addresses=["10.10.0.12"], authority=CA, authority_key=CA_KEY
        )


def test_a_certificate_belongs_to_its_key_and_its_ca_only():
    other_ca_key = pki.make_key()
    assert pki.belongs(signed(), key=KEY, authority=CA)
    assert not pki.belongs(signed(), key=pki.make_key(), authority=CA)
    assert not pki.belongs(signed(), key=KEY, authority=pki.make_authority(other_ca_key))
    assert not pki.belongs("torn", key=KEY, authority=CA)

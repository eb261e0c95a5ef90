"""Keys and certificates: what we make, what we store, what we would pin."""

import datetime as dt
import hashlib
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mcloud.errors import McloudError, ProtocolError
from mcloud.session.certificates import Credentials, fingerprint, load, make_credentials, short, store, vetted


def _signed(key, *, ca: bool | None = False, curve_key=None) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "n1")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        name, name, (curve_key or key).public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_the_certificate_is_as_decided():
    made = x509.load_pem_x509_certificate(make_credentials("n1").certificate.encode())
    extensions = made.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    key_id = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert (
        extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key_id.digest
    )
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    assert isinstance(made.public_key().curve, ec.SECP256R1)
    assert made.not_valid_after_utc - made.not_valid_before_utc > dt.timedelta(days=3650)


def test_the_fingerprint_is_that_of_the_bytes_in_tls():
    made = make_credentials("n1")
    assert made.fingerprint == hashlib.sha256(made.der).hexdigest() == fingerprint(made.certificate)
    assert short(made.fingerprint).replace(" ", "") == made.fingerprint[:20]


def test_stored_and_loaded_it_is_the_same(tmp_path: Path):
    made = make_credentials("n1")
    paths = {"certificate_path": tmp_path / "cert.pem", "key_path": tmp_path / "key.pem"}
    assert load(**paths) is None
    store(made, **paths)
    assert load(**paths) == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cert.pem", "key.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_store_that_broke_off_leaves_nothing_half(tmp_path: Path):
    made = make_credentials("n1")
    (tmp_path / "cert.pem").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match=r"cert\.pem"):
        store(made, certificate_path=tmp_path / "cert.pem", key_path=tmp_path / "key.pem")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cert.pem", "key.pem"]


def test_only_a_key_counts_as_nothing(tmp_path: Path):
    paths = {"certificate_path": tmp_path / "cert.pem", "key_path": tmp_path / "key.pem"}
    paths["key_path"].write_text(make_credentials("n1").key.get_secret_value())
    assert load(**paths) is None


@pytest.mark.parametrize("damage", ["other key", "no key", "torn certificate", "torn key"])
def test_what_does_not_fit_is_refused_with_a_hint(tmp_path: Path, damage: str):
    made, other = make_credentials("n1"), make_credentials("n1")
    certificate, key = made.certificate, made.key.get_secret_value()
    match damage:
        case "other key":
            key = other.key.get_secret_value()
        case "torn certificate":
            certificate = certificate[:200]
        case "torn key":
            key = key[:100]
    paths = {"certificate_path": tmp_path / "cert.pem", "key_path": tmp_path / "key.pem"}
    paths["certificate_path"].write_text(certificate)
    if damage != "no key":
        paths["key_path"].write_text(key)
    with pytest.raises(McloudError) as caught:
        load(**paths)
    assert "cert.pem" in caught.value.hint
    assert made.key.get_secret_value()[60:90] not in str(caught.value)


def test_the_key_is_not_shown():
    made = make_credentials("n1")
    assert made.key.get_secret_value()[60:90] not in repr(made)
    assert "BEGIN" not in repr(Credentials(certificate="BEGIN", key=SecretStr("BEGIN")))


def test_our_own_certificates_may_be_pinned():
    made = make_credentials("n1")
    assert vetted(made.certificate) == made.fingerprint


def test_what_could_sign_for_others_is_not_pinned():
    key = ec.generate_private_key(ec.SECP256R1())
    for ca in (True, None):
        with pytest.raises(ProtocolError):
            vetted(_signed(key, ca=ca))


def test_other_kinds_of_keys_are_not_pinned():
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(ProtocolError):
            vetted(_signed(key))


def test_two_certificates_in_one_are_not_pinned():
    with pytest.raises(ProtocolError):
        vetted(make_credentials("n1").certificate + make_credentials("n2").certificate)


@given(st.text(max_size=200) | st.text(max_size=50).map(lambda text: f"-----BEGIN CERTIFICATE-----\n{text}"))
def test_junk_for_a_certificate_is_a_protocol_error(junk: str):
    with pytest.raises(ProtocolError):
        vetted(junk)


@given(st.integers(0, 700), st.characters(codec="ascii"))
def test_a_damaged_certificate_is_pinned_as_such_or_refused(place: int, letter: str):
    whole = _WHOLE.certificate
    damaged = whole[:place] + letter + whole[place + 1 :]
    try:
        mark = vetted(damaged)
    except ProtocolError:
        return
    assert mark == fingerprint(damaged)


_WHOLE = make_credentials("n1")

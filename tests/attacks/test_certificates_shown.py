"""Certificates shown at the door: somebody else's, one that signs, one of the same name, one that is gone."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Queue

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from honest import N1, N2, N3, join, seat, until
from kit import HIS, hello
from mutants import mutant
from pydantic import SecretStr

from mcloud import errors
from mcloud.session import certificates, tls
from mcloud.session import door as doors
from mcloud.session.certificates import Credentials, make_credentials
from mcloud.session.transport import Connection, ConnectionLost, dial


def certificate(
    name: str, *, signer: Credentials | None = None, ca: bool = False, issuer: str = ""
) -> Credentials:
    """Return a certificate as somebody may make one who does not keep to our ways."""

    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    key = ec.generate_private_key(ec.SECP256R1())
    signing = (
        serialization.load_pem_private_key(signer.key.get_secret_value().encode(), None) if signer else key
    )
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(called(issuer or name), called(name), key.public_key(), 4711)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signing, hashes.SHA256())
    )
    plain = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Credentials(
        certificate=made.public_bytes(serialization.Encoding.PEM).decode(),
        key=SecretStr(key.private_bytes(*plain).decode()),
    )


@contextmanager
def pinning(
    *pinned: Credentials, door: type[doors.Door] = doors.Door
) -> Iterator[tuple[doors.Door, dict[str, str], Queue[str]]]:
    """Open a door to members; it, its pins, and who came in."""
    came: Queue[str] = Queue()
    pins = {one.fingerprint: one.certificate for one in pinned}

    def current() -> Mapping[str, str]:
        return pins

    with door(
        N1,
        pins=current,
        on_stranger=lambda _line: None,
        on_member=lambda _line, mark: came.put(mark),
        address="127.0.0.1",
        port=0,
    ) as made:
        yield made, pins, came


def come(door: doors.Door, shown: Credentials) -> Connection:
    return dial("127.0.0.1", door.port, credentials=shown, expect=N1.fingerprint)


STRANGERS = {
    "somebody else's": certificate("n9"),
    "of the same name": make_credentials("n2"),
    "of the same name, made by hand": certificate("n2"),
    "a CA's": certificate("n2", ca=True),
    "the initiator's own": N1,
    "signed by the pinned one": certificate("n9", signer=N2, issuer="n2"),
    "signed by the pinned one, of its name": certificate("n2", signer=N2, issuer="n2"),
}


@pytest.mark.parametrize("shown", STRANGERS.values(), ids=STRANGERS.keys())
def test_only_the_pinned_certificate_itself_comes_in(shown: Credentials):
    with seat() as here:
        join(here.port)
        assert here.outcome() is None
        with pytest.raises(errors.TrustError, match="does not know this machine"):
            come(here.door, shown)
        come(here.door, N2).close()
        until(lambda: here.initiator.lobby.guest(N2.fingerprint) is not None)


@pytest.mark.parametrize("whose", ["joiner", "initiator"])
@pytest.mark.parametrize(
    "shown",
    [certificate("n9", ca=True), N3.certificate + HIS.certificate, "", "x" * 2048],
    ids=["CA:TRUE", "two in one", "none", "junk"],
)
def test_only_a_certificate_of_our_kind_is_pinned(whose: str, shown):
    text = shown.certificate if isinstance(shown, Credentials) else shown
    with seat() as here:
        if whose == "joiner":
            with dial("127.0.0.1", here.port) as line, pytest.raises(errors.McloudError):
                line.send(hello("joiner", HIS, certificate=text))
                line.receive(timeout=5)
            assert isinstance(here.outcome(), errors.ProtocolError)
        else:
            with pytest.raises(errors.ProtocolError):
                certificates.vetted(text)


def test_two_locks_keep_out_what_a_pinned_ca_signs():
    """With a certificate that may sign among the pins, the fingerprint still decides; without it, nothing."""
    ca = certificate("n2", ca=True)
    signed = certificate("n9", signer=ca, issuer="n2")
    with pinning(ca) as (door, _pins, came):
        with pytest.raises((errors.TrustError, ConnectionLost)):
            come(door, signed)
        assert came.empty()
    lax = mutant(doors, ("if shown not in self._pins():", "if False:"))
    with pinning(ca, door=lax.Door) as (door, _pins, came):
        come(door, signed).close()
        assert came.get(timeout=5) == signed.fingerprint


# ---- a member that was removed -----------------------------------------------------------------------------


def visit(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None):
    """Open TLS as a member; return (let in, resumed, a session to resume)."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    with context.wrap_socket(raw, session=session) as line:
        line.settimeout(0.3)
        try:
            let_in = line.recv(1) != b""
        except TimeoutError:
            let_in = True  # it waits for us to speak
        except OSError:
            let_in = False
        return let_in, bool(line.session_reused), line.session


def test_a_removed_member_does_not_come_back_on_its_old_session():
    with pinning(N2) as (door, pins, came):
        context = tls.client_context(N2)
        let_in, _resumed, session = visit(door.port, context)
        assert let_in
        assert session is None or not session.has_ticket
        pins.clear()
        assert visit(door.port, context, session)[:2] == (False, False)
        assert came.empty()


def test_on_tickets_and_one_context_it_would_come_back_unverified():
    """Python verifies nobody anew on a resumed session: so there are no tickets."""
    ticketing = mutant(
        tls,
        ("    context.num_tickets = 0\n", ""),
        ("ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION", "ssl.OP_NO_COMPRESSION"),
    )
    server = ticketing.server_context(N1, [N2.certificate], strangers=False)
    client = ticketing.client_context(N2)
    assert _handshake(server, client, None)[0] is False
    session = _handshake(server, client, None)[1]
    assert session is not None
    assert session.has_ticket
    assert _handshake(server, client, session)[0] is True


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, session):
    """Shake hands in memory; return (resumed, a session to resume)."""
    inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = server.wrap_bio(inbound, outbound, server_side=True)
    there = client.wrap_bio(outbound, inbound, session=session)
    for _ in range(6):
        for end in (there, here):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    here.write(b"x")
    there.read(1)
    return there.session_reused, there.session


def test_a_removed_members_open_connection_can_be_ended():
    with pinning(N2) as (door, pins, came):
        line = come(door, N2)
        assert came.get(timeout=5) == N2.fingerprint
        pins.clear()
        door.close_member(N2.fingerprint, "removed")
        with pytest.raises(ConnectionLost, match="removed"):
            line.receive(timeout=5)


# ---- older TLS ---------------------------------------------------------------------------------------------


def test_a_joiner_does_not_talk_older_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    tls._show(context, HIS)
    failures: Queue[ssl.SSLError] = Queue()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as raw, pytest.raises(ssl.SSLError) as refused:
                context.wrap_socket(raw, server_side=True)
            failures.put(refused.value)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(ConnectionLost, match="TLS"):
            dial("127.0.0.1", listening.getsockname()[1])
        assert "UNSUPPORTED_PROTOCOL" in str(failures.get(timeout=5).reason)
        thread.join(5)


def test_an_initiator_does_not_talk_older_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with seat() as here, socket.create_connection(("127.0.0.1", here.port), timeout=5) as raw:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            context.wrap_socket(raw)
        join(here.port)


def test_a_context_learns_pins_and_is_left_behind_when_it_should_forget():
    """Else two hundred joiners have two hundred contexts of two hundred pins; but none outlives its pins."""
    made = tls.DoorContext(N1)
    first = made.of({}, strangers=True)
    assert made.of({N2.fingerprint: N2.certificate}, strangers=True) is first
    both = {one.fingerprint: one.certificate for one in (N2, N3)}
    assert made.of(both, strangers=True) is first
    assert first.cert_store_stats()["x509"] == 2
    assert _handshake(first, tls.client_context(N3), None)[0] is False
    fewer = made.of({N2.fingerprint: N2.certificate}, strangers=True)
    assert fewer is not first
    assert fewer.cert_store_stats()["x509"] == 1
    assert made.of({N2.fingerprint: N2.certificate}, strangers=False) is not fewer
    with pytest.raises(errors.ProtocolError):
        made.of({N2.fingerprint: N2.certificate, "x": "no certificate"}, strangers=False)
    changed = made.of({N2.fingerprint: N3.certificate}, strangers=False)
    with pytest.raises(ssl.SSLError):
        _handshake(changed, tls.client_context(N2), None)

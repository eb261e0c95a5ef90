"""The channel between two machines, over real sockets on loopback."""

import base64
import datetime as dt
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import Queue

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from websockets.utils import accept_key

from mcloud.errors import McloudError, ProtocolError, TrustError
from mcloud.session.certificates import Credentials, make_credentials
from mcloud.session.door import Door
from mcloud.session.limits import DEFAULT_LIMITS, Limits
from mcloud.session.tls import client_context, server_context
from mcloud.session.transport import Connection, ConnectionLost, Silence, dial

QUICK = Limits(ping_every=0.1, silence=0.6, tls=0.5, exchange=1.0)
INITIATOR = make_credentials("n1")
JOINER = make_credentials("n2")


class House:
    """A door, its pins, and what its callbacks were given."""

    def __init__(
        self, *, limits: Limits = DEFAULT_LIMITS, address: str = "127.0.0.1", strangers: bool = True
    ) -> None:
        self.pins = {JOINER.fingerprint: JOINER.certificate}
        self.strangers: Queue[Connection] = Queue()
        self.members: Queue[tuple[Connection, str]] = Queue()
        self.errors: Queue[Exception] = Queue()
        self.door = Door(
            INITIATOR,
            pins=lambda: self.pins,
            on_stranger=self._stranger if strangers else None,
            on_member=lambda connection, mark: self.members.put((connection, mark)),
            address=address,
            port=0,
            limits=limits,
        )

    def _stranger(self, connection: Connection) -> None:
        """Echo."""
        self.strangers.put(connection)
        try:
            while True:
                connection.send(connection.receive())
        except McloudError as error:
            self.errors.put(error)
            raise

    def dial(self, credentials: Credentials | None = None, **more) -> Connection:
        expect = INITIATOR.fingerprint if credentials else None
        return dial(self.door.address, self.door.port, credentials=credentials, **({"expect": expect} | more))

    def member(self, credentials: Credentials = JOINER, **more) -> tuple[Connection, Connection]:
        """Return both ends of a member's connection."""
        there = self.dial(credentials, **more)
        return there, self.members.get(timeout=5)[0]


@contextmanager
def house(**more) -> Iterator[House]:
    made = House(**more)
    with made.door:
        yield made


def until(condition: Callable[[], object], patience: float = 10.0) -> None:
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.005)


def dated(days: int) -> Credentials:
    """A certificate that is valid for one day, so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _certificate(key, key, "n2", start=dt.datetime.now(dt.UTC) + dt.timedelta(days=days))


def _certificate(key, signer, name: str, *, issuer: str = "", ca: bool = False, start=None) -> Credentials:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    start = start or dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    made = (
        x509.CertificateBuilder(named(issuer or name), named(name), key.public_key(), 1000 + ca)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return Credentials(
        certificate=made.public_bytes(serialization.Encoding.PEM).decode(), key=SecretStr(key_pem.decode())
    )


def upgraded(port: int, credentials: Credentials | None = None) -> ssl.SSLSocket:
    """A bare client that opened a WebSocket and will do nothing by itself any more."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    tls = client_context(credentials).wrap_socket(raw)
    key = base64.b64encode(os.urandom(16)).decode()
    tls.sendall(
        f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert tls.recv(4096).startswith(b"HTTP/1.1 101")
    return tls


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame (RFC 6455, section 5.2), masked with nought."""
    first = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        return first + bytes([0x80 | len(payload)]) + bytes(4) + payload
    return first + bytes([0xFE]) + len(payload).to_bytes(2) + bytes(4) + payload


# ---- messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_first_contact_shows_the_servers_certificate_and_no_other(address: str):
    with house(address=address) as here, here.dial() as there:
        there.send(b"hello")
        assert there.receive(timeout=5) == b"hello"
        seen = here.strangers.get(timeout=5)
        assert there.peer_address == seen.peer_address == address
        assert there.peer_certificate == seen.own_certificate == INITIATOR.der
        assert there.own_certificate is seen.peer_certificate is None
        assert there.server_certificate == seen.server_certificate == INITIATOR.der


def test_a_member_is_known_by_its_fingerprint():
    with house() as here, here.dial(JOINER) as there:
        connection, mark = here.members.get(timeout=5)
        assert mark == JOINER.fingerprint
        assert connection.peer_certificate == there.own_certificate == JOINER.der


def test_large_messages_arrive_whole_and_in_order_both_ways():
    with house() as here:
        there, connection = here.member()
        large = os.urandom(8 * 2**20)
        large_for_a_joiner = large[: 512 * 2**10]
        for message in (large, b"", b"x", bytes(125), bytes(126), bytes(2**16 - 1), bytes(2**16), large):
            connection.send(message)
            assert there.receive(timeout=10) == message
        for message in (large, b"x", large):
            connection.send(message)
        assert [there.receive(timeout=10) for _ in range(3)] == [large, b"x", large]
        for message in (large_for_a_joiner, b"", b"x", large_for_a_joiner):
            there.send(message)
        assert [connection.receive(timeout=10) for _ in range(4)] == [
            large_for_a_joiner, b"", b"x", large_for_a_joiner,
        ]  # fmt: skip
        for end, longest in ((there, large_for_a_joiner), (connection, large)):
            with pytest.raises(ProtocolError):
                end.send(longest + b"x")
        there.close()


def test_many_threads_may_send_on_one_connection():
    with house() as here:
        there, connection = here.member()
        texts = [bytes([number]) * 100_000 for number in range(20)]
        senders = [threading.Thread(target=there.send, args=(text,)) for text in texts]
        for sender in senders:
            sender.start()
        received = [connection.receive(timeout=10) for _ in texts]
        assert sorted(received) == texts
        for sender in senders:
            sender.join()
        there.close()


def test_what_was_sent_before_closing_still_arrives_then_the_reason():
    with house() as here:
        there, connection = here.member()
        there.send(b"last words")
        there.close("all done \x1b[31m")
        assert connection.receive(timeout=5) == b"last words"
        with pytest.raises(ConnectionLost) as caught:
            connection.receive(timeout=5)
        assert caught.value.reason == "all done \N{REPLACEMENT CHARACTER}[31m"
        assert "\x1b" not in str(caught.value)
        until(lambda: not connection.alive)
        with pytest.raises(ConnectionLost):
            connection.send(b"too late")
        with pytest.raises(ConnectionLost):
            there.send(b"too late")
        there.close("again")


def test_a_long_reason_is_cut_and_still_told():
    with house() as here:
        there, connection = here.member()
        there.close("\N{SNOWMAN}" * 500)
        with pytest.raises(ConnectionLost) as caught:
            connection.receive(timeout=5)
        assert set(caught.value.reason) == {"\N{SNOWMAN}"}
        assert len(caught.value.reason) <= 120


def test_no_message_in_time_is_silence_and_the_connection_lives():
    with house() as here:
        there, connection = here.member()
        with pytest.raises(Silence) as caught:
            there.receive(timeout=0.05)
        assert isinstance(caught.value, ConnectionLost | TimeoutError)
        connection.send(b"later")
        assert there.receive(timeout=5) == b"later"
        there.close()


# ---- limits ------------------------------------------------------------------------------------------------


def test_a_stranger_may_send_4_kib_and_no_byte_more():
    generous = replace(Limits(), stranger_message=10_000)
    with house() as here:
        with here.dial(limits=generous) as there:
            there.send(bytes(4096))
            assert len(there.receive(timeout=5)) == 4096
            there.send(bytes(4097))
            with pytest.raises(ConnectionLost):
                there.receive(timeout=5)
        assert isinstance(here.errors.get(timeout=5), ProtocolError)
        with here.dial() as there, pytest.raises(ProtocolError):
            there.send(bytes(4097))


def test_a_stranger_may_say_eight_things():
    with house() as here, here.dial(limits=replace(Limits(), stranger_messages=100)) as there:
        for _ in range(8):
            there.send(b"x")
            there.receive(timeout=5)
        there.send(b"x")
        with pytest.raises(ConnectionLost):
            there.receive(timeout=5)
        assert isinstance(here.errors.get(timeout=5), ProtocolError)


def test_a_lying_initiator_is_held_to_the_same_terms():
    """The joiner does not trust the server either, before trust."""
    limits = replace(Limits(), stranger_messages=1)
    with house() as here, here.dial(limits=limits) as there:
        there.send(b"x")
        there.send(b"y")
        assert there.receive(timeout=5) == b"x"
        with pytest.raises(ProtocolError):
            there.receive(timeout=5)


def test_a_stranger_has_to_be_done_in_time():
    with house(limits=replace(QUICK, exchange=0.3)) as here, here.dial() as there:
        begun = time.monotonic()
        there.send(b"x")
        there.receive(timeout=5)
        with pytest.raises(ConnectionLost):
            there.receive(timeout=5)
        assert time.monotonic() - begun < 2
        error = here.errors.get(timeout=5)
        assert isinstance(error, ConnectionLost)
        assert "not done within" in error.reason


def test_pings_alone_do_not_keep_a_stranger():
    with house(limits=QUICK) as here, upgraded(here.door.port) as tls:
        begun = time.monotonic()
        with pytest.raises(OSError):
            while tls.send(frame(9)):
                time.sleep(0.02)
        assert 0.5 < time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "sent", [frame(1, b"text"), frame(2, b"half", fin=False), frame(0, b"rest"), frame(3), b"\xff" * 8]
)
def test_anything_but_whole_messages_of_bytes_ends_it(sent: bytes):
    with house() as here, upgraded(here.door.port) as tls:
        tls.sendall(frame(2, b"x") + sent)
        error = here.errors.get(timeout=5)
        assert isinstance(error, ProtocolError)


def test_a_flood_of_bytes_ends_it_whatever_they_are():
    with house() as here, upgraded(here.door.port) as tls:
        tls.sendall(frame(2, b"x"))
        assert tls.recv(16) == b"\x82\x01x"
        with pytest.raises(OSError):
            while True:
                tls.sendall(frame(10, b"unasked for") * 50)
        assert isinstance(here.errors.get(timeout=5), ProtocolError)


# ---- silence -----------------------------------------------------------------------------------------------


def test_who_says_nothing_stays_as_long_as_it_answers_pings():
    with house(limits=QUICK) as here:
        there, connection = here.member(limits=QUICK)
        with pytest.raises(Silence):
            there.receive(timeout=2 * QUICK.silence)
        assert there.alive
        assert connection.alive
        there.close()


def test_who_reads_nothing_and_goes_on_talking_is_given_up_and_keeps_nobody_waiting():
    with house(limits=QUICK) as here, upgraded(here.door.port, JOINER) as tls:
        connection, _mark = here.members.get(timeout=5)
        stop = threading.Event()

        def talk() -> None:
            with suppress(OSError):
                while not stop.wait(0.05):
                    tls.sendall(frame(10))

        talking = threading.Thread(target=talk)
        talking.start()
        for _ in range(2):
            connection.send(bytes(8 * 2**20))  # more than the system's own buffers take; returns at once
        with pytest.raises(ConnectionLost) as caught:
            connection.receive(timeout=20)
        stop.set()
        talking.join()
        assert "took nothing of what it was told" in caught.value.reason


def test_the_server_notices_silence():
    with house(limits=QUICK) as here, upgraded(here.door.port, JOINER):
        connection, _mark = here.members.get(timeout=5)
        begun = time.monotonic()
        with pytest.raises(ConnectionLost) as caught:
            connection.receive(timeout=5)
        assert "no sign of life" in caught.value.reason
        assert time.monotonic() - begun < 2


def test_the_client_notices_silence():
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    context = server_context(INITIATOR, [JOINER.certificate], strangers=True)
    quiet: list[ssl.SSLSocket] = []

    def serve() -> None:
        tls = context.wrap_socket(listening.accept()[0], server_side=True)
        quiet.append(tls)
        key = tls.recv(4096).partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = accept_key(key.decode())
        tls.sendall(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )

    thread = threading.Thread(target=serve)
    thread.start()
    there = dial("127.0.0.1", port, credentials=JOINER, expect=INITIATOR.fingerprint, limits=QUICK)
    with pytest.raises(ConnectionLost) as caught:
        there.receive(timeout=5)
    assert "no sign of life" in caught.value.reason
    thread.join()
    for end in (*quiet, listening):
        end.close()


def test_a_reader_who_is_slow_is_not_taken_for_dead():
    with house(limits=QUICK) as here:
        there, connection = here.member(limits=QUICK)
        for _ in range(4):
            there.send(bytes(2**19))
        time.sleep(2 * QUICK.silence)
        assert [len(connection.receive(timeout=5)) for _ in range(4)] == [2**19] * 4
        there.close()


# ---- certificates ------------------------------------------------------------------------------------------


def test_a_machine_that_is_not_pinned_is_told_so_at_once():
    with house() as here:
        begun = time.monotonic()
        with pytest.raises(TrustError, match="does not know this machine"):
            here.dial(make_credentials("n2"), patience=20)
        assert time.monotonic() - begun < 5
        assert here.members.empty()


def test_another_machine_at_the_address_is_not_talked_to():
    with house() as here:
        with pytest.raises(TrustError, match="not the machine it was"):
            here.dial(JOINER, expect="0" * 64, patience=20)
        assert here.members.empty()


def test_a_pin_counts_from_the_next_connection_on_and_no_longer():
    other = make_credentials("n3")
    with house() as here:
        here.pins = {**here.pins, other.fingerprint: other.certificate}
        there, connection = here.member(other)
        here.pins = {JOINER.fingerprint: JOINER.certificate}
        with pytest.raises(TrustError):
            here.dial(other)
        assert connection.alive
        here.door.close_member(other.fingerprint, "removed")
        with pytest.raises(ConnectionLost) as caught:
            there.receive(timeout=5)
        assert caught.value.reason == "removed"
        here.member()[0].close()


def test_a_resumed_session_does_not_outlive_its_pin():
    with house() as here:
        context = client_context(JOINER)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", here.door.port))) as first:
            here_is = first.session
            first.settimeout(0.3)
            with pytest.raises(TimeoutError):
                first.recv(1)
            session = first.session or here_is
            assert session is None or not session.has_ticket
        here.pins = {}
        raw = socket.create_connection(("127.0.0.1", here.door.port), timeout=5)
        with context.wrap_socket(raw, session=session) as second:
            with pytest.raises(ssl.SSLError, match="ALERT"):
                second.recv(1)
            assert not second.session_reused
        assert here.members.empty()


def test_a_pinned_certificate_signs_for_nobody():
    """With CA:TRUE it would, for OpenSSL. `vetted` lets none be pinned; this is the second lock."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate(ca_key, ca_key, "n2", ca=True)
    signed = _certificate(key, ca_key, "n9", issuer="n2")
    with house() as here:
        here.pins = {ca.fingerprint: ca.certificate}
        with pytest.raises((TrustError, ConnectionLost)):
            here.dial(signed)
        assert here.members.empty()
        here.member(ca)[0].close()


def test_our_own_certificates_sign_for_nobody_either():
    signer = serialization.load_pem_private_key(JOINER.key.get_secret_value().encode(), None)
    signed = _certificate(ec.generate_private_key(ec.SECP256R1()), signer, "n9", issuer="n2")
    with house() as here, pytest.raises(TrustError):
        here.dial(signed)


def test_two_machines_of_one_name_may_both_be_pinned():
    first, second = make_credentials("same"), make_credentials("same")
    with house() as here:
        here.pins = {first.fingerprint: first.certificate, second.fingerprint: second.certificate}
        for credentials in (first, second):
            there = here.dial(credentials)
            assert here.members.get(timeout=5)[1] == credentials.fingerprint
            there.close()


@pytest.mark.parametrize("days", [-400, 400])
def test_a_wrong_clock_keeps_nobody_out(days: int):
    there_is = dated(days)
    with house() as here:
        here.pins = {there_is.fingerprint: there_is.certificate}
        here.member(there_is)[0].close()


def test_what_hides_in_a_pinned_text_is_not_trusted():
    """A second certificate in the text of a pin, which OpenSSL would read as well."""
    hidden = make_credentials("n9")
    with house() as here:
        here.pins = {JOINER.fingerprint: JOINER.certificate + hidden.certificate}
        with pytest.raises(TrustError):
            here.dial(hidden)
        here.member()[0].close()


def test_strangers_are_told_nothing_of_who_is_pinned():
    """No list of names goes out with the request for a certificate."""
    context = server_context(INITIATOR, [JOINER.certificate], strangers=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client_context(None)
    heard: list[tuple[object, bytes]] = []
    client_side._msg_callback = lambda _c, direction, _v, _k, kind, data: heard.append((kind, data))
    client = client_side.wrap_bio(here, there)
    for _ in range(4):
        for side, out, to in ((client, there, incoming), (server, outgoing, here)):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            to.write(out.read())
    assert client.version() == "TLSv1.3"
    (request,) = [data for kind, data in heard if getattr(kind, "name", "") == "CERTIFICATE_REQUEST"]
    assert b"n2" not in request


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2])
def test_older_tls_is_refused(version: ssl.TLSVersion):
    with house() as here:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", here.door.port), timeout=5) as raw,
            pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
        ):
            context.wrap_socket(raw)


# ---- dialling ----------------------------------------------------------------------------------------------


def test_nobody_there_is_said_with_a_hint():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionLost) as caught:
        dial("127.0.0.1", port)
    assert "nobody listens" in str(caught.value)
    assert caught.value.hint


def test_an_address_that_leads_nowhere_is_said_in_the_systems_words():
    with pytest.raises(ConnectionLost, match=r"network is unreachable|no route to host|invalid argument"):
        dial("fe80::1%lo", 9)


def test_patience_waits_for_the_door_and_says_why_once():
    here = House()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        here.door.port = taken.getsockname()[1]
    reasons: Queue[str] = Queue()
    connections: Queue[Connection] = Queue()
    waiting = threading.Thread(target=lambda: connections.put(here.dial(patience=20, report=reasons.put)))
    waiting.start()
    assert reasons.get(timeout=5) == "nobody listens there"
    with here.door:
        connection = connections.get(timeout=10)
        assert connection.alive
        connection.close()
    waiting.join()
    assert reasons.empty()


def test_a_server_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as dumb, pytest.raises(ConnectionLost, match="no answer"):
        dial("127.0.0.1", dumb.getsockname()[1], limits=QUICK)


def test_a_server_that_is_not_ours_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as web:

        def serve() -> None:
            for _ in range(2):
                with web.accept()[0] as client:
                    client.recv(4096)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(ConnectionLost, match="TLS"):
            dial("127.0.0.1", web.getsockname()[1], patience=0.3, limits=QUICK)


def test_strangers_may_be_shut_out_while_members_stay():
    with house() as here:
        there, connection = here.member()
        here.door.strangers_welcome = False
        with pytest.raises(ConnectionLost):
            here.dial()
        assert connection.alive
        assert there.alive
        here.member()[0].close()
        assert here.strangers.empty()


def test_a_taken_port_is_said_with_a_hint():
    with house() as here:
        second = House()
        second.door.port = here.door.port
        with pytest.raises(McloudError) as caught, second.door:
            pass
        assert "cannot listen" in str(caught.value)
        assert caught.value.hint


def test_closing_the_door_closes_all_and_leaves_no_thread():
    before = set(threading.enumerate())
    with house() as here:
        there, _connection = here.member()
        stranger = here.dial()
        stranger.send(b"x")
        stranger.receive(timeout=5)
    for connection in (there, stranger):
        with pytest.raises(ConnectionLost) as caught:
            connection.receive(timeout=5)
        assert caught.value.reason == "the door is closed"
    until(lambda: set(threading.enumerate()) <= before)

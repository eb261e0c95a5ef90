"""What strangers can do to the door: it goes on, and who means well is served.

Numbers are small here; MCLOUD_HEAVY=1 takes the ten thousands of the experiments.
"""

import errno
import itertools
import logging
import os
import resource
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Queue

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from mcloud.errors import ProtocolError, TrustError
from mcloud.model import Role
from mcloud.session.binding import binding_of
from mcloud.session.certificates import make_credentials
from mcloud.session.door import Door
from mcloud.session.guesses import GuessBook, Tries
from mcloud.session.limits import DEFAULT_LIMITS, Limits
from mcloud.session.sources import source_of
from mcloud.session.tls import client_context
from mcloud.session.transport import Connection, ConnectionLost, dial
from mcloud.session.trust import trust

HEAVY = bool(os.environ.get("MCLOUD_HEAVY"))
INITIATOR = make_credentials("n1")
CODE = SecretStr("acorn blimp crisp dove")

pytestmark = pytest.mark.timeout(600 if HEAVY else 30)


def echo(connection: Connection) -> None:
    with suppress(ConnectionLost, ProtocolError):
        while True:
            connection.send(connection.receive())


@contextmanager
def door(
    on_stranger: Callable[[Connection], None] = echo,
    *,
    limits: Limits = DEFAULT_LIMITS,
    address: str = "127.0.0.1",
) -> Iterator[Door]:
    with Door(
        INITIATOR,
        pins=dict,
        on_stranger=on_stranger,
        on_member=lambda _connection, _mark: None,
        address=address,
        port=0,
        limits=limits,
    ) as made:
        yield made


def knock(port: int, *, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))


def reset(sock: socket.socket) -> None:
    """Hang up the rude way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_served(port: int) -> float:
    """Do what an honest joiner does; return the seconds it took."""
    begun = time.monotonic()
    with dial("127.0.0.1", port, patience=5) as there:
        there.send(b"hello")
        assert there.receive(timeout=5) == b"hello"
    return time.monotonic() - begun


def until(condition: Callable[[], object], patience: float = 10.0) -> None:
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.005)


def was_cut(sock: socket.socket) -> bool:
    sock.settimeout(0)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# ---- the listener stays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"x", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_it_listens_after_any_number_of_resets(sent: bytes, caplog: pytest.LogCaptureFixture):
    with door() as made:
        before = descriptors()
        for _ in range(10_000 if HEAVY else 300):
            sock = knock(made.port)
            if sent:
                sock.sendall(sent)
            reset(sock)
        assert is_served(made.port) < 5
        until(lambda: descriptors() <= before)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_it_listens_after_a_full_descriptor_table(caplog: pytest.LogCaptureFixture):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with door() as made, ExitStack() as stack:
        idle = stack.enter_context(knock(made.port))
        late = [stack.enter_context(socket.socket()) for _ in range(3)]
        until(lambda: len(made._callers) == 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        filler: list[int] = []
        with pytest.raises(OSError) as full:
            while True:
                filler.append(os.dup(0))
        assert full.value.errno == errno.EMFILE
        for sock in late:
            sock.connect(("127.0.0.1", made.port))
        until(lambda: "cannot take a connection" in caplog.text)
        # The stranger who only sat there has given its place away.
        until(lambda: was_cut(idle), patience=DEFAULT_LIMITS.tls / 2)
        for file in filler:
            os.close(file)
        assert is_served(made.port) < 5
    assert caplog.text.count("cannot take a connection") < 100


def test_it_listens_when_there_is_no_thread_to_be_had(caplog: pytest.LogCaptureFixture):
    with door() as made, dial("127.0.0.1", made.port) as there:
        normal = threading.stack_size(1 << 46)  # no system has so much
        try:
            there.send(b"hello")
            with pytest.raises(ConnectionLost):
                there.receive(timeout=5)
        finally:
            threading.stack_size(normal)
        assert is_served(made.port) < 5
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_door_closes_however_far_its_callers_are():
    """Just arrived, begun TLS, finished TLS, open, talking: again and again, at no chosen moment."""
    before = descriptors()
    for number in range(200 if HEAVY else 30):
        with ExitStack() as stack, door() as made:
            tls = client_context(None).wrap_socket(knock(made.port))
            stack.callback(tls.close)
            for sent in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00", b"GET"):
                sock = stack.enter_context(knock(made.port))
                sock.sendall(sent)
            if number % 3 == 0:
                until(lambda: len(made._callers) == 4)
            # A caller the door does not know it has would be left open here.
    assert descriptors() == before


def test_it_listens_when_the_pins_cannot_be_had(caplog: pytest.LogCaptureFixture):
    pins: list[dict[str, str]] = [{}]
    with Door(
        INITIATOR,
        pins=lambda: pins[0] if pins else {}["nothing"],
        on_stranger=echo,
        on_member=lambda _connection, _mark: None,
        address="127.0.0.1",
        port=0,
    ) as made:
        for bad in ({"x": "no certificate"}, None):
            pins[:] = [bad] if bad else []
            with pytest.raises(ConnectionLost):
                dial("127.0.0.1", made.port)
        until(lambda: "Traceback" in caplog.text)
        pins[:] = [{}]
        assert is_served(made.port) < 5


# ---- the honest are served ---------------------------------------------------------------------------------


def test_idle_connections_from_many_sources_keep_nobody_out():
    sources = [f"127.0.{number // 250}.{number % 250 + 2}" for number in range(1250 if HEAVY else 20)]
    with door() as made, ExitStack() as stack:
        threads = threading.active_count()
        idle = [stack.enter_context(knock(made.port, source=each)) for each in sources for _ in range(8)]
        assert is_served(made.port) < 5
        assert threading.active_count() <= threads + 2
        until(lambda: sum(map(was_cut, idle)) >= len(idle) - DEFAULT_LIMITS.strangers)


def test_idle_connections_from_the_same_source_keep_nobody_out():
    with door() as made, ExitStack() as stack:
        idle = [stack.enter_context(knock(made.port)) for _ in range(1000 if HEAVY else 40)]
        assert is_served(made.port) < 5
        until(lambda: sum(map(was_cut, idle)) >= len(idle) - DEFAULT_LIMITS.per_source)


def test_a_flood_from_the_same_source_may_keep_us_out_but_not_for_longer():
    """The places of one address are shared by all behind it."""
    with door() as made:
        for _ in range(200):
            with knock(made.port) as sock:
                sock.sendall(b"\x16\x03\x01")
        assert is_served(made.port) < 5


def test_a_running_flood_keeps_nobody_out():
    """While it goes on, from more sources than there are places."""
    with door() as made:
        stop = threading.Event()

        def flood(net: int) -> None:
            held: list[socket.socket] = []
            for number in itertools.cycle(range(1, 41)):
                if stop.is_set():
                    break
                with suppress(OSError):
                    held.append(knock(made.port, source=f"127.0.{net}.{number}"))
                    held[-1].sendall(b"\x16\x03\x01" if len(held) % 2 else b"")
                for old in held[:-100]:
                    old.close()
                del held[:-100]
            for old in held:
                old.close()

        floods = [threading.Thread(target=flood, args=(net,)) for net in (1, 2)]
        for each in floods:
            each.start()
        try:
            for _ in range(20 if HEAVY else 3):
                assert is_served(made.port) < 10
        finally:
            stop.set()
            for each in floods:
                each.join()


def test_tls_that_drips_is_cut_in_time():
    limits = Limits(tls=0.3)
    with door(limits=limits) as made, knock(made.port) as sock:
        client, out = client_context(None), ssl.MemoryBIO()
        begin = client.wrap_bio(ssl.MemoryBIO(), out)
        with pytest.raises(ssl.SSLWantReadError):
            begin.do_handshake()
        begun = time.monotonic()
        with pytest.raises(OSError):  # reset or broken pipe, as it comes
            for byte in out.read() * 100:
                sock.send(bytes([byte]))
                time.sleep(0.02)
        assert 0.2 < time.monotonic() - begun < 3


def test_finished_tls_without_a_word_is_cut_in_time():
    with door(limits=Limits(exchange=0.4)) as made, client_context(None).wrap_socket(knock(made.port)) as tls:
        begun = time.monotonic()
        with suppress(OSError):
            assert tls.recv(1) == b""
        assert 0.2 < time.monotonic() - begun < 3


def test_a_stranger_who_says_nothing_costs_no_thread():
    with door() as made, ExitStack() as stack:
        there = [stack.enter_context(dial("127.0.0.1", made.port)) for _ in range(5)]
        assert not [each for each in threading.enumerate() if each.name.startswith("mcloud-from-")]
        there[0].send(b"x")
        there[0].receive(timeout=5)
        assert len([each for each in threading.enumerate() if each.name.startswith("mcloud-from-")]) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(min_size=1, max_size=300), inside=st.booleans())
def test_junk_before_and_inside_tls_reaches_nobody(junk: bytes, inside: bool, made_door: Door):  # noqa: FBT001
    sock: socket.socket = knock(made_door.port)
    if inside:
        sock = client_context(None).wrap_socket(sock)
    with sock, suppress(OSError):
        sock.sendall(junk)
        sock.settimeout(0.02)
        sock.recv(4096)


@pytest.fixture(scope="module")
def made_door() -> Iterator[Door]:
    calls: list[Connection] = []
    with door(calls.append) as made:
        yield made
        with dial("127.0.0.1", made.port) as there:
            there.send(b"x")
            until(lambda: calls)
    assert len(calls) == 1


def test_a_failing_callback_costs_its_own_connection_only(caplog: pytest.LogCaptureFixture):
    def broken(connection: Connection) -> None:
        raise ZeroDivisionError(connection.receive().decode())

    def refusing(_connection: Connection) -> None:
        raise ProtocolError("you speak version 0")

    with door(broken) as made:
        for _ in range(2):
            with dial("127.0.0.1", made.port) as there:
                there.send(b"x")
                with pytest.raises(ConnectionLost) as caught:
                    there.receive(timeout=5)
                assert caught.value.reason == ""
        made._on_stranger = refusing
        with dial("127.0.0.1", made.port) as there:
            there.send(b"x")
            with pytest.raises(ConnectionLost) as caught:
                there.receive(timeout=5)
            assert caught.value.reason == "you speak version 0"
    assert caplog.text.count("broke off") == 2


# ---- first contact, whole ----------------------------------------------------------------------------------


class Initiator:
    """The first connection's part of an initiator: Hello for Hello, trust, pin."""

    def __init__(self, code: SecretStr = CODE) -> None:
        self.pins: dict[str, str] = {}
        self.outcomes: Queue[Exception | None] = Queue()
        self.book = GuessBook(code, renew=lambda: code)

    def stranger(self, connection: Connection) -> None:
        theirs = connection.receive(timeout=5)
        mine = b"hello, I am the initiator"
        connection.send(mine)
        binding = binding_of(
            initiator_hello=mine,
            joiner_hello=theirs,
            server_certificate=connection.server_certificate,
            method="words",
        )
        source = source_of(connection.peer_address)
        try:
            with self.book.exchange(connection, source=source) as (channel, code):
                trust(channel, code, Role.INITIATOR, binding)
        except Exception as error:
            self.outcomes.put(error)
            raise
        self.outcomes.put(None)


def join(port: int, *, code: SecretStr = CODE, tries: Tries | None = None) -> None:
    with dial("127.0.0.1", port, patience=5) as there:
        there.send(b"hello, I am a joiner")
        theirs = there.receive(timeout=5)
        binding = binding_of(
            initiator_hello=theirs,
            joiner_hello=b"hello, I am a joiner",
            server_certificate=there.server_certificate,
            method="words",
        )
        with (tries or Tries()).exchange(there) as channel:
            trust(channel, code, Role.JOINER, binding)


def test_who_knows_the_code_is_trusted_and_quickly():
    initiator = Initiator()
    with door(initiator.stranger) as made:
        begun = time.monotonic()
        join(made.port)
        assert time.monotonic() - begun < 2
    assert initiator.outcomes.get(timeout=5) is None
    assert initiator.book.failures == 0


def test_ten_at_once_are_all_trusted():
    initiator = Initiator()
    errors: list[Exception] = []

    def work() -> None:
        try:
            join(made.port)
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    with door(initiator.stranger, limits=Limits(per_source=10)) as made:
        joiners = [threading.Thread(target=work) for _ in range(10)]
        for joiner in joiners:
            joiner.start()
        for joiner in joiners:
            joiner.join()
    assert errors == []
    assert initiator.book.failures == 0


def test_a_wrong_code_is_refused_on_both_sides_and_counted():
    initiator, tries = Initiator(), Tries()
    with door(initiator.stranger) as made:
        for left in (2, 1, 0):
            with pytest.raises(TrustError):
                join(made.port, code=SecretStr("acorn blimp crisp ember"), tries=tries)
            assert isinstance(initiator.outcomes.get(timeout=5), TrustError)
            assert tries.left == left
        # No fourth: not a word of the exchange goes out.
        with pytest.raises(TrustError, match="too often"):
            join(made.port, tries=tries)
        assert initiator.book.failures == 3
        join(made.port)


def test_a_lying_initiator_gets_three_guesses_over_all_addresses():
    liars = [Initiator(SecretStr(f"guess number {number} of his")) for number in range(4)]
    tries = Tries()
    with ExitStack() as stack:
        doors = [
            stack.enter_context(door(liar.stranger, address=f"127.0.0.{n}"))
            for n, liar in enumerate(liars, 1)
        ]
        for made in doors:
            with pytest.raises(TrustError), dial(made.address, made.port) as there:
                there.send(b"hello")
                binding = binding_of(
                    initiator_hello=there.receive(timeout=5),
                    joiner_hello=b"hello",
                    server_certificate=there.server_certificate,
                    method="words",
                )
                with tries.exchange(there) as channel:
                    trust(channel, CODE, Role.JOINER, binding)
    assert tries.left == 0
    assert [liar.outcomes.qsize() for liar in liars] == [1, 1, 1, 1]
    assert not isinstance(liars[3].outcomes.get(), TrustError)


def test_a_man_in_the_middle_without_the_code_is_refused_with_the_right_one():
    """He has a certificate of his own on each side and passes every message on."""
    initiator = Initiator()

    def relay(connection: Connection) -> None:
        with dial("127.0.0.1", honest.port) as onward:
            back = threading.Thread(target=pump, args=(onward, connection), daemon=True)
            back.start()
            pump(connection, onward)
            back.join(5)

    def pump(source: Connection, sink: Connection) -> None:
        with suppress(ConnectionLost, ProtocolError):
            while True:
                sink.send(source.receive(timeout=5))
        sink.close()

    with (
        door(initiator.stranger) as honest,
        Door(
            make_credentials("n1"),
            pins=dict,
            on_stranger=relay,
            on_member=lambda _connection, _mark: None,
            address="127.0.0.1",
            port=0,
        ) as his,
    ):
        tries = Tries()
        with pytest.raises(TrustError):
            join(his.port, tries=tries)
        assert isinstance(initiator.outcomes.get(timeout=5), TrustError)
        assert initiator.book.failures == 1
        assert tries.left == 2


def test_a_share_taken_and_the_line_dropped_is_counted_over_the_wire():
    initiator = Initiator()
    with door(initiator.stranger) as made:
        with dial("127.0.0.1", made.port) as there:
            there.send(b"hello")
            there.receive(timeout=5)
            with pytest.raises(ZeroDivisionError):
                trust(_Dropping(there), CODE, Role.JOINER, b"")
        assert isinstance(initiator.outcomes.get(timeout=5), ConnectionLost)
        assert initiator.book.failures == 1


class _Dropping:
    """A joiner that takes the initiator's share and goes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, message: bytes) -> None:
        self.connection.send(message)

    def receive(self) -> bytes:
        self.connection.receive(timeout=5)
        raise ZeroDivisionError

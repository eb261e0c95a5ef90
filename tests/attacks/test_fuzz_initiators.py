"""Whatever a false initiator says to a joiner, in every state: the joiner says why it leaves, in time."""

import base64
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from fuzz import examples, hurt_json, wounded
from honest import CODE, join, joiner, seat
from hypothesis import given
from hypothesis import strategies as st
from kit import HIS, hello, side
from websockets.utils import accept_key

from mcloud import errors
from mcloud.model import Beacon
from mcloud.session.guesses import Tries
from mcloud.session.limits import Limits
from mcloud.session.tls import server_context
from mcloud.session.transport import dial

pytestmark = pytest.mark.timeout(3600)
QUICK = Limits(tls=1.0, exchange=0.4)
KEY = base64.b64encode(bytes(16)).decode()


class Impostor:
    """A server of his: for each that comes it plays the next script, byte by byte if need be."""

    def __init__(self) -> None:
        self.scripts: queue.Queue[tuple[bytes | None, bytes | None, list[bytes]]] = queue.Queue()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._context = server_context(HIS, [], strangers=True)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                raw = self._listening.accept()[0]
            except OSError:
                return
            with raw, suppress(OSError, ssl.SSLError):
                raw.settimeout(2)
                self._play(raw, *self.scripts.get(timeout=5))

    def _play(
        self, raw: socket.socket, before: bytes | None, opening: bytes | None, frames: list[bytes]
    ) -> None:
        """Say something in place of TLS, of the WebSocket's answer, or after both, once for each message."""
        if before is not None:
            raw.recv(4096)
            raw.sendall(before)
            return
        with self._context.wrap_socket(raw, server_side=True) as line:
            asked = line.recv(4096)
            line.sendall(opening if opening is not None else answer(asked))
            for said in frames:
                line.recv(4096)
                line.sendall(said)
            line.settimeout(0.02)
            line.recv(4096)


def answer(asked: bytes) -> bytes:
    """Return what opens the WebSocket for who asked."""
    key = asked.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
    ).encode()


def frame(payload: bytes, first: int = 0x82) -> bytes:
    """Return a server's frame: not masked."""
    size = len(payload)
    return bytes([first]) + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)) + payload


@pytest.fixture(scope="module")
def his() -> Iterator[Impostor]:
    made = Impostor()
    yield made
    made.close()
    with seat() as here:
        join(here.port)
        assert here.outcome() is None


def meet(his: Impostor, *, before: bytes | None = None, opening: bytes | None = None, frames=()) -> None:
    """Let an honest joiner come; it must leave with an error it can show, and in time."""
    his.scripts.put((before, opening, list(frames)))
    began = time.monotonic()
    with pytest.raises(errors.McloudError) as raised:
        join_once(his.port)
    assert time.monotonic() - began < QUICK.tls + QUICK.exchange + 2
    assert raised.value.message.isprintable(), raised.value.message


def join_once(port: int) -> None:
    beacon = Beacon.model_validate({"name": "n1", "address": "127.0.0.1", "port": port})
    with dial("127.0.0.1", port, limits=QUICK) as line:
        joiner().first_contact(line, beacon, CODE, Tries())


@examples(25)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda junk: b"\x16\x03\x03" + len(junk).to_bytes(2) + junk, st.binary(max_size=300)),
        st.sampled_from([b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28", b""]),
    )
)
def test_in_place_of_tls(his, said: bytes):
    meet(his, before=said)


WHOLE = answer(b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\n")


@examples(40)
@given(
    st.one_of(
        wounded(WHOLE),
        st.builds(lambda junk: WHOLE[:-2] + junk + b"\r\n\r\n", st.binary(max_size=60)),
        st.integers(0, 60_000).map(lambda size: WHOLE[:-2] + b"X: " + b"x" * size + b"\r\n\r\n"),
        st.sampled_from([b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", WHOLE]),
        st.binary(max_size=100),
    )
)
def test_in_place_of_the_opening(his, said: bytes):
    meet(his, opening=said)


FRAMES = st.builds(frame, st.binary(max_size=120), st.integers(0, 255))


@examples(15)
@given(st.lists(st.lists(FRAMES, max_size=4).map(b"".join), min_size=1, max_size=3))
def test_frames(his, said: list[bytes]):
    meet(his, frames=said)


@examples(40)
@given(hurt_json(hello("initiator", HIS, session="x")))
def test_hellos(his, said: bytes):
    meet(his, frames=[frame(said[:4096])])


@examples(40)
@given(
    st.one_of(
        wounded(side("B", "no word of ours").share),
        st.builds(lambda point: b"B" + point, st.binary(min_size=32, max_size=32)),
        st.just(side("B", "no word of ours").share),
        st.binary(max_size=100),
    ),
    st.binary(max_size=40),
)
def test_shares_and_confirmations(his, share: bytes, confirmation: bytes):
    meet(his, frames=[frame(hello("initiator", HIS)), frame(share), frame(confirmation)])


@pytest.mark.parametrize("said", range(4))
def test_an_initiator_that_falls_silent_is_left_in_time(said: int):
    """After TLS, after the opening, after its Hello, after its share."""
    listening = socket.create_server(("127.0.0.1", 0))
    context = server_context(HIS, [], strangers=True)
    done = threading.Event()
    steps = [frame(hello("initiator", HIS)), frame(side("B", "no word of ours").share)]

    def serve() -> None:
        with suppress(OSError), listening.accept()[0] as raw:  # noqa: SIM117 - the second may raise first
            with context.wrap_socket(raw, server_side=True) as line:
                if said:
                    line.sendall(answer(line.recv(4096)))
                for step in steps[: max(0, said - 1)]:
                    line.recv(4096)
                    line.sendall(step)
                done.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    began = time.monotonic()
    with pytest.raises(errors.McloudError):
        join_once(listening.getsockname()[1])
    assert time.monotonic() - began < QUICK.tls + QUICK.exchange + 2
    done.set()
    thread.join(5)
    listening.close()

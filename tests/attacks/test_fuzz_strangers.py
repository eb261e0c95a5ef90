"""Whatever a stranger sends to an initiator's door, in every state: calm, small, and open to others."""

import base64
import gc
import itertools
import os
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from queue import Empty

import pytest
from fuzz import examples, hurt_json, wounded
from honest import CODE, N2, N3, join, joiner, seat, until
from hypothesis import given
from hypothesis import strategies as st
from kit import HIS, hello, side

from mcloud import errors
from mcloud.session.guesses import GuessBook
from mcloud.session.limits import DEFAULT_LIMITS, Limits
from mcloud.session.lost import ConnectionLost
from mcloud.session.tls import client_context

pytestmark = pytest.mark.timeout(3600)


class Hurried(GuessBook):
    """A book whose time goes faster: else each guess would take half a second of the test's."""

    def __init__(self, code, *, renew):
        super().__init__(code, renew=lambda: CODE, clock=lambda: 100 * time.monotonic())


@pytest.fixture(scope="module")
def here() -> Iterator:
    with seat(book=Hurried) as made:
        yield made
        until(lambda: not made.door._callers)
        until(lambda: not [each for each in threading.enumerate() if each.name.startswith("mcloud-from-")])
        with suppress(Empty):
            while True:
                outcome = made.outcomes.get_nowait()
                assert isinstance(outcome, errors.ProtocolError | errors.TrustError | ConnectionLost), outcome
        assert made.pinned == []
        began = time.monotonic()
        join(made.port, joiner(N3, name="n3"))
        assert made.outcome() is None
        assert time.monotonic() - began < 5


# ---- how far a stranger may have got -----------------------------------------------------------------------


def opening() -> bytes:
    """Return the request that opens a WebSocket (RFC 6455, section 4.1)."""
    key = base64.b64encode(bytes(16)).decode()
    return (
        "GET / HTTP/1.1\r\nHost: mcloud\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def frame(payload: bytes, *, first: int = 0x82, mask: bytes = bytes(4)) -> bytes:
    """Return a client's frame (RFC 6455, section 5.2): by default a whole message of bytes."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    masked = bytes(byte ^ key for byte, key in zip(payload, itertools.cycle(mask), strict=False))
    return bytes([first]) + length + mask + masked


def client_hello() -> bytes:
    """Return the first bytes of TLS as OpenSSL sends them."""
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client_context(None).wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


STATES = ("connected", "in TLS", "open", "greeted", "answered")


def visit(port: int, state: str, sent: bytes) -> None:
    """Get as far as `state`, send, listen a little, and go."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    with ExitStack() as stack:
        stack.enter_context(raw)
        line = raw
        if state != "connected":
            line = stack.enter_context(client_context(None).wrap_socket(raw))
        with suppress(OSError):
            for step in _steps(state):
                line.sendall(step)
                line.recv(4096)
            line.sendall(sent)
            line.settimeout(0.01)
            while line.recv(4096):
                pass


def _steps(state: str) -> list[bytes]:
    whole = [opening(), frame(hello("joiner", HIS)), frame(side("A", "no word of ours").share)]
    return whole[: max(0, STATES.index(state) - 1)]


FRAMES = st.builds(
    frame,
    st.binary(max_size=200),
    first=st.integers(0, 255),
    mask=st.binary(min_size=4, max_size=4),
)
CLIENT_HELLO = client_hello()


@examples(40)
@given(
    st.one_of(
        st.binary(max_size=300),
        wounded(CLIENT_HELLO),
        st.builds(lambda junk: b"\x16\x03\x01" + len(junk).to_bytes(2) + junk, st.binary(max_size=600)),
        st.builds(lambda junk: CLIENT_HELLO + junk, st.binary(max_size=300)),
    )
)
def test_before_and_in_the_handshake(here, sent: bytes):
    visit(here.port, "connected", sent)


@examples(40)
@given(
    st.one_of(
        wounded(opening()),
        st.builds(lambda junk: opening().replace(b"mcloud", junk), st.binary(max_size=80)),
        st.builds(lambda name: opening()[:-2] + name + b": x\r\n\r\n", st.binary(max_size=40)),
        st.integers(0, 60_000).map(lambda size: opening()[:-2] + b"X: " + b"x" * size + b"\r\n\r\n"),
        st.integers(0, 2000).map(lambda number: opening()[:-2] + b"X: x\r\n" * number + b"\r\n"),
    )
)
def test_the_opening(here, sent: bytes):
    visit(here.port, "in TLS", sent)


@examples(50)
@given(st.sampled_from(STATES[2:]), st.lists(FRAMES, max_size=6), st.binary(max_size=20))
def test_frames(here, state: str, frames: list[bytes], rest: bytes):
    visit(here.port, state, b"".join(frames) + rest)


@examples(70)
@given(hurt_json(hello("joiner", N2, session="x")))
def test_hellos(here, said: bytes):
    visit(here.port, "open", frame(said[:4096]))


@examples(50)
@given(
    st.one_of(
        wounded(side("A", "no word of ours").share),
        st.builds(lambda point: b"A" + point, st.binary(min_size=32, max_size=32)),
        st.binary(max_size=100),
    ),
    st.binary(max_size=40),
)
def test_shares_and_confirmations(here, share: bytes, confirmation: bytes):
    visit(here.port, "greeted", frame(share) + frame(confirmation))


# ---- what it costs -----------------------------------------------------------------------------------------


def flood(sources: int, port: int) -> None:
    """Send as much as is taken, from many sources, and keep the lines open meanwhile."""
    with ExitStack() as stack:
        for number in range(sources):
            raw = socket.create_connection(
                ("127.0.0.1", port), 5, source_address=(f"127.2.0.{number + 1}", 0)
            )
            stack.enter_context(raw)
            with suppress(OSError):
                line = stack.enter_context(client_context(None).wrap_socket(raw))
                line.sendall(opening())
                line.recv(4096)
                line.sendall(frame(hello("joiner", HIS)))
                for _ in range(8):
                    line.sendall(frame(os.urandom(4000)))


def test_strangers_take_no_more_memory_than_they_may():
    """However many come: 64 at a time, each with asyncio's buffer for TLS (256 KiB) and what it may say."""
    with seat(book=Hurried) as here:
        flood(2, here.port)  # what is there once for all
        until(lambda: not here.door._callers)
        gc.disable()  # nor may it be left to a collection that may come late
        tracemalloc.start(1)
        try:
            for _ in range(2):
                flood(80, here.port)
                until(lambda: not here.door._callers)
                here.outcomes.queue.clear()
            until(lambda: tracemalloc.get_traced_memory()[0] < 4 * 2**20)
            _left, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        assert peak < DEFAULT_LIMITS.strangers * 400 * 1024
        join(here.port, limits=DEFAULT_LIMITS)


def test_a_stranger_takes_no_more_time_than_he_may():
    """In every state: who says no more is cut when its time is over, with all that it held."""
    with seat(book=Hurried, limits=Limits(tls=0.3, exchange=0.6)) as here, ExitStack() as stack:
        began = time.monotonic()
        for state in STATES:
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", here.port), timeout=5))
            line = raw
            if state != "connected":
                line = stack.enter_context(client_context(None).wrap_socket(raw))
            for step in _steps(state):
                line.sendall(step)
                line.recv(4096)
        assert here.door._callers
        until(lambda: not here.door._callers, patience=4)
        assert time.monotonic() - began < 4
        until(lambda: not [each for each in threading.enumerate() if each.name.startswith("mcloud-from-")])

"""An attacker's tools: he owns the network, has certificates, and a dictionary with the right words."""

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B
from spake2.ed25519_basic import L
from spake2.spake2 import DefaultParams

from mcloud.errors import McloudError
from mcloud.session import possession
from mcloud.session.binding import binding_of, framed
from mcloud.session.certificates import Credentials, make_credentials
from mcloud.session.door import Door
from mcloud.session.protocol import VERSION, Hello, encode
from mcloud.session.transport import Connection, dial

WORDS = ("acorn blimp crisp dove", "acid acorn acre acts", "zesty zippy zone zoom", "blimp acorn dove crisp")
"""His dictionary; the first is the code in force."""
HIS = make_credentials("n1")
"""A certificate of his own, in the initiator's name."""
SUITE = b"mcloud words 1: spake2-ed25519, hkdf-sha256, hmac-sha256"
LABELS = {"A": b"mcloud words 1 joiner confirms", "B": b"mcloud words 1 initiator confirms"}
Side = Literal["A", "B"]


# ---- the real maths, as an attacker does it ----------------------------------------------------------------


def side(which: Side, word: str, *, params: object = DefaultParams, scalar: int | None = None):
    """Return one side of the exchange under some words, started; with a secret number of one's choice."""
    kind = SPAKE2_A if which == "A" else SPAKE2_B
    entropy = {} if scalar is None else {"entropy_f": lambda _n: (scalar % L).to_bytes(64, "big")}
    made = kind(word.encode(), idA=b"joiner", idB=b"initiator", params=params, **entropy)
    made.share = made.start()
    if scalar is not None:
        assert made.xy_scalar == scalar % L
    return made


def confirmation(key: bytes, which: Side, *, binding: bytes, a: bytes, b: bytes) -> bytes:
    """Return what the side `which` sends to confirm a key."""
    transcript = hashlib.sha256(framed(SUITE, binding, a, b)).digest()
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=transcript, info=LABELS[which])
    return hmac.digest(kdf.derive(key), transcript, "sha256")


@dataclass
class Seen:
    """All that he has after an exchange: what was said, and the secret number of the side he played."""

    binding: bytes
    a: bytes
    b: bytes
    confirmed: dict[Side, bytes] = field(default_factory=dict)
    """Confirmations of the honest, by side."""
    played: Side = "A"
    scalar: int = 0
    guess: str = ""

    def confirms(self, word: str, *, params: object = DefaultParams, trapdoor: int = 0) -> bool:
        """Try one word offline, by the secret number he would have if he had played under that word.

        He knows how his number under one word and another differ only if he knows the `trapdoor`: the
        discrete logarithm of the point by which his side blinds its share.
        """
        scalar = self.scalar
        if trapdoor:
            number = params.group.password_to_scalar  # type: ignore[attr-defined]
            scalar += (number(self.guess.encode()) - number(word.encode())) * trapdoor
        mine = side(self.played, word, params=params, scalar=scalar)
        own, other = (self.a, self.b) if self.played == "A" else (self.b, self.a)
        mine.outbound_message = own[1:]
        key = mine.finish(other)
        return any(
            hmac.compare_digest(said, confirmation(key, which, binding=self.binding, a=self.a, b=self.b))
            for which, said in self.confirmed.items()
        )

    def found(self, words: Sequence[str] = WORDS, **how) -> list[str]:
        """Try a whole dictionary offline; return the words that what he saw confirms."""
        return [word for word in words if self.confirms(word, **how)]


# ---- dialling in -------------------------------------------------------------------------------------------


def hello(role: Literal["joiner", "initiator"], credentials: Credentials, **more) -> bytes:
    """Return a Hello as the honest say it."""
    name = "n1" if role == "initiator" else "n9"
    said = {"version": VERSION, "role": role, "methods": ("words",), "nonce": "0" * 32, "name": name}
    whole = {**said, "address": ip_address("10.0.0.9"), "certificate": credentials.certificate, **more}
    return encode(Hello(**whole))


def guess_as_joiner(port: int, word: str, *, confirm: bool = True, own: Credentials = HIS, **more) -> Seen:
    """Dial in and guess; the guess was right if nothing is raised. `confirm=False`: take the share and go."""
    with dial("127.0.0.1", port, patience=5) as line:
        return spend(line, word, confirm=confirm, own=own, **more)


def spend(
    line: Connection,
    word: str,
    *,
    confirm: bool = True,
    own: Credentials = HIS,
    key: Credentials | None = None,
    **more,
) -> Seen:
    """Guess on an open line; return what was seen, with the initiator's confirmation if there was one.

    `key`: another key than that of the certificate which is shown.
    """
    mine = hello("joiner", own, **more)
    line.send(mine)
    theirs = line.receive(timeout=5)
    binding = binding_of(
        initiator_hello=theirs, joiner_hello=mine, server_certificate=line.server_certificate, method="words"
    )
    play = side("A", word)
    line.send(play.share)
    answer = line.receive(timeout=5)
    seen = Seen(binding, play.share, answer, played="A", scalar=play.xy_scalar, guess=word)
    if not confirm:
        return seen
    line.send(confirmation(play.finish(answer), "A", binding=binding, a=play.share, b=answer))
    with suppress(McloudError):
        last = line.receive(timeout=5)
        if len(last) == 32:
            seen.confirmed["B"] = last
            line.send(possession.prove(key or own, binding))
    return seen


# ---- posing as an initiator --------------------------------------------------------------------------------


@dataclass
class Liar:
    """He poses as the initiator, and guesses a word each time a joiner comes."""

    words: Iterator[str]
    credentials: Credentials = HIS
    params: object = DefaultParams
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    change: Callable[[bytes], bytes] = lambda said: said
    """What he makes of his own Hello."""

    def receive(self, line: Connection) -> None:
        """Play the whole exchange."""
        line.send(self.take(line))
        line.receive(timeout=5)  # the proof of the joiner's key

    def take(self, line: Connection) -> bytes:
        """Play it until the joiner's confirmation is there; return one's own, if somebody wants it."""
        theirs = line.receive(timeout=5)
        mine = self.change(hello("initiator", self.credentials))
        line.send(mine)
        binding = binding_of(
            initiator_hello=mine,
            joiner_hello=theirs,
            server_certificate=line.server_certificate,
            method="words",
        )
        share = line.receive(timeout=5)
        word = next(self.words)
        play = side("B", word, params=self.params)
        line.send(play.share)
        seen = Seen(binding, share, play.share, played="B", scalar=play.xy_scalar, guess=word)
        seen.confirmed["A"] = line.receive(timeout=5)
        self.seen.append(seen)
        key = play.finish(share)
        return confirmation(key, "B", binding=binding, a=share, b=play.share)


@contextmanager
def lying(*words: str, **more) -> Iterator[Liar]:
    """Open a door that is not the initiator's."""
    liar = Liar(iter(words), **more)
    with posing(liar.receive, liar.credentials) as liar.port:
        yield liar


@contextmanager
def posing(receive: Callable[[Connection], None], credentials: Credentials = HIS) -> Iterator[int]:
    """Have joiners that come to a port of his met by a function; the port."""

    def quietly(line: Connection) -> None:
        with suppress(McloudError):
            receive(line)

    with Door(
        credentials,
        pins=dict,
        on_stranger=quietly,
        on_member=lambda _line, _mark: None,
        address="127.0.0.1",
        port=0,
    ) as door:
        yield door.port


# ---- in the middle -----------------------------------------------------------------------------------------


Change = Callable[[str, int, bytes], bytes]
"""What becomes of the number-th message (from 0) that `joiner` or `initiator` says."""


def named(certificate: str) -> Change:
    """Pass all on, but name another certificate in the initiator's Hello: the one his connection shows."""

    def change(who: str, number: int, message: bytes) -> bytes:
        if (who, number) != ("initiator", 0):
            return message
        return json.dumps(json.loads(message) | {"certificate": certificate}).encode()

    return change


def untouched(_who: str, _number: int, message: bytes) -> bytes:
    """Pass all on as it is."""
    return message


@dataclass
class Middle:
    """He ends TLS on both sides, reads everything, and passes on what he likes."""

    target: int
    change: Change
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    port: int = 0

    def between(self, line: Connection) -> None:
        with dial("127.0.0.1", self.target) as onward:
            back = threading.Thread(target=self._pass_on, args=("initiator", onward, line), daemon=True)
            back.start()
            self._pass_on("joiner", line, onward)
            back.join(5)

    def _pass_on(self, who: str, source: Connection, sink: Connection) -> None:
        number = 0
        with suppress(McloudError):
            while True:
                message = source.receive(timeout=5)
                self.heard.append((who, message))
                sink.send(self.change(who, number, message))
                number += 1
        sink.close()


@contextmanager
def middle(target: int, *, credentials: Credentials = HIS, change: Change | None = None) -> Iterator[Middle]:
    """Stand between joiners and the initiator at `target`; by default with a certificate of his own."""
    made = Middle(target, change or named(credentials.certificate))
    with posing(made.between, credentials) as made.port:
        yield made


# ---- listening ---------------------------------------------------------------------------------------------


@dataclass
class Tap:
    """A wire that keeps all that went over it, and changes nothing."""

    target: int
    bytes_seen: dict[str, bytearray] = field(
        default_factory=lambda: {"joiner": bytearray(), "initiator": bytearray()}
    )

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_what: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with suppress(OSError):
            near = self._listening.accept()[0]
            with near, socket.create_connection(("127.0.0.1", self.target)) as far:
                back = threading.Thread(target=self._copy, args=("initiator", far, near), daemon=True)
                back.start()
                self._copy("joiner", near, far)
                back.join(5)

    def _copy(self, who: str, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.bytes_seen[who] += data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

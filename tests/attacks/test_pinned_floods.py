"""What a joiner that was let in can do to its initiator's memory, and to the others, by talking too much."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from honest import N2, N3, PATIENCE, join, joiner, meanwhile, seat, until

from mcloud import errors
from mcloud.model import Node
from mcloud.session.certificates import Credentials
from mcloud.session.joiner import Peer
from mcloud.session.limits import DEFAULT_LIMITS
from mcloud.session.lost import ConnectionLost
from mcloud.session.protocol import Introduction, Progress, encode
from mcloud.session.transport import Connection, dial
from mcloud.watch import Happening

pytestmark = pytest.mark.timeout(300)

UNBOUND = replace(DEFAULT_LIMITS, joiner_message=64 * 2**20)
"""He bears no limit of ours on what he says."""
MOST = 150
"""MiB. The interpreter and what mcloud is made of take 60 of it."""
LARGE, ALLOWED = 8 * 2**20, 512 * 2**10


class Initiator:
    """The process of an initiator, and what it says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self.hear("port"))

    def hear(self, word: str) -> str:
        """Return what follows a word, once it is said."""
        for line in self._process.stdout or ():
            if line.startswith(f"{word} "):
                return line.removeprefix(f"{word} ").strip()
        raise AssertionError("the initiator ended")

    def peak(self) -> int:
        """Return the most memory it had, in MiB."""
        print("peak", file=self._process.stdin, flush=True)
        return int(self.hear("peak"))


@contextmanager
def initiator() -> Iterator[Initiator]:
    command = [sys.executable, str(Path(__file__).with_name("seated.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Initiator(process)
        finally:
            process.terminate()


def as_member(peer: Peer, credentials: Credentials = N2) -> Connection:
    return dial(
        peer.address,
        peer.port,
        credentials=credentials,
        expect=peer.fingerprint,
        patience=PATIENCE,
        limits=UNBOUND,
    )


def introduction(name: str, credentials: Credentials, run: str = "") -> bytes:
    node = Node(name=name, addresses=("10.0.0.2",), fingerprint=credentials.fingerprint)
    return encode(Introduction(node=node, versions={}, run=run))


def must_be_heard(here: Initiator) -> None:
    """Let another joiner in, and wait until it is here."""
    give_up = time.monotonic() + 100
    while True:
        try:
            peer = join(here.port, joiner(N3, name="n3"))
            with as_member(peer, N3) as line:
                line.send(introduction("n3", N3))
                while here.hear("came") != "n3 here":
                    pass
        except ConnectionLost:  # this machine may be busy with other things
            assert time.monotonic() < give_up, "nobody else is heard"
        else:
            return


def of(unit: str, size: int) -> str:
    return ",".join([unit] * ((size - 200) // (len(unit) + 1)))


MESSAGES: dict[str, Callable[[int], str]] = {
    "a survey of wrong disks": lambda size: (
        '{"type":"introduction","versions":{},"node":{"name":"n2","addresses":["10.0.0.2"],'
        f'"survey":{{"disks":[{of("0", size)}]}}}}}}'
    ),
    "a survey of empty disks": lambda size: (
        '{"type":"introduction","versions":{},"node":{"name":"n2","addresses":["10.0.0.2"],'
        f'"survey":{{"disks":[{of("{}", size)}]}}}}}}'
    ),
    "a survey of addresses": lambda size: (
        '{"type":"introduction","versions":{},"node":{"name":"n2","addresses":["10.0.0.2"],'
        f'"survey":{{"nics":[{{"name":"e","addresses":[{of(chr(34) + "::/0" + chr(34), size)}]}}]}}}}}}'
    ),
    "empty facts": lambda size: f'{{"type":"joined","stage":"enter","facts":{{"a":[{of("{}", size)}]}}}}',
    "keys that nobody knows": lambda size: (
        '{"type":"introduction",' + ",".join(f'"{n:x}":{{}}' for n in range(size // 13)) + "}"
    ),
    "levels": lambda size: "[" * size,
    "digits": lambda size: f'{{"type":{"1" * (size - 20)}}}',
    "quotation marks": lambda size: '{"type":"' + '\\"' * (size // 2 - 20),
}


def talk(line: Connection) -> None:
    """Say how far he is, again and again."""
    happening = Happening(machine="n2", plugin="x", hook="join", about="n2", step="s", what="report")
    said = encode(Progress(happening=happening))
    with suppress(errors.McloudError):
        while line.alive:
            line.send(said)


def ping(line: Connection) -> None:
    """Send empty pings (RFC 6455, section 5.5.2), as many as the network takes."""
    while line.alive:
        size = line._wire.transport.get_write_buffer_size()
        if size < 2**20:
            line._thread.post(line._wire.transport.write, b"\x89\x80\0\0\0\0" * 20_000)
        time.sleep(0.01)


@pytest.mark.parametrize("size", [LARGE, ALLOWED, ALLOWED // 5], ids=["8 MiB", "512 KiB", "100 KiB"])
def test_what_one_joiner_says_costs_its_initiator_little(size: int):
    """One such message of 8 MiB cost 560 MB, and nobody else was heard meanwhile."""
    with initiator() as here:
        peer = join(here.port)
        for message in MESSAGES.values():
            said = message(size).encode()
            assert len(said) <= size
            with ExitStack() as stack:
                lines = [stack.enter_context(as_member(peer)) for _ in range(2)]
                for line in lines:
                    with suppress(errors.McloudError):
                        line.send(said)
                for line in lines:
                    with suppress(errors.McloudError):
                        line.receive(timeout=PATIENCE)
        must_be_heard(here)
        peak = here.peak()
    print(f"\npeak memory of the initiator: {peak} MiB")
    assert peak < MOST


@pytest.mark.parametrize("how", [talk, ping], ids=["messages", "pings"])
def test_who_talks_without_end_keeps_nobody_waiting(how: Callable[[Connection], None]):
    """He is read at a pace of his own: small frames take longer to read than large ones."""
    with initiator() as here:
        peer = join(here.port)
        with as_member(peer) as one, as_member(peer) as other:
            for line in (one, other):
                line.send(introduction("n2", N2, run="0" * 16))
                meanwhile(lambda line=line: how(line))
            must_be_heard(here)
            peak = here.peak()
    print(f"\npeak memory of the initiator: {peak} MiB")
    assert peak < MOST


def test_of_one_certificate_there_are_two_connections():
    with seat() as here, ExitStack() as stack:
        peer, lines = join(here.port), []
        for number in range(1, 6):
            lines.append(stack.enter_context(as_member(peer)))
            until(lambda: sum(line.alive for line in lines) == min(number, 2))  # noqa: B023 - called here
        assert [line.alive for line in lines] == [True, False, False, False, True]


def test_who_comes_back_all_the_time_costs_little_and_keeps_nobody_waiting():
    """Each time with as much to say as he may; and no thread of the initiator's is left of it."""
    said = MESSAGES["a survey of addresses"](150_000).encode()
    with initiator() as here:
        peer = join(here.port)
        stop = threading.Event()

        def again() -> None:
            while not stop.is_set():
                with suppress(errors.McloudError), as_member(peer) as line:
                    line.send(said)

        for _ in range(4):
            meanwhile(again)
        stop.wait(3)
        must_be_heard(here)
        peak = here.peak()
        stop.set()
    print(f"\npeak memory of the initiator: {peak} MiB")
    assert peak < MOST

"""Admit many joiners in one session on this machine, and print how long that takes and what it costs."""

import json
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import click
from session_parts import CODE, finish, kept, node_of, plugins

from mcloud.gathering import gathered, proposal
from mcloud.hosting import Hosting
from mcloud.order import Order
from mcloud.secrets import Secrets
from mcloud.session.certificates import make_credentials
from mcloud.session.door import Door
from mcloud.session.guesses import GuessBook
from mcloud.session.initiator import Initiator
from mcloud.session.tls import server_context
from mcloud.state import State

JOINERS = Path(__file__).with_name("session_joiners.py")
TOGETHER = 25
"""Joiners in one process: more would wait for each other, as machines of their own do not."""


@dataclass
class Measured:
    """Seconds since all joiners were told to begin, and MiB of the initiator's process."""

    joiners: int
    bare: float = 0.0
    """As many bare TLS handshakes, from the same processes."""
    trusted: float = 0.0
    here: float = 0.0
    planned: float = 0.0
    parted: float = 0.0
    median: float = 0.0
    """Until a joiner trusts the initiator."""
    processor: float = 0.0
    """Seconds of processor time that the initiator itself took until all were here."""
    planning: float = 0.0
    """The same, for proposing and comparing plans."""
    memory_before: float = 0.0
    memory: float = 0.0
    counted: dict[str, int] = field(default_factory=dict)


@click.command()
@click.option("--joiners", type=click.IntRange(1, 1000), default=200, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print all that was measured as one JSON object.")
@click.option("--patience", default=120.0, show_default=True, help="Seconds until it is given up.")
def main(*, joiners: int, as_json: bool, patience: float) -> None:
    """Let that many joiners into one session and have all show their plans."""
    measured = measure(joiners, patience)
    print(json.dumps(asdict(measured), indent=1) if as_json else "\n".join(said(measured)))


def measure(joiners: int, patience: float) -> Measured:
    """Hold the session; RuntimeError if it is not over in time."""
    measured = Measured(joiners)
    away: Counter[str] = Counter()

    def notice(line: str) -> None:
        if " is away: " in line:
            away[f"away, as the initiator saw it: {line.partition(' is away: ')[2]}"] += 1

    initiator, hosting = session(notice)
    with (
        Door(
            initiator.credentials,
            pins=initiator.lobby.pins,
            on_stranger=initiator.stranger,
            on_member=initiator.member,
            address="127.0.0.1",
            port=0,
        ) as door,
        socket.create_server(("127.0.0.1", 0), backlog=1024) as bare,
        others(joiners, port=door.port, bare=bare.getsockname()[1]) as tell,
    ):
        begun = tell("go")
        serve_bare(bare, server_context(initiator.credentials, [], strangers=True), joiners)
        measured.bare = time.monotonic() - begun
        tell.hear("bare")
        measured.memory_before = kept("VmHWM")
        begun, used = tell("go"), time.process_time()

        def reached(condition: Callable[[], bool], what: str) -> float:
            changed = initiator.lobby.changed
            with changed:
                if not changed.wait_for(condition, timeout=patience):
                    raise RuntimeError(f"{what}: not after {patience:g} s")
            return time.monotonic() - begun

        lobby = initiator.lobby
        measured.trusted = reached(lambda: len(lobby.pins()) == joiners, "all trusted")
        measured.here = reached(lambda: len(lobby.here()) == joiners, "all here")
        measured.processor = time.process_time() - used
        begun, used = time.monotonic(), time.process_time()
        propose(initiator, hosting)
        measured.planned = reached(lambda: all(guest.outlook for guest in lobby.all()), "all plans")
        measured.planning = time.process_time() - used
        begun = time.monotonic()
        initiator.part("planned", patience=patience)
        measured.parted = time.monotonic() - begun
        measured.memory = kept("VmHWM")
        told = [json.loads(line) for line in tell.hear()]
        measured.counted = dict(sum((Counter(one["counted"]) for one in told), away))
        measured.median = sorted(seconds for one in told for seconds in one["trusted"])[joiners // 2]
    return measured


def session(notice: Callable[[str], None]) -> tuple[Initiator, Hosting]:
    """Return an initiator's real halves, with nobody to show anything to but `notice`."""
    credentials, loaded = make_credentials("n0"), plugins()
    hosting = Hosting(loaded, State(), Secrets(), lambda _happening: None, notice)
    node = node_of(0, credentials.fingerprint)
    initiator = Initiator(
        plugins=loaded,
        credentials=credentials,
        name=node.name,
        address=node.address,
        method="words",
        book=GuessBook(CODE, renew=lambda: CODE),
        listener=hosting,
        purpose="plan",
    )
    return initiator, hosting


def propose(initiator: Initiator, hosting: Hosting) -> None:
    """Make the plan of all who are here, and send it to them."""
    me = node_of(0, initiator.credentials.fingerprint)
    order = Order(command="plan", cloud="bench", services=("service",), purpose="plan")
    inputs = gathered(order, me, initiator.lobby.all(), initiator.plugins)
    hosting.expect(inputs)
    initiator.proposal = proposal(order, inputs)
    initiator.enter("propose")


class Tell:
    """The joiners' processes."""

    def __init__(self, processes: "Sequence[subprocess.Popen[str]]") -> None:
        """Talk to them by their standard streams."""
        self._processes = processes

    def __call__(self, *what: str) -> float:
        """Tell all to go on, or each something of its own; return the time of that."""
        for process, line in zip(self._processes, cycle(what), strict=False):
            assert process.stdin  # noqa: S101 - a pipe, see below
            print(line, file=process.stdin, flush=True)
        return time.monotonic()

    def hear(self, expected: str = "") -> list[str]:
        """Return the next line of each. RuntimeError if one ended, or said something else."""
        lines = [process.stdout.readline().strip() for process in self._processes if process.stdout]
        if bad := [line for line in lines if not line or (expected and line != expected)]:
            raise RuntimeError(f"the joiners said {bad[0]!r}")
        return lines


@contextmanager
def others(joiners: int, **order: Any) -> Iterator[Tell]:
    """Have the joiners' processes there and ready, and end them."""
    parts = [(first, min(TOGETHER, joiners - first + 1)) for first in range(1, joiners + 1, TOGETHER)]
    with ExitStack() as stack:
        processes = []
        for _ in parts:
            process = subprocess.Popen(
                [sys.executable, str(JOINERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.terminate)
            processes.append(process)
        tell = Tell(processes)
        tell(*(json.dumps({"first": first, "joiners": number, **order}) for first, number in parts))
        tell.hear("ready")
        yield tell


def serve_bare(listening: socket.socket, context: ssl.SSLContext, number: int) -> None:
    """Shake as many hands as there are joiners."""
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(finish, context, listening.accept()[0], server=True) for _ in range(number)]:
            done.result()


def said(measured: Measured) -> list[str]:
    """Return what people read."""

    def line(what: str, seconds: float) -> str:
        each = 1000 * seconds / measured.joiners
        ratio = seconds / measured.bare
        return f"  {what:<44} {seconds:6.2f} s  {each:6.1f} ms each  {ratio:6.1f} times the bare handshakes"

    grown = measured.memory - measured.memory_before
    return [
        f"{measured.joiners} joiners at once, each connection from an address of its own",
        line("as many bare TLS handshakes", measured.bare),
        line("all trusted: code proven, pinned", measured.trusted),
        line("  half of them", measured.median),
        line("all here: back with their certificates", measured.here),
        line("  the initiator's own processor time in it", measured.processor),
        line("all planned: proposed, planned, compared", measured.planned),
        line("  the initiator's own processor time in it", measured.planning),
        line("all parted", measured.parted),
        f"  peak memory of the initiator {measured.memory:.0f} MiB, of which the session took {grown:.0f}",
        *(f"  {number:5} x {what}" for what, number in sorted(measured.counted.items())),
    ]


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (RuntimeError, click.Abort) as error:
        sys.exit(f"Error: {error or 'stopped'}")

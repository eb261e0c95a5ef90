"""The joiners of the session benchmark: a thread each, each connection from an address of its own.

Started by `session.py`. Told over standard input what to do next, tells over standard output when it is
ready, and at the end what became of each.
"""

import asyncio
import json
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from session_parts import CODE, finish, node_of, plugins, source

from mcloud.errors import McloudError
from mcloud.joining import Joining
from mcloud.model import Beacon
from mcloud.secrets import Secrets
from mcloud.session.certificates import make_credentials
from mcloud.session.guesses import Tries
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.tls import client_context
from mcloud.session.transport import ConnectionLost, dial
from mcloud.state import State
from mcloud.testing import FakeHost

MOST = 20
"""Addresses for each joiner: it dials twice, and again where it was not heard."""
sources = count()
"""Numbers of the addresses that were not dialled from yet."""


class Bound(asyncio.SelectorEventLoop):
    """A loop whose connections come each connection from an address of its own."""

    async def create_connection(self, *args: Any, **more: Any) -> Any:
        """Connect from there."""
        return await super().create_connection(*args, local_addr=(source(next(sources)), 0), **more)


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops."""

    _loop_factory = Bound


class Machine:
    """One joiner."""

    def __init__(self, number: int, folder: Path, port: int, counted: Counter[str]) -> None:
        credentials = make_credentials(f"n{number}")
        node = node_of(number, credentials.fingerprint)
        loaded = plugins()
        self.port, self.counted = port, counted
        self.trusted_after = 0.0
        self.joiner = Joiner(
            plugins=loaded, credentials=credentials, node=node, methods=("words",), versions=loaded.versions
        )
        self.state = State(folder / node.name)

    def attend(self) -> None:
        """Do what `mcloud join` does, to the initiator's farewell."""
        begun = time.monotonic()
        peer = self.meet()
        self.trusted_after = time.monotonic() - begun
        known = Secrets()
        work = Joining(
            plugins=self.joiner.plugins,
            host=FakeHost(name=self.joiner.node.name, secrets=known),
            state=self.state,
            known=known,
            joiner=self.joiner,
            peer=peer,
            watch=lambda _happening: None,
        )
        while True:
            connection = self.joiner.come_back(peer, patience=60)
            try:
                self.counted[self.joiner.converse(connection, work).mood] += 1
            except ConnectionLost as lost:
                self.counted[f"lost as a member: {lost.reason}"] += 1
            else:
                return

    def meet(self) -> Peer:
        """Dial and prove until it is trusted; what had to be done again is counted."""
        beacon = Beacon.model_validate({"name": "n0", "address": "127.0.0.1", "port": self.port})
        pause = 0.05
        while True:
            try:
                with dial("127.0.0.1", self.port, patience=60, report=self.waits) as line:
                    return self.joiner.first_contact(line, beacon, CODE, Tries())
            except McloudError as error:
                self.counted[f"again: {getattr(error, 'reason', '') or error}"] += 1
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def waits(self, reason: str) -> None:
        """Count why a dial was tried again."""
        self.counted[f"dialled again: {reason}"] += 1


def bare(port: int, number: int) -> None:
    """Shake hands once."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source(number), 0))
    finish(client_context(None), sock, server=False)


def main() -> None:
    """Obey `session.py`."""
    global sources  # noqa: PLW0603 - of this process, said once at its beginning
    order = json.loads(input())
    sources = count(MOST * order["first"])
    asyncio.set_event_loop_policy(Policy())
    threading.stack_size(512 * 1024)
    counted: Counter[str] = Counter()
    numbers = range(order["first"], order["first"] + order["joiners"])
    with tempfile.TemporaryDirectory() as folder:
        machines = [Machine(number, Path(folder), order["port"], counted) for number in numbers]
        print("ready", flush=True)
        input()
        with ThreadPoolExecutor(len(machines)) as pool:
            list(pool.map(lambda number: bare(order["bare"], number), numbers))
        print("bare", flush=True)
        input()
        with ThreadPoolExecutor(len(machines)) as pool:
            list(pool.map(Machine.attend, machines))
    trusted = sorted(machine.trusted_after for machine in machines)
    print(json.dumps({"counted": counted, "trusted": trusted}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (EOFError, ssl.SSLError) as error:
        sys.exit(f"the joiners: {error!r}")

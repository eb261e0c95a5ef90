"""One guesser and five honest neighbours on one IPv6 link, in a network of their own: says who got in.

Run by `test_same_link.py` in a network namespace that has nothing yet.
"""

import asyncio
import socket
import subprocess
import threading
from contextlib import suppress
from typing import Any

from honest import CODE, N3, joiner, seat
from kit import HIS, WORDS, hello, side
from test_fuzz_strangers import frame, opening

from mcloud import errors
from mcloud.model import Beacon
from mcloud.session.guesses import Tries
from mcloud.session.tls import client_context
from mcloud.session.transport import dial

LINK = "fd00:77::"
HONEST = 5
own = ""
"""The address that the next honest machine dials from."""


class Bound(asyncio.SelectorEventLoop):
    """A loop whose connections come from an honest machine's own address."""

    async def create_connection(self, *args: Any, **more: Any) -> Any:
        """Connect from there."""
        return await super().create_connection(*args, local_addr=(own, 0), **more)


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops."""

    _loop_factory = Bound


def guess(port: int, stop: threading.Event) -> None:
    """Guess, again and again, from one address."""
    share = side("A", WORDS[1]).share
    while not stop.wait(0.01):
        with suppress(OSError), socket.socket(socket.AF_INET6) as sock:
            sock.settimeout(5)
            sock.bind((f"{LINK}99", 0))
            sock.connect((f"{LINK}1", port))
            with client_context(None).wrap_socket(sock) as line:
                for said in (opening(), frame(hello("joiner", HIS)), frame(share), frame(bytes(32))):
                    line.sendall(said)
                    line.recv(4096)


def come(port: int) -> None:
    """Join as an honest machine does."""
    beacon = Beacon.model_validate({"name": "n1", "address": f"{LINK}1", "port": port})
    with dial(f"{LINK}1", port, patience=5) as line:
        joiner(N3, name="n3").first_contact(line, beacon, CODE, Tries())


def main() -> None:
    global own  # noqa: PLW0603 - one honest machine after the other
    # A device with a wire: what is on the loopback device is on no link.
    commands = [["link", "add", "v0", "type", "veth", "peer", "name", "v1"]]
    commands += [["link", "set", device, "up"] for device in ("lo", "v0", "v1")]
    commands += [["-6", "addr", "add", f"{LINK}{n}/64", "dev", "v0", "nodad"] for n in (1, 2, 3, 4, 5, 6, 99)]
    for command in commands:
        subprocess.run(["ip", *command], check=True)  # noqa: S607 - as the lab does
    asyncio.set_event_loop_policy(Policy())
    stop = threading.Event()
    with seat(address=f"{LINK}1") as here:
        guessers = [threading.Thread(target=guess, args=(here.port, stop), daemon=True) for _ in range(16)]
        for one in guessers:
            one.start()
        while here.book.failures < 8:
            stop.wait(0.05)
        for number in range(HONEST):
            own = f"{LINK}{number + 2}"
            try:
                come(here.port)
            except errors.McloudError as error:
                print("out", own, error, flush=True)
            else:
                print("in", own, flush=True)
        stop.set()


if __name__ == "__main__":
    main()

"""The honest: an initiator behind its door and joiners, the real halves, over TLS on loopback."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue

from pydantic import SecretStr

from mcloud.model import Beacon, Node
from mcloud.plugins import Plugins
from mcloud.session import trust as words
from mcloud.session.certificates import Credentials, make_credentials
from mcloud.session.door import Door
from mcloud.session.guesses import GuessBook, Tries
from mcloud.session.initiator import Initiator
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.limits import DEFAULT_LIMITS, Limits
from mcloud.session.transport import Connection, dial

CODE = SecretStr("acorn blimp crisp dove")
PATIENCE = 10.0
N1, N2, N3 = (make_credentials(name) for name in ("n1", "n2", "n3"))


class Screen:
    """A `Listener` that only takes note."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def noticed(self, guest, what):
        self.lines.append(f"{guest.name} {what}")

    def outlook(self, guest, outlook):
        pass

    def ready(self, guest, plugin, request):
        pass

    def progress(self, guest, happening):
        pass

    def parted(self, guest):
        pass

    def settled(self, guest, message):
        pass


@dataclass
class Seat:
    """An initiator in its session, and what came of each stranger."""

    door: Door
    initiator: Initiator
    book: GuessBook
    outcomes: Queue[BaseException | None] = field(default_factory=Queue)

    @property
    def port(self) -> int:
        return self.door.port

    @property
    def pinned(self) -> list[str]:
        return [guest.name for guest in self.initiator.lobby.all()]

    def outcome(self) -> BaseException | None:
        """Wait for the end of a stranger's visit; None: it is trusted."""
        return self.outcomes.get(timeout=PATIENCE)


@contextmanager
def seat(
    *,
    code: SecretStr = CODE,
    trust: object = words,
    half: type[Initiator] = Initiator,
    book: type[GuessBook] = GuessBook,
    credentials: Credentials = N1,
    limits: Limits = DEFAULT_LIMITS,
    address: str = "127.0.0.1",
) -> Iterator[Seat]:
    """Open an initiator's door; `trust`, `half` and `book` may be mutants."""
    guesses = book(code, renew=lambda: SecretStr("other words than the first"))
    initiator = half(
        plugins=Plugins.of(words=trust),
        credentials=credentials,
        name="n1",
        address="10.0.0.1",
        method="words",
        book=guesses,
        listener=Screen(),
    )

    def stranger(connection: Connection) -> None:
        try:
            initiator.stranger(connection)
        except BaseException as error:
            made.outcomes.put(error)
            raise
        made.outcomes.put(None)

    door = Door(
        credentials,
        pins=initiator.lobby.pins,
        on_stranger=stranger,
        on_member=initiator.member,
        address=address,
        port=0,
        limits=limits,
    )
    made = Seat(door, initiator, guesses)
    with door:
        yield made


def joiner(
    credentials: Credentials = N2,
    *,
    name: str = "n2",
    trust: object = words,
    half: type[Joiner] = Joiner,
    methods: tuple[str, ...] = ("words",),
) -> Joiner:
    """Return a joiner's half; `trust` and `half` may be mutants."""
    return half(
        plugins=Plugins.of(words=trust),
        credentials=credentials,
        node=Node(name=name, addresses=("10.0.0.2",), fingerprint=credentials.fingerprint),
        methods=methods,
    )


def join(
    port: int,
    who: Joiner | None = None,
    *,
    code: SecretStr = CODE,
    tries: Tries | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Peer:
    """Do what a joiner does until it trusts the initiator at `port` of loopback."""
    beacon = Beacon.model_validate({"name": "n1", "address": "127.0.0.1", "port": port})
    with dial("127.0.0.1", port, patience=5, limits=limits) as connection:
        return (who or joiner()).first_contact(connection, beacon, code, tries or Tries())


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for something that must become true."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.005)


def meanwhile(work: Callable[[], object]) -> Callable[[], BaseException | None]:
    """Do something in another thread; the function returned waits for its end and gives its error."""
    ended: Queue[BaseException | None] = Queue()

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - handed to the test
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=run, daemon=True).start()
    return lambda: ended.get(timeout=PATIENCE)

"""What a step is given while it is looked for, run or taken back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, TypeVar

from pydantic import SecretStr

from mcloud.deadlines import advice
from mcloud.errors import PluginError, ServiceError
from mcloud.headway import Headway
from mcloud.host import Host
from mcloud.journal import Journal
from mcloud.keeping import KeptFiles
from mcloud.offers import JoinToken, Offer
from mcloud.plan import Lane, Plan
from mcloud.steps import Step
from mcloud.tenure import Tenure, tenured

K = TypeVar("K", bound=Offer)
T = TypeVar("T")

FIRST_LOOK = 0.03
LONGEST_PAUSE = 0.5
REQUEST_LIMIT = 64 * 1024


class Board:
    """What has been offered so far on this machine, by the step that offered it. Thread-safe."""

    def __init__(self) -> None:
        """Begin with nothing offered."""
        self._offers: dict[str, tuple[Offer, ...]] = {}
        self._lock = Lock()

    def put(self, key: str, offers: Sequence[Offer]) -> None:
        """Remember what a step offers."""
        with self._lock:
            self._offers[key] = tuple(offers)

    def of(self, key: str) -> tuple[Offer, ...]:
        """Return what a step offers; nothing if it has not run."""
        with self._lock:
            return self._offers.get(key, ())

    def of_kind(self, kind: type[K], keys: Sequence[str]) -> Iterator[K]:
        """Yield what these steps offer of one kind."""
        for offer in (offer for key in keys for offer in self.of(key)):
            if isinstance(offer, kind):
                yield offer


@dataclass
class Surroundings:
    """All that the steps of one run on one machine share."""

    host: Host
    plan: Plan
    journal: Journal
    board: Board = field(default_factory=Board)
    secrets: Mapping[str, Mapping[str, SecretStr | None]] = field(default_factory=dict)
    """Secret settings by plugin and field."""
    facts: dict[tuple[str, str], tuple[Offer, ...]] = field(default_factory=dict)
    """What other machines' joins offered, by plugin and machine."""
    requests: dict[str, bytes] = field(default_factory=dict)
    """What joiners sent with `apply`, by key of the issue_token lane."""
    report: Callable[[str, str], None] = lambda _key, _text: None
    """Shows a line of progress of the step with this key."""
    notice: Callable[[str, str], None] | None = None
    """Shows a line that stays; None: lines of progress stay, too."""
    stopping: Event = field(default_factory=Event)
    """Set when waits shall end at once."""


class Context:
    """The `StepContext` of one step; see `mcloud.steps.StepContext` for what each method promises.

    Once its tenure is over it refuses everything: nobody knows any more what a step does that late.
    """

    def __init__(
        self, around: Surroundings, lane: Lane, step: Step, *, doing: str, tenure: Tenure | None = None
    ) -> None:
        """Give one step its surroundings; `doing` is probe, run or undo."""
        self._around = around
        self._lane = lane
        self._step = step
        self._doing = doing
        self.key = f"{lane.key}/{step.name}"
        self._tenure = tenure or Tenure(self.key, plugin=lane.plugin)
        self._host = tenured(around.host, self._tenure)

    @property
    def host(self) -> Host:
        """This machine."""
        return self._host

    @property
    def token(self) -> SecretStr:
        """The join token of this lane's plugin."""
        tokens = self.offers(JoinToken)
        if not tokens:
            raise self._wrong("there is no token yet")
        return tokens[-1].value

    @property
    def request(self) -> bytes:
        """What the joiner sent with `apply`."""
        return self._around.requests.get(self._lane.key, b"")

    def apply(self, request: bytes) -> None:
        """Keep public bytes to be sent when the lane asks for its token."""
        if len(request) > REQUEST_LIMIT:
            raise self._wrong(f"a request of {len(request)} bytes is too long, {REQUEST_LIMIT} at most")
        with self._tenure.using("ask for a token"):
            self._around.journal.write("applied", self._lane.key, value=request.hex())

    def offers(self, kind: type[K]) -> tuple[K, ...]:
        """Return what was offered of a kind this step needs or wants."""
        if kind not in self._step.needs and kind not in self._step.wants and self._doing != "undo":
            raise self._wrong(f"it asks for {kind.__name__}, which it neither needs nor wants")
        makers = self._around.plan.makers(kind, self._lane)
        return tuple(self._around.board.of_kind(kind, makers))

    def secret(self, field: str) -> SecretStr | None:
        """Return a secret field of the plugin's settings."""
        self._tenure.check("read a secret")
        return self._around.secrets.get(self._lane.plugin, {}).get(field)

    def facts(self, machine: str) -> tuple[Offer, ...]:
        """Return what another machine's join offered."""
        return self._around.facts.get((self._lane.plugin, machine), ())

    def keep(self, key: str, value: str | None) -> str | None:
        """Journal what was there before; the first value wins."""
        if self._doing != "run":
            raise self._wrong(f"it keeps something while it is in its {self._doing}")
        with self._tenure.using("keep something"):
            there, kept = self._around.journal.kept(self.key, key)
            if there:
                return kept
            self._around.journal.write("kept", self.key, name=key, value=value)
            return value

    def kept(self, key: str) -> str | None:
        """Return what `keep` kept."""
        return self._around.journal.kept(self.key, key)[1]

    def has_kept(self, key: str) -> bool:
        """Whether `keep` was called with this key."""
        return self._around.journal.kept(self.key, key)[0]

    def keep_file(self, path: str) -> None:
        """Keep what is at a path; the first image wins."""
        if self._doing != "run":
            raise self._wrong(f"it keeps {path} while it is in its {self._doing}")
        if self._step.undo is None:
            raise self._wrong(f"it keeps {path}, and has no undo that could restore it")
        with self._tenure.using(f"keep {path}"):
            KeptFiles(self._around.journal).keep(self.host, self.key, path)

    def restore_file(self, path: str) -> None:
        """Make a path what it was when it was kept."""
        if self._doing == "probe":
            raise self._wrong(f"it restores {path} in its probe")
        with self._tenure.using(f"restore {path}"):
            said = KeptFiles(self._around.journal).restore(self.host, self.key, path)
        if said:
            self.report(said)

    def change_file(self, path: str, content: str) -> None:
        """Give a file that an earlier step keeps another content."""
        if self._doing != "run":
            raise self._wrong(f"it changes {path} in its {self._doing}")
        KeptFiles(self._around.journal).change(self.host, path, content.encode())

    def report(self, text: str) -> None:
        """Show one line of progress."""
        self._tenure.check("report")
        self._around.report(self.key, text)

    def notice(self, text: str) -> None:
        """Show one line that stays."""
        self._tenure.check("report")
        (self._around.notice or self._around.report)(self.key, text)

    def wait(
        self,
        look: Callable[[], T | None],
        *,
        what: str,
        patience: float = 60,
        progress: Callable[[], object] | None = None,
        most: float | None = None,
    ) -> T:
        """Look again and again, until there is something, or nothing gets on for too long."""
        pause, trouble, stretch = FIRST_LOOK, None, self.host.stretch
        headway = Headway(patience * stretch, None if most is None else most * stretch)
        while True:
            self._tenure.check(f"wait for {what}")
            try:
                found = look()
            except ServiceError as error:
                found, trouble = None, error
            if found is not None:
                return found
            if progress is not None:
                headway.note(_quietly(progress))
            if why := headway.over:
                said = f" (last answer: {trouble})" if trouble else ""
                raise ServiceError(
                    f"still waiting for {what} after {why}{said}",
                    hint="look at the service's own log on this machine; then run the same command again; "
                    + advice(stretch),
                )
            if self._around.stopping.wait(pause):
                raise ServiceError(
                    f"stopped while waiting for {what}", hint="run the same command again to go on"
                )
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _wrong(self, what: str) -> PluginError:
        return PluginError(
            f"{self.key}: {what}", plugin=self._lane.plugin, hint="this is for the plugin's author"
        )


def _quietly(progress: Callable[[], object]) -> object:
    """Return a figure of progress; None if it cannot be had just now."""
    try:
        return progress()
    except ServiceError:
        return None


def write_offers(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    """Return offers as the journal and the wire hold them."""
    return [{"kind": type(offer).__name__, "fact": offer.model_dump(mode="json")} for offer in offers]


def read_offers(raw: Sequence[Mapping[str, Any]], kinds: Sequence[type[Offer]]) -> tuple[Offer, ...]:
    """Read offers back; kinds that are not declared (a newer version's) are left out."""
    known = {kind.__name__: kind for kind in kinds}
    return tuple(known[one["kind"]].model_validate(one["fact"]) for one in raw if one["kind"] in known)

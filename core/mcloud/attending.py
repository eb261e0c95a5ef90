"""Joining from beginning to end: find the initiator, trust it, and stay until it says farewell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.errors import DiscoveryError, McloudError, TrustError
from mcloud.joining import Joining
from mcloud.journal import Journal
from mcloud.model import Beacon, Role
from mcloud.secrets import Secrets
from mcloud.session.certificates import short
from mcloud.session.code import normalised
from mcloud.session.guesses import Tries
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.protocol import Farewell
from mcloud.session.transport import Connection, ConnectionLost, dial
from mcloud.state import State

LAST_WORDS = 10.0
"""Seconds to try to tell the initiator that this machine is in, where it may have missed that."""


@dataclass
class Attending:
    """One joiner's way through a session."""

    joiner: Joiner
    notice: Callable[[str], None]
    find: Callable[[], Iterator[Beacon]]
    """Looks for initiators anew; ends after the patience."""
    ask_code: Callable[[str], SecretStr]
    """Returns the code; given why it is asked again, "" the first time. Raises if nobody can be asked."""
    patience: float = 600.0
    _tries: dict[str, Tries] = field(default_factory=dict)

    def meet(self) -> Peer:
        """Find an initiator and establish trust; return it.

        Raises DiscoveryError if none is found in time, TrustError if the code stays wrong.
        """
        why = ""
        while True:
            code = self.ask_code(why)
            beacon = self._first()
            where = f"{beacon.address}, port {beacon.port}"
            if beacon.name not in {"", str(beacon.address)}:
                where = f"{beacon.name} ({where})"
            self.notice(f"dialling {where}")
            report = self._waiting_for(where)
            connection = dial(str(beacon.address), beacon.port, patience=self.patience, report=report)
            try:
                with connection:
                    peer = self.joiner.first_contact(connection, beacon, code, self._tries_of(code))
            except TrustError as error:
                why = str(error)
                self.notice(f"{error}: {error.hint}" if error.hint else why)
                continue
            mark = short(peer.fingerprint)
            self.notice(f"{peer.name} and this machine trust each other (fingerprint {mark})")
            return peer

    def stay(self, peer: Peer, work: Joining, *, patience: float | None = None) -> Farewell:
        """Play the script with a trusted initiator, over as many connections as it takes.

        Raises RunFailed if this machine's own steps failed, ConnectionLost if the initiator was
        away for longer than the patience, McloudError if it gave up.
        """
        farewell: Farewell | None = None
        try:
            while farewell is None:
                connection = self._come_back(peer, work, self.patience if patience is None else patience)
                if connection is None:
                    farewell = Farewell(mood="done")
                    break
                try:
                    farewell = self.joiner.converse(connection, work)
                except ConnectionLost as lost:
                    self.notice(f"{peer.name} is away: {lost}; waiting for it")
        finally:
            failure = work.failure  # what fails from here on was stopped, and no failure of its own
            work.stop()
        if failure is not None:
            raise failure
        if farewell.mood in {"failed", "aborted"}:
            raise McloudError(
                f"{peer.name} gave up: {farewell.reason or farewell.mood}",
                hint="when it goes on, type the same command here again; or take back with `mcloud undo`",
            )
        return farewell

    def _come_back(self, peer: Peer, work: Joining, patience: float) -> Connection | None:
        """Dial the initiator; None if it is gone and nothing is left to be said but our goodbye."""
        is_in = bool(work.cloud)
        try:
            return self.joiner.come_back(
                peer,
                patience=min(patience, LAST_WORDS) if is_in else patience,
                report=self._waiting_for(peer.name),
            )
        except ConnectionLost:
            if not is_in:
                raise
            return None

    def _waiting_for(self, whom: str) -> Callable[[str], None]:
        return lambda reason: self.notice(f"waiting for {whom}: {reason}")

    def _first(self) -> Beacon:
        for beacon in self.find():
            return beacon
        raise DiscoveryError(
            f"no initiator was found in {self.patience:.0f} s",
            hint="is `mcloud init` running there? Its address can be given with --initiator-address",
        )

    def _tries_of(self, code: SecretStr) -> Tries:
        """Return the tries left for one code, over all addresses and beacons."""
        return self._tries.setdefault(normalised(code.get_secret_value()).get_secret_value(), Tries())


def resumed(state: State, known: Secrets) -> tuple[Journal, Peer] | None:
    """Return the unfinished run this machine joined in, and its initiator; None if there is none.

    Raises McloudError if the unfinished run is one this machine leads itself.
    """
    entry = state.unfinished(lambda path: ended(Journal.open(path, known)))
    if entry is None:
        return None
    if entry.role is not Role.JOINER:
        raise McloudError(
            f"this machine is the initiator of run {entry.id}, which is not finished",
            hint=f"`mcloud {entry.command}` goes on with it, `mcloud undo` takes back what it did",
        )
    journal = Journal.open(state.journal_path(entry.id), known)
    return journal, Peer(*journal.header["peer"])


def ended(journal: Journal) -> bool:
    """Whether a run is complete or closed by an undo."""
    return journal.finished or journal.closed


def completed(state: State, known: Secrets) -> tuple[Journal, Peer] | None:
    """Return the run by which this machine joined its cloud, and its initiator; None if there is none.

    That initiator may not have heard that this machine is in, and still wait for it.
    """
    entry = state.latest()
    cloud = state.read_cloud()
    if entry is None or entry.role is not Role.JOINER or cloud is None or cloud.get("id") != entry.id:
        return None
    journal = Journal.open(state.journal_path(entry.id), known)
    return (journal, Peer(*journal.header["peer"])) if journal.finished and not journal.closed else None

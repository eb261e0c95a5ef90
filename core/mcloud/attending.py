"""Joining from beginning to end: find the initiator, trust it, and stay until it says farewell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcloud.errors import McloudError, ProtocolError, TrustError
from mcloud.finding import Found
from mcloud.joining import Joining
from mcloud.journal import Journal
from mcloud.looking import Looking
from mcloud.model import Role
from mcloud.reaching import reach
from mcloud.rosters import over
from mcloud.secrets import Secrets
from mcloud.session.certificates import short
from mcloud.session.code import normalised
from mcloud.session.guesses import Tries
from mcloud.session.joiner import Joiner, Peer
from mcloud.session.protocol import Farewell
from mcloud.session.transport import Connection, ConnectionLost
from mcloud.state import State
from mcloud.waits import waited_for

CONTACTS = 5
"""How often an initiator may hang up before trust, until it is left alone."""
PAUSE = 0.5
"""Seconds after the first time it did; longer after each."""
LAST_WORDS = 10.0
"""Seconds to try to tell the initiator that this machine is in, where it may have missed that."""


@dataclass
class Attending:
    """One joiner's way through a session."""

    joiner: Joiner
    notice: Callable[[str], None]
    look: Callable[[], Looking]
    """Begins a search for initiators."""
    choose: Callable[[Looking, str], Found]
    """Waits until it is clear which one to join; given the fingerprint of the one that was trusted before,
    "" the first time. Raises DiscoveryError if none is found in time."""
    ask_code: Callable[[str], SecretStr]
    """Returns the code; given why it is asked again, "" if none was wrong. Raises if nobody can be asked."""
    patience: float = 600.0
    _tries: dict[str, Tries] = field(default_factory=dict)
    _waits: dict[str, str] = field(default_factory=dict)
    """Why we wait, by address; each reason is said once."""

    def meet(self, again: Peer | None = None) -> Peer:
        """Find an initiator and establish trust; return it. `again`: the same machine, started anew.

        Raises DiscoveryError if none is found in time, ConnectionLost if it does not answer in time,
        TrustError if the code stays wrong.
        """
        with self.look() as looking:
            found: Found | None = None
            code: SecretStr | None = None
            why = ""
            while True:
                before = found
                found = (why and before and looking.still(before)) or self.choose(
                    looking, again.fingerprint if again else ""
                )
                if before is None or not found.is_still(before):
                    self.notice(
                        f"initiator: {found}{f', fingerprint {found.mark} ...' if found.mark else ''}"
                    )
                    self._waits = {}
                if before is None or not found.is_led_as(before):
                    code, why = None, ""  # another session has another code
                if code is None:
                    with looking.standing_still():
                        code = self.ask_code(why)
                try:
                    peer = self._trust(looking, found, code)
                except TrustError as error:
                    why, code = str(error), None
                    self.notice(f"{error}: {error.hint}" if error.hint else why)
                    continue
                why = ""
                if peer is not None:
                    # Each screen shows both: two people on the telephone can compare them.
                    self.notice(f"this machine's fingerprint is {short(self.joiner.node.fingerprint)}")
                    mark = short(peer.fingerprint)
                    self.notice(f"{peer.name} and this machine trust each other (fingerprint {mark})")
                    return peer

    def _trust(self, looking: Looking, found: Found, code: SecretStr) -> Peer | None:
        """Establish trust; None: it cannot be reached, or does not know how to talk, so look anew.

        Raises TrustError for a wrong code, and what an initiator at a given address did wrong.
        """
        for contact in range(1, CONTACTS + 1):
            reached = reach(looking, found, self.notice, self._waits, limits=self.joiner.limits)
            if reached is None:
                return None
            connection, beacon = reached
            try:
                with connection:
                    return self.joiner.first_contact(connection, beacon, code, self._tries_of(code))
            except (ConnectionLost, ProtocolError) as error:
                if isinstance(error, ConnectionLost) and contact < CONTACTS:
                    self.notice(f"{found.name}: {error}; trying again")
                    time.sleep(min(PAUSE * contact, looking.left))
                    continue
                if found.given:
                    raise
                self.notice(f"{found.name} is left alone: {error}")
                for address, claim in found.claims:
                    looking.refuse(address, found.port, claim, f"{found}: {error}")
                return None
        return None

    def stay(self, peer: Peer, work: Joining, *, patience: float | None = None) -> Farewell:
        """Play the script with a trusted initiator, over as many connections as it takes.

        Raises RunFailed if this machine's own steps failed, ConnectionLost if the initiator was
        away for longer than the patience, McloudError if it gave up.
        """
        farewell: Farewell | None = None
        longest = self.patience if patience is None else patience
        try:
            while farewell is None:
                with waited_for(peer.name):
                    connection = self._come_back(peer, work, longest)
                if connection is None:
                    farewell = Farewell(mood="done")
                    break
                try:
                    with waited_for(peer.name):
                        farewell = self.joiner.converse(connection, work)
                except ConnectionLost as lost:
                    self.notice(
                        f"{peer.name} is away: {lost}; waiting for it, for {_spoken(longest)} at most"
                    )
        finally:
            failure = work.failure  # what fails from here on was stopped, and no failure of its own
            work.stop()
        if failure is not None:
            raise failure
        if farewell.mood == "undone":
            raise McloudError(
                f"the run was taken back on {peer.name}, and what it did here, too",
                hint="for a new one, start it there, then type the same command here again",
            )
        if farewell.mood in {"failed", "aborted"}:
            begun = "when it goes on, type the same command here again; or take back with `mcloud undo`"
            raise McloudError(
                f"{peer.name} gave up: {farewell.reason or farewell.mood}",
                hint=begun if work.run else "nothing was changed here; start it again there, then here",
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

    def _tries_of(self, code: SecretStr) -> Tries:
        """Return the tries left for one code, over all addresses and beacons."""
        return self._tries.setdefault(normalised(code.get_secret_value()).get_secret_value(), Tries())


def _spoken(seconds: float) -> str:
    """Return a time as people say it."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - two minutes


def resumed(state: State, known: Secrets) -> tuple[Journal, Peer] | None:
    """Return the unfinished run this machine joined in, and its initiator; None if there is none.

    Raises McloudError if the unfinished run is one this machine leads itself.
    """
    entry = state.unfinished(lambda path: over(Journal.open(path, known)))
    if entry is None:
        return None
    if entry.role is not Role.JOINER:
        raise McloudError(
            f"this machine is the initiator of run {entry.id}, which is not finished",
            hint=f"`mcloud {entry.command}` goes on with it, `mcloud undo` takes back what it did",
        )
    journal = Journal.open(state.journal_path(entry.id), known)
    return journal, Peer(*journal.header["peer"])


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

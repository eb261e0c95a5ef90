"""Taking a run back where it is led: joiners that still wait for this machine do their part of it first.

The last one first, one after another: each can say goodbye to services that the machines before it still
run. Who is not there does the same when `mcloud undo` is typed there.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mcloud.errors import McloudError, ProtocolError
from mcloud.headway import Headway
from mcloud.hearsay import Hearsay
from mcloud.here import Here
from mcloud.inputs import Inputs
from mcloud.journal import Journal
from mcloud.rosters import confirmed
from mcloud.session.door import Door
from mcloud.session.initiator import Initiator
from mcloud.session.limits import DEFAULT_LIMITS
from mcloud.session.lobby import Guest
from mcloud.session.protocol import Failed, Farewell, Joined, Outlook, Refusal
from mcloud.session.talk import NOTICES, REPORTS, Talk
from mcloud.waits import waited_for
from mcloud.watch import Happening, Watch

COME_WITHIN = 4.0
"""Seconds in which joiners that wait have dialled: they try every two."""
BACK_WITHIN = 10.0
"""Seconds to wait for one that was told, and is away: its undo goes on, and it may say how that ended."""
GETS_ON = 600.0
"""Seconds in which one that takes its part back has one step more to tell of."""
IN_ALL = 3600.0
"""Seconds for one's whole part."""


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one joiner's part."""

    machine: str
    outcome: Literal["undone", "left", "silent"]
    """Taken back; not, or not wholly; it was not there, or said nothing."""
    reason: str = ""


def waiting(journal: Journal) -> Sequence[str]:
    """Return the names of the joiners whose parts can be taken back from here, the last one first.

    None on a joiner, and none once the cloud was formed: what a machine does then is its operator's.
    """
    inputs, machine = confirmed(journal), journal.header["machine"]
    formed = journal.has("finished") or journal.settled(f"close/core/{machine}/{machine}/record")
    if machine != inputs.founder.name or formed or "port" not in journal.header:
        return ()
    return tuple(node.name for node in reversed(inputs.joiners))


@dataclass
class Withdrawing:
    """The session in which that is done; the `Listener` of its joiners."""

    here: Here
    journal: Journal
    watch: Watch
    notice: Callable[[str], None]
    listen: str = ""
    """Address to listen on, the machine's own if empty."""
    patience: float = COME_WITHIN
    """Seconds to wait for joiners to come."""
    _initiator: Initiator = field(init=False)
    _inputs: Inputs = field(init=False)
    _notices: Talk = field(init=False)
    _reports: Talk = field(init=False)
    _hearsay: Hearsay = field(init=False)

    def __post_init__(self) -> None:
        self._notices, self._reports = Talk(NOTICES, self.notice), Talk(REPORTS, self.notice)
        self._hearsay = Hearsay(self.notice)
        self._inputs = confirmed(self.journal)
        self._initiator = Initiator(
            plugins=self.here.plugins,
            credentials=self.here.credentials(),
            name=self._inputs.founder.name,
            address=self._inputs.founder.address,
            method="",
            book=None,
            listener=self,
            phase="undo",
        )

    def withdraw(self) -> Sequence[Part]:
        """Have all joiners that wait take their part back; return what came of each, the last one first.

        The run is closed before the first of them is told. That this machine cannot listen is noticed,
        and all are silent then.
        """
        names, lobby = waiting(self.journal), self._initiator.lobby
        if not names:
            return ()
        if not self.journal.closed:
            self.journal.write("undoing")
        for name, pin in self.here.state.pins(self._inputs.run).items():
            lobby.pin(name, pin.certificate, taken=True)
        door = Door(
            self._initiator.credentials,
            pins=lobby.pins,
            on_stranger=None,
            on_member=self._initiator.member,
            address=self.listen or self._inputs.founder.address,
            port=int(self.journal.header["port"]),
            limits=DEFAULT_LIMITS.stretched(self._stretch),
        )
        try:
            with door:
                with waited_for(" and ".join(names)):
                    self._wait_for(names)
                return [self._seen_through(name) for name in names]
        except McloudError as error:
            self.notice(f"the joiners cannot be told: {error}")
            return [Part(name, "silent", "it was not told") for name in names]

    def _seen_through(self, name: str) -> Part:
        with waited_for(f"{name}: its part of the undo"):
            return self._part_of(name)

    def _part_of(self, name: str) -> Part:
        """Have one joiner take its part back, and wait until it has said how that ended."""
        guest = self._initiator.lobby.named(name)
        if guest is None or guest.standing == "trusted":
            return Part(name, "silent", "it did not come")
        farewell = Farewell(mood="undone", reason=f"`mcloud undo` was typed on {self._inputs.founder.name}")
        away: float | None = None
        headway = Headway(GETS_ON * self._stretch, IN_ALL * self._stretch)
        while guest.goodbye is None and guest.standing in {"here", "away"}:
            guest.say(farewell, once="farewell")  # over each connection it comes back on
            headway.note(self._hearsay.ended(name))
            if headway.over:
                return Part(name, "left", f"{headway.over}, and it has not said that it is done")
            away = None if guest.standing == "here" else away or time.monotonic()
            if away is not None and time.monotonic() - away > BACK_WITHIN * self._stretch:
                break
            with self._initiator.lobby.changed:
                self._initiator.lobby.changed.wait(0.5)
        if guest.goodbye == "undone":
            return Part(name, "undone")
        return Part(name, "left" if guest.goodbye else "silent", guest.reason)

    def _is_here(self, name: str) -> bool:
        guest = self._initiator.lobby.named(name)
        return guest is not None and guest.standing != "trusted"

    def _wait_for(self, names: Sequence[str]) -> None:
        changed = self._initiator.lobby.changed
        with changed:
            changed.wait_for(lambda: all(map(self._is_here, names)), timeout=self.patience * self._stretch)

    @property
    def _stretch(self) -> float:
        return self.here.host.stretch

    # ---- the session's Listener -----------------------------------------------------------------------

    def noticed(self, guest: Guest, what: str) -> None:
        """Show in one line that a joiner left or was refused."""
        if self._notices.allows(guest.fingerprint, guest.name):
            self.notice(f"{guest.name} {what}")

    def came(self, guest: Guest) -> None:
        """Refuse who is in the middle of another run, or of none."""
        if guest.introduction is None or guest.introduction.run != self._inputs.run:
            reason = f"run {self._inputs.run} is taken back here, and this machine has no part in it"
            guest.refuse(Refusal(reason=reason, hint="type the command again once a new run was begun there"))

    def progress(self, guest: Guest, happening: Happening) -> None:
        """Show how far a joiner is."""
        mine = happening.machine == guest.name and self._hearsay.heeds(happening)
        if mine and self._reports.allows(guest.fingerprint, guest.name):
            self.watch(happening)

    def outlook(self, guest: Guest, outlook: Outlook) -> None:  # noqa: ARG002 - what it shows does not matter
        """Refuse a plan: nobody asks for one."""
        raise ProtocolError(f"{guest.name} shows a plan for a run that is taken back")

    def ready(self, guest: Guest, plugin: str, request: bytes) -> None:  # noqa: ARG002 - nor what it asks
        """Refuse a question for a token: nobody is told to go."""
        raise ProtocolError(f"{guest.name} asks for a token in a run that is taken back")

    def parted(self, guest: Guest) -> None:
        """Nobody is told that the cloud is formed."""

    def settled(self, guest: Guest, message: Joined | Failed) -> None:
        """Nobody is told to begin a stage."""
